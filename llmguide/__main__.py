"""``python -m llmguide`` is the command line."""

from llmguide.cli import main

main()
