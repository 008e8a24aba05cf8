"""What the stand-in says: plain text or minimal JSON, each a function of the prompt alone."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

LABEL = "[stand-in for a larger model]"

_OPENINGS = (
    "Here is a prepared answer to your request.",
    "This is what a longer answer to your request would look like.",
    "Your request arrived, and this text stands where the answer would be.",
)
_MIDDLES = (
    "A larger model would first restate the problem, then weigh what speaks for and against each "
    "way of solving it.",
    "The points that matter most would be named one by one, each with the reason why it matters.",
    "Where the request leaves something open, the assumption would be said aloud, so that it can "
    "be corrected.",
    "Figures and names would be taken from the request only, never invented.",
    "Each step would build on the one before it, and the result would be checked against the "
    "request at the end.",
    "What cannot be known from the request would be left open and marked as such.",
    "Possible side effects would be listed, with what to watch for in the first days.",
)
_ENDINGS = (
    "Nothing above was reasoned about: it was put together from fixed sentences.",
    "Connect a real model under Backends to read a real answer here.",
    "The same request always gives this same text, which makes comparisons exact.",
)
_PIECE = re.compile(r"\s*\S{1,8}|\s+")
_WORD = re.compile(r"[^\W\d_]{5,}")


def content_text(content: object) -> str:
    """The text of a message: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict))
        return "\n".join(part for part in parts if isinstance(part, str))
    return ""


def prompt_of(messages: Sequence[object]) -> str:
    return "\n".join(content_text(m.get("content")) for m in messages if isinstance(m, dict))


def last_turn(messages: Sequence[object]) -> str:
    for message in reversed(messages):
        if isinstance(message, dict) and message.get("role") == "user":
            return content_text(message.get("content"))
    return ""


def count_tokens(text: str) -> int:
    """An estimate good enough for a demo: four characters a token."""
    return math.ceil(len(text) / 4)


def in_pieces(text: str) -> tuple[str, ...]:
    """Cut text into token-like pieces that join to exactly the same text."""
    return tuple(_PIECE.findall(text))


def logprob(piece: str) -> dict[str, Any]:
    """A made-up but repeatable log-probability for one piece, between about 0.67 and 1."""
    share = hashlib.sha256(piece.encode()).digest()[0] / 255
    entry = {
        "token": piece,
        "logprob": round(-0.4 * share, 4),
        "bytes": list(piece.encode()),
    }
    return entry | {"top_logprobs": [dict(entry)]}


def compose(prompt: str, messages: Sequence[object], response_format: object) -> str:
    """The answer's text: JSON when the request asks for JSON, else a few labelled paragraphs."""
    wanted = response_format if isinstance(response_format, Mapping) else {}
    if wanted.get("type") == "json_schema":
        schema = (wanted.get("json_schema") or {}).get("schema") or {}
        return json.dumps(instance_of(schema, schema), ensure_ascii=False)
    if wanted.get("type") == "json_object":
        return json.dumps({"answer": f"{LABEL} {_OPENINGS[0]}"}, ensure_ascii=False)
    return _paragraphs(prompt, last_turn(messages))


def _paragraphs(prompt: str, asked: str) -> str:
    seed = hashlib.sha256(prompt.encode()).digest()
    opening = _OPENINGS[seed[0] % len(_OPENINGS)]
    first_line = " ".join(asked.split())
    quoted = first_line if len(first_line) <= 120 else first_line[:117].rstrip() + "..."
    words = sorted({word.lower() for word in _WORD.findall(asked)}, key=lambda w: (-len(w), w))[:4]
    topics = f" It seems to be about {', '.join(words)}." if words else ""
    start, count = seed[1] % len(_MIDDLES), 3 + seed[2] % 4
    middle = " ".join(_MIDDLES[(start + step) % len(_MIDDLES)] for step in range(count))
    ending = _ENDINGS[seed[3] % len(_ENDINGS)]
    return f'{LABEL} {opening} You asked: "{quoted}".{topics}\n\n{middle}\n\n{ending}'


def instance_of(schema: object, root: object, depth: int = 0) -> Any:
    """A small instance of a JSON schema: required properties only, shortest allowed values."""
    if not isinstance(schema, Mapping) or depth > 12:
        return LABEL
    if "$ref" in schema:
        return instance_of(_resolve(str(schema["$ref"]), root), root, depth + 1)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for choice in ("anyOf", "oneOf", "allOf"):
        if schema.get(choice):
            return instance_of(schema[choice][0], root, depth + 1)
    kind = schema.get("type", "object" if "properties" in schema else "string")
    return _value(kind[0] if isinstance(kind, list) else kind, schema, root, depth)


def _value(kind: str, schema: Mapping[str, Any], root: object, depth: int) -> Any:
    if kind == "object":
        known = schema.get("properties") or {}
        return {
            name: instance_of(known.get(name, {}), root, depth + 1)
            for name in schema.get("required") or ()
        }
    if kind == "array":
        return [instance_of(schema.get("items"), root, depth + 1)] * int(schema.get("minItems", 0))
    if kind in {"number", "integer"}:
        least = schema.get("minimum", schema.get("exclusiveMinimum", 0))
        return math.floor(least) + 1 if "exclusiveMinimum" in schema else math.ceil(least)
    if kind == "boolean":
        return False
    if kind == "null":
        return None
    words = LABEL + " " * max(0, int(schema.get("minLength", 0)) - len(LABEL))
    return words[: int(schema.get("maxLength", len(words)))]


def _resolve(reference: str, root: object) -> object:
    found = root
    for step in reference.removeprefix("#").strip("/").split("/"):
        if not step:
            continue
        found = found.get(step) if isinstance(found, Mapping) else None
    return found


def forced_call(body: Mapping[str, Any]) -> tuple[str, str] | None:
    """Name and JSON arguments of the tool call that ``tool_choice`` demands; None for text."""
    tools = [tool.get("function") for tool in body.get("tools") or () if isinstance(tool, dict)]
    offered = {f["name"]: f for f in tools if isinstance(f, dict) and f.get("name")}
    choice = body.get("tool_choice")
    if isinstance(choice, Mapping):
        named = (choice.get("function") or {}).get("name")
    elif choice == "required":
        named = next(iter(offered), None)
    else:
        return None
    if named not in offered:
        return None
    schema = offered[named].get("parameters") or {}
    return str(named), json.dumps(instance_of(schema, schema), ensure_ascii=False)


def embedding(text: str, dimensions: int) -> list[float]:
    """A unit vector of hashed words: alike texts lie near each other, and nothing is understood."""
    vector = [0.0] * dimensions
    for word in text.lower().split():
        digest = hashlib.sha256(word.encode()).digest()
        place = int.from_bytes(digest[:4]) % dimensions
        vector[place] += 1.0 if digest[4] & 1 else -1.0
    length = math.sqrt(sum(x * x for x in vector)) or 1.0
    return [round(x / length, 6) for x in vector]
