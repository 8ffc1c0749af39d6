"""A client that answers from a script, without a network: for tests of what lies above it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

from llmguide.llm.protocol import RawReply, Request

__all__ = ["ScriptedClient", "body"]


def body(
    text: str, *, prompt: int | None = 100, completion: int | None = 10, finish_reason: str = "stop", **usage
) -> str:
    """The body of a chat completion that says `text`."""
    counts = {"prompt_tokens": prompt, "completion_tokens": completion, **usage}
    counts = {name: count for name, count in counts.items() if count is not None}
    choice = {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", "content": text}}
    return json.dumps({"object": "chat.completion", "model": "scripted", "choices": [choice], "usage": counts})


class ScriptedClient:
    """Sends nothing: `answer(request)` returns a body or raises. `sent` are the requests in their order."""

    def __init__(self, answer: Callable[[Request], str], *, endpoint: str = "http://scripted/v1", delay: float = 0.0):
        self.answer, self.endpoint, self.delay = answer, endpoint, delay
        self.sent: list[Request] = []
        self.at_work = self.most_at_work = 0
        self.closed = False

    async def send(self, request: Request) -> RawReply:
        self.sent.append(request)
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        try:
            await asyncio.sleep(self.delay)
            return RawReply(self.answer(request), 0.25)
        finally:
            self.at_work -= 1

    async def close(self) -> None:
        self.closed = True
