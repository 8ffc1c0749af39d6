"""A trading agent's state as text: what is known at a decision (`moment`), told by a template (`text`, `templates/`).

The environment, a strategy and a prompt all tell a moment by the same template, so that a model reads the same text
wherever it decides.
"""
