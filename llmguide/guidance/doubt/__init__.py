"""A model's own word for a direction, doubted: its leanings, its memory, its one sample and its sureness set right.

Each asks beside the Strategist's question, or reckons from earlier answers; `revision` says what becomes of the month.
"""
