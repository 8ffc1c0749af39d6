"""Many settings of a rule at once, each measured on the benchmark's account, and what the best of them is worth.

run          the door
measure      a plan measured
market       what it is measured on, and whether its guidance is of that time
rules        what can be swept
grid         the combinations of its parameters
engines      two ways to measure them; kernels is what runs per bar
result       what came of it: frame, best, figures, any setting in full
validation   whether to believe the best one
overfitting  what the best of all combinations on some bars is on the others
cerebro      one setting rerun in Backtrader
indicators   guidance and agents for users of vectorbt; not imported here, because it imports vectorbt
"""

from llmguide.sweeps.run import Sweep, sweep
from llmguide.sweeps.validation import Validation

__all__ = ["Sweep", "Validation", "sweep"]
