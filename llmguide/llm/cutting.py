"""Whether a server has read the whole prompt: some cut what exceeds their context, without a word.

Ollama (num_ctx), llama.cpp's and LM Studio's servers in some settings and gateways before them do. The tokens that they
count for the prompt tell: no tokenizer makes so few of a text.
"""

from __future__ import annotations

from llmguide.llm.protocol import Request, Usage

__all__ = ["BYTES_PER_TOKEN", "sent_bytes", "was_cut"]

BYTES_PER_TOKEN = 7.0
"""More bytes of UTF-8 than a token of a prompt has on average: English has 4 to 5, numbers 2 to 3, Chinese 3 to 5."""

LEAST_BYTES = 2_000
"""Shorter prompts are not judged: no context is that short."""


def sent_bytes(request: Request) -> int:
    """Return the bytes of UTF-8 of all messages of a request, the schema left out."""
    return sum(len(message.content.encode(errors="replace")) for message in request.messages)


def was_cut(request: Request, usage: Usage) -> bool:
    """Return whether the server counted far fewer tokens of the prompt than were sent; False where it counted none.

    Some gateways count cached tokens beside the others instead of among them: then both are added.
    """
    counted = usage.prompt
    if not counted:
        return False
    if usage.cached is not None and usage.cached > counted:
        counted += usage.cached
    sent = sent_bytes(request)
    return sent >= LEAST_BYTES and sent > BYTES_PER_TOKEN * counted
