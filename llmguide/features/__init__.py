"""What was known about an instrument at a moment: `facts_at(bars, tables)`, one module per kind of fact.

| module | what it holds |
|---|---|
| facts | `facts_at`: everything below, at the close of the last bar given |
| fact | one fact, and how its value reads in a prompt |
| levels | how levels are told: relative to what is shown, or absolute |
| legend | what the names of facts mean |
| bar_lines | the last bars as rows of a table |
| moment | when a bar is complete |
| stock, technical | from bars |
| market, fundamentals, macro, options | from external tables (`llmguide.sources.tables`) |
| news | the month's headlines |
| vintages | the latest known figure of a day or a period, and its change on an earlier one |
| rolling | slopes, z-scores, returns, volatility of the last bars; the Backtrader lines use them too |
"""
