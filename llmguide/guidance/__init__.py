"""What guides the agent: the `Guidance` table, and the providers that fill it.

`guide(bars, "rules")` is the door to every provider (`providers`).

| modules | what they hold |
|---|---|
| strength, row, table, schedule | the equations, the validated table, the dates |
| in_force | whether a table is of the bars' time |
| rules, controls | the vote of indicators, and tables to test with |
| language_model | one instrument's guidance from a language model, as a value that can be called |
| study | months x instruments x prompts, asked side by side |
| strategist, memory, advice | one month: what is known, the question, the answer and everything behind it |
| analyst, headlines, anonymise, name_patterns, level_patterns | the month's news, cleaned, anonymised and condensed |
| live | the same while bars come in |
| memory_questions, memory_study, mirror | what a model remembers, asked |
| suppression | a direction without what the model remembers |
| calibrate, revision | a direction's probability set right by the months known before; what follows from it |
| planning | what a study would cost |
"""

from llmguide.guidance.providers import PROVIDERS, guide
from llmguide.guidance.table import Guidance, GuidanceRow

__all__ = ["PROVIDERS", "Guidance", "GuidanceRow", "guide"]
