"""What the model remembers: recall, identification, and answers to changed facts.

run     the door: what the answers say
result  what was found, and its tables and page in a folder
"""

from llmguide.experiments.memory.result import MemoryResult
from llmguide.experiments.memory.run import judge_memory

__all__ = ["MemoryResult", "judge_memory"]
