"""Is guidance worth more than its shuffled self? A comparison's arms once more, on tables made to test with.

plan    how many shuffles, which accuracies of the oracle
tables  the user's guidance and its controls
follow  what an arm earns with each of many tables, nothing trained again
run     the door: every control of every arm, and the permutation test
"""

from llmguide.experiments.placebo.plan import ControlPlan

__all__ = ["ControlPlan"]
