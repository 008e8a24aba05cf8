"""OpenAI's Responses API: reads its requests as chat completions and answers in its shape.

Nothing is remembered between two responses: a conversation is what its caller sends.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from routing.gateway.parse import (
    ChatRequest,
    invalid,
    model_of,
    parse_json,
    stream_of,
    whole_number,
)
from routing.gateway.planning import Plan
from routing.gateway.snapshot import LiveBackend
from routing.gateway.surfaces import items
from routing.gateway.surfaces.response_stream import ResponseStream
from routing.gateway.surfaces.shapes import finished, output_of, response_object
from routing.gateway.surfaces.surface import StreamReader, Surface
from routing.gateway.surfaces.translated import event

_UNSUPPORTED = ("previous_response_id", "conversation", "prompt")
# Read below, repeated in the answer, or of no meaning to a backend.
_READ = frozenset(
    {
        "model", "input", "instructions", "max_output_tokens", "stream", "stream_options", "tools",
        "tool_choice", "text", "metadata", "store", "background", "include", "truncation",
        "reasoning", "max_tool_calls", *_UNSUPPORTED,
    }
)  # fmt: skip
_REPEATED = (
    "instructions", "max_output_tokens", "metadata", "parallel_tool_calls", "temperature", "text",
    "tool_choice", "tools", "top_p", "truncation", "user", "reasoning", "background",
)  # fmt: skip


def _fields(body: dict[str, Any], output_tokens: int) -> dict[str, Any]:
    fields = {name: value for name, value in body.items() if name not in _READ}
    fields |= {"model": body["model"], "messages": items.messages_of(body)}
    fields |= items.tools_of(body) | items.text_of(body)
    if output_tokens:
        fields["max_tokens"] = output_tokens
    reasoning = body.get("reasoning")
    if isinstance(reasoning, dict) and reasoning.get("effort") is not None:
        fields["reasoning_effort"] = reasoning["effort"]
    if body.get("stream"):
        fields["stream"] = True
    return fields


def _check(body: dict[str, Any]) -> None:
    for name in _UNSUPPORTED:
        if body.get(name) is not None:
            raise items.unsupported(name, "Send the whole conversation as 'input'.")
    for name, kind in (("metadata", dict), ("background", bool), ("store", bool)):
        if body.get(name) is not None and not isinstance(body[name], kind):
            raise invalid(f"{name!r} has the wrong type.", name)
    if body.get("background") and body.get("stream"):
        raise items.unsupported("stream", "Not together with 'background': poll the response.")


class Responses(Surface):
    def read(self, body: bytes) -> ChatRequest:
        given = parse_json(body)
        model = model_of(given)
        is_stream = stream_of(given)
        _check(given)
        output_tokens = whole_number(given, "max_output_tokens")
        fields = _fields(given, output_tokens)
        return ChatRequest(
            fields=fields,
            model=model,
            messages=fields["messages"],
            is_stream=is_stream,
            wants_usage=False,
            output_tokens=output_tokens,
            size=len(body),
            metadata=given.get("metadata") or {},
            repeated={name: given[name] for name in _REPEATED if given.get(name) is not None},
            is_background=given.get("background") is True,
        )

    def whole(self, plan: Plan, answer: dict[str, Any]) -> bytes:
        return orjson.dumps(self.complete(plan, answer))

    def complete(self, plan: Plan, answer: dict[str, Any]) -> dict[str, Any]:
        choice = answer["choices"][0]
        made = finished(
            response_object(plan),
            output=output_of(plan, choice),
            finish_reason=str(choice.get("finish_reason") or ""),
            usage=answer.get("usage"),
        )
        if "review" in answer:
            made["review"] = answer["review"]
        return made

    def reader(self, plan: Plan, backend: LiveBackend) -> ResponseStream:
        return ResponseStream(plan)

    def replayed(self, plan: Plan, answer: dict[str, Any]) -> bytes:
        return ResponseStream(plan).replay(answer)

    def error_event(
        self, fields: Mapping[str, Any], status: int, reader: StreamReader | None
    ) -> bytes:
        """The API's own error event, with the error object beside it: SDKs raise on that one."""
        sequence = reader.sequence if isinstance(reader, ResponseStream) else 0
        return event(
            "error",
            sequence_number=sequence,
            code=fields["code"],
            message=fields["message"],
            param=fields["param"],
            error=fields,
        )


RESPONSES = Responses()
