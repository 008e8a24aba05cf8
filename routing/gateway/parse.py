"""Strict reading of a request: size, depth, duplicate keys, NUL, surrogates, then the shape.

What passes is the only thing that is forwarded: the body is written again from what was read here.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from routing.gateway.errors import ApiError
from routing.gateway.exchange import ClientGone

BODY_S = 20.0
MAX_DEPTH = 64
MAX_MESSAGES = 2000
CHAT_PATH = "/chat/completions"
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


def invalid(message: str, param: str | None = None) -> ApiError:
    return ApiError("invalid_request", message, param=param)


async def read_body(receive: Callable[[], Awaitable[Any]], *, limit: int) -> bytes:
    """Collect the body and stop at ``limit`` bytes with 413, whatever Content-Length says."""
    try:
        async with asyncio.timeout(BODY_S):
            return await _collected(receive, limit)
    except TimeoutError:
        raise ApiError(
            "request_timeout", f"The request body did not arrive within {BODY_S:.0f} seconds."
        ) from None


async def _collected(receive: Callable[[], Awaitable[Any]], limit: int) -> bytes:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientGone
    if not message.get("more_body"):
        body: bytes = message.get("body", b"")
        if len(body) > limit:
            raise too_large(limit)
        return body
    parts, size = [message.get("body", b"")], len(message.get("body", b""))
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise too_large(limit)
    return b"".join(parts)


def too_large(limit: int) -> ApiError:
    return ApiError("request_too_large", f"The request body may have at most {limit} bytes.")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise invalid(f"The key {key[:60]!r} appears twice in one object.")
            seen.add(key)
    return made


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise invalid("A number is out of range.")
    return value


def _no_constant(name: str) -> float:
    raise invalid(f"{name} is not JSON.")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant, strict=True
)


def _quickly(body: bytes) -> dict[str, Any] | None:
    """The object, where writing it again gives the very same bytes, as most clients send it.

    Then no key came twice, no number lost a digit and nothing stood beside it. Anything else,
    spaces too, is read by the strict decoder.
    """
    try:
        made = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    return made if type(made) is dict and orjson.dumps(made) == body else None


def parse_json(body: bytes) -> dict[str, Any]:
    """Return the JSON object in ``body``, or raise a 400 that says what is wrong."""
    made = _quickly(body)
    if made is None:
        made = _strictly(body)
    # Few brackets cannot nest deeply, and text without an escape or NUL holds neither NUL nor
    # surrogate: the walk is for the rest.
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH or b"\\u" in body or b"\x00" in body:
        _walk(made)
    return made


def _strictly(body: bytes) -> dict[str, Any]:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise invalid("The request body is not UTF-8.") from None
    try:
        # raw_decode and strip by hand would accept trailing text; decode() does not.
        made = _DECODER.decode(text)
    except json.JSONDecodeError as problem:
        raise invalid(
            f"The request body is not JSON: {problem.msg} at character {problem.pos}."
        ) from None
    except RecursionError:
        raise invalid(f"The request body is nested more than {MAX_DEPTH} deep.") from None
    except ValueError:
        raise invalid("A number in the request body has too many digits.") from None
    if not isinstance(made, dict):
        raise invalid("The request body must be a JSON object.")
    return made


def _walk(root: Any) -> None:
    stack = [(root, 1)]
    while stack:
        value, depth = stack.pop()
        if isinstance(value, str):
            _check_text(value)
        elif isinstance(value, (dict, list)):
            if depth > MAX_DEPTH:
                raise invalid(f"The request body is nested more than {MAX_DEPTH} deep.")
            if isinstance(value, dict):
                for key in value:
                    _check_text(key)
                stack.extend((item, depth + 1) for item in value.values())
            else:
                stack.extend((item, depth + 1) for item in value)


def _check_text(text: str) -> None:
    if "\x00" in text:
        raise invalid("A text contains the character NUL.")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise invalid("A text contains half of a surrogate pair.") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChatRequest:
    """A request after strict parsing, whatever API it came by.

    ``fields`` is what will be forwarded, to ``path`` of the backend. ``repeated`` is what a surface
    says again in its answer; ``unread_tokens`` were given as numbers, so nobody can read them.
    """

    fields: dict[str, Any]
    model: str
    messages: list[dict[str, Any]]
    is_stream: bool
    wants_usage: bool
    output_tokens: int
    size: int
    path: str = CHAT_PATH
    needs: frozenset[str] = frozenset()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    repeated: Mapping[str, Any] = field(default_factory=dict)
    unread_tokens: int = 0
    is_background: bool = False


def _messages(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value:
        raise invalid("'messages' must be a list with at least one message.", "messages")
    if len(value) > MAX_MESSAGES:
        raise invalid(f"'messages' may have at most {MAX_MESSAGES} messages.", "messages")
    for index, message in enumerate(value):
        where = f"messages[{index}]"
        if not isinstance(message, dict):
            raise invalid(f"'{where}' must be an object.", where)
        if message.get("role") not in _ROLES:
            raise invalid(
                f"'{where}.role' must be one of {', '.join(sorted(_ROLES))}.", f"{where}.role"
            )
        content = message.get("content")
        if not (content is None or isinstance(content, str)):
            _parts(content, f"{where}.content")
    return value


def _parts(content: Any, where: str) -> None:
    if not isinstance(content, list) or not all(
        isinstance(part, dict) and isinstance(part.get("type"), str) for part in content
    ):
        raise invalid(f"'{where}' must be a text or a list of parts with a 'type'.", where)
    for part in content:
        if part["type"] == "text" and not isinstance(part.get("text"), str):
            raise invalid(f"'{where}' has a text part without 'text'.", where)


def model_of(fields: Mapping[str, Any]) -> str:
    model = fields.get("model")
    if not isinstance(model, str) or not 1 <= len(model) <= 128:
        raise invalid("'model' must name a route.", "model")
    return model


def stream_of(fields: Mapping[str, Any]) -> bool:
    stream = fields.get("stream")
    if stream is not None and not isinstance(stream, bool):
        raise invalid("'stream' must be true or false.", "stream")
    return bool(stream)


def whole_number(fields: Mapping[str, Any], name: str) -> int:
    """A token limit: a whole number from 1, or 0 where it is not given."""
    value = fields.get(name)
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= 1_000_000:
        raise invalid(f"{name!r} must be a whole number from 1 to 1000000.", name)
    return value


def chat_request(body: bytes) -> ChatRequest:
    """Read a chat completion request; unknown parameters are kept for the backend."""
    fields = parse_json(body)
    model, is_stream = model_of(fields), stream_of(fields)
    options = fields.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise invalid("'stream_options' must be an object.", "stream_options")
    for name, kind in (("tools", list), ("metadata", dict), ("response_format", dict)):
        value = fields.get(name)
        if value is not None and not isinstance(value, kind):
            raise invalid(f"'{name}' has the wrong type.", name)
    return ChatRequest(
        fields=fields,
        model=model,
        messages=_messages(fields.get("messages")),
        is_stream=is_stream,
        wants_usage=bool(options and options.get("include_usage") is True),
        output_tokens=whole_number(fields, "max_completion_tokens")
        or whole_number(fields, "max_tokens"),
        size=len(body),
        metadata=fields.get("metadata") or {},
    )
