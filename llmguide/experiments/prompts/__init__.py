"""Which prompt guides best: experiment 1 of arXiv 2508.02366.

run            the door
result         what was found; study is the same with a way to write it down
probabilities  did it rise as often as the model said
published      the paper's numbers
write          tables, figures and the page
"""

from llmguide.experiments.prompts.run import judge_prompts
from llmguide.experiments.prompts.study import PromptStudy

__all__ = ["PromptStudy", "judge_prompts"]
