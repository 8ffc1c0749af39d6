"""What the settings that the papers do not have do to an agent with guidance, on many instruments.

run      the door
lever    the settings, by name
measure  one agent, and what it is compared with
result   what was found, and the way to write it down
"""

from llmguide.experiments.levers.lever import LEVERS, Lever, find_levers
from llmguide.experiments.levers.result import LeverStudy
from llmguide.experiments.levers.run import study_levers

__all__ = ["LEVERS", "Lever", "LeverStudy", "find_levers", "study_levers"]
