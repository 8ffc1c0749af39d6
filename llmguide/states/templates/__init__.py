"""The packaged templates of states; see `llmguide.states.text`."""
