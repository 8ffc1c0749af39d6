"""A month's headlines on their way to the model: cleaned, anonymised, condensed to factors by the Analyst.

The names that are hidden here stay hidden in every other question too.
"""
