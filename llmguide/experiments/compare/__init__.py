"""Arms on one instrument, over many seeds.

run          the door
result       what was found; comparison is the same with a way to write it down
sensitivity  every arm again under other costs, slippages and fills
script       the lines of Python that reproduce it
write        the run folder, the report and the tearsheets
"""

from llmguide.experiments.compare.comparison import Comparison
from llmguide.experiments.compare.run import compare

__all__ = ["Comparison", "compare"]
