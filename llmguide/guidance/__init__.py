"""What guides the agent: the `Guidance` table, and the providers that fill it.

`guide(bars, "rules")` is the door to every provider. The modules below it: `strength` has the equations, `table` and
`row` the validated table, `schedule` the dates, `rules` the vote of indicators, `controls` the tables to test with.
"""

from llmguide.guidance.providers import PROVIDERS, guide
from llmguide.guidance.table import Guidance, GuidanceRow

__all__ = ["PROVIDERS", "Guidance", "GuidanceRow", "guide"]
