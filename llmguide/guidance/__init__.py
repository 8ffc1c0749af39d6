"""What guides the agent: the `Guidance` table, and the providers that fill it.

`guide(bars, "rules")` is the door to every provider (`providers`).

| modules | what they hold |
|---|---|
| strength, row, table, schedule | the equations, the validated table, the dates |
| in_force, origin | whether a table is of the bars' time, and of these bars |
| rules, controls | the vote of indicators, and tables to test with |
| language_model | one instrument's guidance from a language model, as a value that can be called |
| study | months x instruments x prompts, asked side by side |
| strategist, memory, advice | one month: what is known, the question, the answer and everything behind it |
| news/ | the month's headlines, cleaned, anonymised and condensed |
| doubt/, revision | a direction's probability set right: leanings, memory, votes, calibration; what follows from it |
| inquiries/ | a model examined: what it remembers, where it leans |
| tuning/ | prompts that improve themselves on training bars |
| live | the same while bars come in |
| settings | the file of what is rarely changed |
| planning, preview, batching | what a study would cost; what would be sent; the same by the Batch API |
"""

from llmguide.guidance.providers import PROVIDERS, guide
from llmguide.guidance.table import Guidance, GuidanceRow

__all__ = ["PROVIDERS", "Guidance", "GuidanceRow", "guide"]
