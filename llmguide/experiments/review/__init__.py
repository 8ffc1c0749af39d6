"""What reviewers think of a model's reasons: the expert review of arXiv 2508.02366, section II-B3 and experiment 1.

result      scores by prompt, agreement between reviewers, with the model and with what happened
write       the same as files
"""

from llmguide.experiments.review.result import ReviewResult, judge_review
from llmguide.experiments.review.write import review_data, write_results

__all__ = ["ReviewResult", "judge_review", "review_data", "write_results"]
