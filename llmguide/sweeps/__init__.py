"""Many settings of a rule at once, each measured on the benchmark's account, and what the best of them is worth.

run          the door
measure      a plan measured
market       what it is measured on, and whether its guidance is of that time
rules        what can be swept
mixture      experts weighed by their records, one of these rules
grid         the combinations of its parameters
following    how an account follows a rule: all in, or any fraction of it
engines      two ways to measure them; kernels and sized_kernels are what runs per bar
result       the result: frame, best, any setting in full
validation   whether to believe the best one; verdict says it in plain words
heatmap      a measure over two parameters as a page; wording names measures and settings
rows         tables of result and validation as text
overfitting  what the best of all combinations on some bars is on the others
cerebro      one setting rerun in Backtrader
indicators   guidance and agents for users of vectorbt; not imported here, because it imports vectorbt
"""

from llmguide.sweeps.run import Sweep, sweep
from llmguide.sweeps.validation import Validation

__all__ = ["Sweep", "Validation", "sweep"]
