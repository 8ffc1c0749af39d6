"""A language model behind any OpenAI-compatible endpoint: asked once, answered for good.

| module | what it holds |
|---|---|
| protocol | the values that pass: `Request`, `Completion`, token log-probabilities, usage; the `Client` protocol |
| schemas | the JSON schemas that are sent, with or without bounds on lengths |
| replies | a raw reply read: `Completion`, then the object that a schema describes, or a typed error |
| openai_client | the only door to the openai SDK |
| local, local_server, gguf | a model in a file, served on this machine by llama.cpp; what its file says of it |
| probe | what an endpoint can do: log-probabilities, structured output |
| laying | a reply's tokens laid onto its text |
| odds | how likely the model held LONG and SHORT, at the token that tells them apart |
| uncertainty | perplexity and entropy (eq. 3, 4) of a reply, and of single fields in it |
| cache | every request and raw reply, in SQLite |
| ledger | what was spent: tokens, seconds, dollars |
| prices | dollars per token, from a table that a user can edit |
| budget | a cap on dollars that holds whatever the replies turn out to be |
| slots, pace | which question is next; how many an endpoint bears at once |
| asking | all of them together: cache, budget, client, validation, one more try, abstention |
| access | the settings of all that, as one value |
| waiting | from a plain function into a coroutine |
| templates | prompts from template files (`prompts/`) |

Nothing here knows bars or guidance.
"""
