"""A model examined instead of asked for guidance: what it remembers, and where it leans, over many months.

The questions of `llmguide memory` and `llmguide bias`; `llmguide.experiments` reckons with the answers.
"""
