"""The published benchmark again, on a folder of instruments.

run      the door
grid     one instrument, arm and seed: measured once, kept in a file of its own
result   what was found; replication is the same with a way to write it down
fit      how near the published numbers are
write    tables (CSV, Markdown, LaTeX) and the figure
"""

from llmguide.experiments.replicate.replication import Replication
from llmguide.experiments.replicate.run import replicate

__all__ = ["Replication", "replicate"]
