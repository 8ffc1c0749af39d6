"""The JSON schemas that replies are asked for by, as structured output takes them in strict mode.

Bounds on lengths end a reply that runs away: a small model repeats itself until a limit stops it. Not every endpoint
takes them (OpenAI's strict mode knows some keywords, Anthropic and Groq fewer), so they are sent only where the probe
has found them honoured. Descriptions say them to the model in any case.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel

__all__ = ["TIGHT", "TIGHT_ITEMS", "TIGHT_LENGTH", "Bounds", "schema_in_words", "schema_of"]

Bounds = Literal["none", "set", "tight"]
"""No bounds on lengths, those of the fields, or the tight ones for a reply that ran away."""

TIGHT_LENGTH = 600
"""Characters of a text in a second reply, after one that ran away."""

TIGHT_ITEMS = 4
"""Items of a list in it."""

TIGHT = "tightLength"
"""Of a field in `json_schema_extra`: characters in place of TIGHT_LENGTH, where its words are limited to fewer."""

# The keywords that every endpoint with structured output understands. Bounds on numbers are left out: Anthropic, Groq
# and OpenAI's fine-tuned models refuse them, and `read_object` checks them.
_KEPT = {"type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "description"}
_LENGTHS = {"maxLength": TIGHT_LENGTH, "maxItems": TIGHT_ITEMS}
_DROPPED = {
    "title",
    "default",
    "examples",
    "format",
    "minLength",
    "pattern",
    TIGHT,
    "minItems",
    "uniqueItems",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
}


@cache
def schema_of(kind: type[BaseModel], bounds: Bounds = "none") -> tuple[str, str]:
    """Return the name and the canonical JSON schema of `kind`, as structured output takes it in strict mode.

    References are written out, every property is required, no other is allowed. Descriptions are the fields' own: what
    a class says of itself is for its readers. Keys are sorted, except properties: they keep the order in which `kind`
    declares them, because a model writes them in that order and a reason that comes after the decision is no reason.
    Raises TypeError for a `kind` that strict mode cannot express (a mapping, a recursive or discriminated type).
    """
    schema = kind.model_json_schema()
    schema.pop("description", None)
    return kind.__name__, json.dumps(_strict(schema, schema.get("$defs", {}), (), bounds), separators=(",", ":"))


def schema_in_words(schema_json: str) -> str:
    """Return what to add to a prompt where the endpoint does not enforce a schema."""
    return f"Answer with one JSON object and nothing else. It must fit this JSON schema:\n{schema_json}"


def _strict(schema: Any, defs: Mapping[str, Any], path: tuple[str, ...], bounds: Bounds) -> Any:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/$defs/")
        if name in path:
            raise TypeError(f"{name} contains itself, which structured output cannot express")
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        model = {key: value for key, value in defs[name].items() if key != "description"}  # a class's docstring
        return _strict({**model, **rest}, defs, (*path, name), bounds)
    unknown = sorted(schema.keys() - _KEPT - _DROPPED - _LENGTHS.keys() - {"$defs"})
    if unknown:
        raise TypeError(f"structured output cannot express {', '.join(unknown)}; use plain models, lists and Literals")
    kept = {key: schema[key] for key in sorted(schema.keys() & _KEPT)}
    if bounds != "none":
        for key, tight in _LENGTHS.items():
            if key in schema:
                tight = schema.get(TIGHT, tight) if key == "maxLength" else tight
                kept[key] = min(schema[key], tight) if bounds == "tight" else schema[key]
    if kept.get("type") == "object":
        if kept.get("additionalProperties") or "properties" not in kept:
            raise TypeError("structured output cannot express a mapping; use a model with named fields")
        kept["additionalProperties"] = False
        kept["properties"] = {name: _strict(field, defs, path, bounds) for name, field in kept["properties"].items()}
        kept["required"] = list(kept["properties"])
    if "items" in kept:
        kept["items"] = _strict(kept["items"], defs, path, bounds)
    if "anyOf" in kept:
        kept["anyOf"] = [_strict(one, defs, path, bounds) for one in kept["anyOf"]]
    return dict(sorted(kept.items()))
