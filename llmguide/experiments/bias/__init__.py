"""The biases of a model and a prompt: to a word, a code, an order, a wording, a side of the market.

run     the door: what the answers say
result  what was found, and its tables and page in a folder
"""

from llmguide.experiments.bias.result import BiasResult
from llmguide.experiments.bias.run import judge_bias

__all__ = ["BiasResult", "judge_bias"]
