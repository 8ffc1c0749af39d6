"""The scripted server with OpenAI's files and batches beside its completions."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from openai_server import OpenAIServer, _Handler

__all__ = ["BatchServer"]


class BatchServer(OpenAIServer):
    """`looks` is how often a batch is looked at before it ends, and `end` the status that it then has.

    `lost(number)` says for a question of a batch (from 0) that it is "expired", that it "failed", or None. `uploads`
    are the lines of each file, `batches` the batches by id, `batched` the bodies that were answered by one. With `mute`
    "made" or "not made" it closes the connection instead of saying that a batch was created, which it then was or not.
    """

    def __init__(
        self,
        *,
        looks: int = 1,
        end: str = "completed",
        lost: Callable[[int], str | None] = lambda number: None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.looks, self.end, self.lost = looks, end, lost
        self.uploads: dict[str, list[dict[str, Any]]] = {}
        self.files: dict[str, str] = {}  # output and error files
        self.batches: dict[str, dict[str, Any]] = {}
        self.batched: list[dict[str, Any]] = []
        self.mute = ""
        self._looked: dict[str, int] = {}
        self._http.RequestHandlerClass = _BatchHandler

    def upload(self, lines: list[dict[str, Any]]) -> dict[str, Any]:
        name = f"file-{len(self.uploads)}"
        self.uploads[name] = lines
        return {
            "id": name,
            "object": "file",
            "bytes": 1,
            "created_at": 1,
            "filename": "questions.jsonl",
            "purpose": "batch",
            "status": "processed",
        }

    def create(self, fields: dict[str, Any]) -> dict[str, Any]:
        name = f"batch_{len(self.batches)}"
        total = len(self.uploads[fields["input_file_id"]])
        self._looked[name] = 0
        self.batches[name] = {
            "id": name,
            "object": "batch",
            "status": "validating",
            "created_at": 1,
            "errors": None,
            **fields,
            "output_file_id": None,
            "error_file_id": None,
            "request_counts": {"total": total, "completed": 0, "failed": 0},
        }
        return self.batches[name]

    def look(self, name: str) -> dict[str, Any]:
        batch = self.batches[name]
        self._looked[name] += 1
        if self._looked[name] <= self.looks:
            batch["status"] = "in_progress"
        elif batch["status"] != self.end:
            self._finish(batch)
        return batch

    def _finish(self, batch: dict[str, Any]) -> None:
        batch["status"] = self.end
        lines = self.uploads[batch["input_file_id"]]
        if self.end == "failed":
            error = {"code": "invalid_json_line", "message": "This line is not parseable.", "line": 1, "param": None}
            batch["errors"] = {"object": "list", "data": [error]}
            return
        answers, errors = [], []
        for number, line in enumerate(lines):
            said: dict[str, Any] = {"id": f"batch_req_{number}", "custom_id": line["custom_id"], "error": None}
            lost = self.lost(number)
            if lost == "expired":
                told = "This request could not be executed before the completion window expired."
                errors.append(said | {"response": None, "error": {"code": "batch_expired", "message": told}})
            elif lost == "failed":
                body = {
                    "error": {"message": "The server had an error.", "code": "server_error", "type": "server_error"}
                }
                errors.append(said | {"response": {"status_code": 500, "request_id": "r", "body": body}})
            else:
                body = self.completion(line["body"], None)
                self.batched.append(line["body"])
                answers.append(said | {"response": {"status_code": 200, "request_id": "r", "body": body}})
        answers.reverse()  # the order of the answers is not that of the questions
        for kind, results in (("output", answers), ("error", errors)):
            if results:
                name = f"file-{kind}-{batch['id']}"
                self.files[name] = "".join(json.dumps(one) + "\n" for one in results)
                batch[f"{kind}_file_id"] = name
        batch["request_counts"] = {"total": len(lines), "completed": len(answers), "failed": len(errors)}


class _BatchHandler(_Handler):
    def do_GET(self) -> None:
        owner: Any = self.server.owner
        if re.fullmatch(r"/v1/batches(\?.*)?", self.path):
            listed = [dict(batch) for batch in reversed(owner.batches.values())]  # the newest first
            return self._send(200, {"object": "list", "data": listed, "has_more": False})
        if found := re.fullmatch(r"/v1/batches/(\w+)", self.path):
            if found[1] not in owner.batches:
                return self._error(404, f"No batch found with id '{found[1]}'.")
            return self._send(200, owner.look(found[1]))
        if found := re.fullmatch(r"/v1/files/([\w-]+)/content", self.path):
            return self._write(200, owner.files[found[1]].encode())
        return super().do_GET()

    def do_POST(self) -> None:
        owner: Any = self.server.owner
        if self.path not in ("/v1/files", "/v1/batches"):
            return super().do_POST()
        raw = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if owner.key is not None and given != owner.key:
            return self._error(401, f"Incorrect API key provided: {given}.")
        if self.path == "/v1/batches" and owner.mute:
            if owner.mute == "made":
                owner.create(json.loads(raw))
            self.close_connection = True
            return None
        if self.path == "/v1/batches":
            return self._send(200, owner.create(json.loads(raw)))
        assert b'name="purpose"\r\n\r\nbatch\r\n' in raw
        lines = [json.loads(line) for line in raw.split(b"\n") if line.startswith(b"{")]
        return self._send(200, owner.upload(lines))
