"""What a mixture makes of guidance that is right with a known probability, on many instruments.

run      the door
draws    guidance of known accuracy, thousands of draws at once
measure  one instrument: every agent with every draw
result   what was found, and the way to write it down
"""

from llmguide.experiments.mixture.result import MixtureStudy
from llmguide.experiments.mixture.run import study_mixture

__all__ = ["MixtureStudy", "study_mixture"]
