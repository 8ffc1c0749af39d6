"""Template files of the prompts; `llmguide.llm.templates` reads them."""
