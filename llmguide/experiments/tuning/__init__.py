"""A prompt tuned on training bars, and what that was worth on later ones: section II-B3 of arXiv 2508.02366v3.

account  what following guidance earns: all that the study learns about money
door     bars in, a tuned prompt out
run      a study: tune, then prove once on the test bars; and what it would cost
proof    the test: the tuned prompt against the untuned one
exchange its p value: whose answers are whose
result   what was found; tuned is the same with a way to write it down
write    tables and the page in a folder
pedigree what the template was made from, beside it
"""

from llmguide.experiments.tuning.door import tune
from llmguide.experiments.tuning.run import plan_tuning, tune_study
from llmguide.experiments.tuning.tuned import Tuned

__all__ = ["Tuned", "plan_tuning", "tune", "tune_study"]
