"""What a mixture makes of guidance: of known accuracy, by rules, of a language model, on many instruments.

run      the door
sources  the guidance there is
draws    thousands of draws of it at once
measure  one instrument: every agent with every draw
tables   means and paired differences with intervals over instruments
aims     what a mixture should be able to do, and whether it is
result   what was found, and the way to write it down
"""

from llmguide.experiments.mixture.result import MixtureStudy
from llmguide.experiments.mixture.run import study_mixture
from llmguide.experiments.mixture.sources import read_tables

__all__ = ["MixtureStudy", "read_tables", "study_mixture"]
