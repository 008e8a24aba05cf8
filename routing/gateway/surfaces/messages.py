"""Anthropic's Messages API: reads its requests as chat completions and answers in its shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from routing.gateway.attempts import Usage
from routing.gateway.errors import ApiError
from routing.gateway.parse import ChatRequest, invalid, model_of, parse_json, stream_of
from routing.gateway.parse import whole_number as number
from routing.gateway.planning import Plan
from routing.gateway.snapshot import LiveBackend
from routing.gateway.surfaces import blocks
from routing.gateway.surfaces.surface import StreamReader, Surface
from routing.gateway.surfaces.translated import TranslatedStream, event

_STOP_REASONS = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
# Fields that say something only to Anthropic's own service, or that are read below.
_READ = frozenset(
    {
        "model", "messages", "system", "max_tokens", "stop_sequences", "stream", "tools",
        "tool_choice", "metadata", "thinking", "output_config", "service_tier", "cache_control",
    }
)  # fmt: skip
_UNSUPPORTED = ("container", "mcp_servers", "context_management")


def _fields(body: dict[str, Any]) -> dict[str, Any]:
    """The same request as a chat completion; what we do not know passes as it is."""
    for name in _UNSUPPORTED:
        if body.get(name):
            raise unsupported(name)
    thinking = body.get("thinking")
    if isinstance(thinking, dict) and thinking.get("type") not in (None, "disabled"):
        raise unsupported("thinking")
    fields = {name: value for name, value in body.items() if name not in _READ}
    fields["model"] = body["model"]
    fields["messages"] = [
        *blocks.system_of(body.get("system")),
        *blocks.messages_of(body.get("messages")),
    ]
    fields["max_tokens"] = body["max_tokens"]
    stops = body.get("stop_sequences")
    if stops:
        if not isinstance(stops, list) or not all(isinstance(stop, str) for stop in stops):
            raise invalid("'stop_sequences' must be a list of texts.", "stop_sequences")
        fields["stop"] = stops
    fields |= blocks.tools_of(body)
    if form := _form(body.get("output_config")):
        fields["response_format"] = form
    if body.get("stream"):
        fields["stream"] = True
    return fields


def _form(config: Any) -> dict[str, Any] | None:
    form = config.get("format") if isinstance(config, dict) else None
    if form is None:
        return None
    if not isinstance(form, dict) or form.get("type") != "json_schema":
        raise unsupported("output_config.format")
    schema = {"name": "answer", "schema": form.get("schema") or {}, "strict": True}
    return {"type": "json_schema", "json_schema": schema}


def unsupported(name: str) -> ApiError:
    return ApiError(
        "unsupported_parameter",
        f"{name!r} is not supported by this router; leave it out.",
        param=name,
    )


class Messages(Surface):
    def read(self, body: bytes) -> ChatRequest:
        given = parse_json(body)
        model = model_of(given)
        is_stream = stream_of(given)
        if given.get("max_tokens") is None:
            raise invalid("'max_tokens' is required.", "max_tokens")
        output_tokens = number(given, "max_tokens")
        metadata = given.get("metadata")
        if metadata is not None and not isinstance(metadata, dict):
            raise invalid("'metadata' must be an object.", "metadata")
        fields = _fields(given)
        if metadata and isinstance(metadata.get("user_id"), str):
            fields.setdefault("user", metadata["user_id"])
        return ChatRequest(
            fields=fields,
            model=model,
            messages=fields["messages"],
            is_stream=is_stream,
            wants_usage=False,
            output_tokens=output_tokens,
            size=len(body),
            metadata=metadata or {},
        )

    def whole(self, plan: Plan, answer: dict[str, Any]) -> bytes:
        choice = answer["choices"][0]
        usage = answer.get("usage") or {}
        made = _message(plan) | {
            "content": blocks.content_of(choice.get("message") or {}),
            **_stop(choice),
            "usage": {
                "input_tokens": usage.get("prompt_tokens") or 0,
                "output_tokens": usage.get("completion_tokens") or 0,
            },
        }
        if "review" in answer:
            made["review"] = answer["review"]
        return orjson.dumps(made)

    def reader(self, plan: Plan, backend: LiveBackend) -> MessageStream:
        return MessageStream(plan)

    def replayed(self, plan: Plan, answer: dict[str, Any]) -> bytes:
        return MessageStream(plan).replay(answer)

    def error(self, fields: Mapping[str, Any], status: int) -> bytes:
        inner = {name: fields[name] for name in fields if name != "request_id"}
        inner["type"] = _TYPES.get(status, "api_error")
        return orjson.dumps(
            {"type": "error", "error": inner, "request_id": fields.get("request_id")}
        )

    def error_event(
        self, fields: Mapping[str, Any], status: int, reader: StreamReader | None
    ) -> bytes:
        return b"event: error\ndata: " + self.error(fields, status) + b"\n\n"


def _message(plan: Plan) -> dict[str, Any]:
    return {
        "id": f"msg_{plan.decision_id.hex}",
        "type": "message",
        "role": "assistant",
        "model": plan.request.model,
    }


def _stop(choice: dict[str, Any]) -> dict[str, Any]:
    """vLLM and others name the stop sequence that they met as ``stop_reason``."""
    met = choice.get("stop_reason")
    if choice.get("finish_reason") == "stop" and isinstance(met, str):
        return {"stop_reason": "stop_sequence", "stop_sequence": met}
    reason = _STOP_REASONS.get(str(choice.get("finish_reason")), "end_turn")
    return {"stop_reason": reason, "stop_sequence": None}


class MessageStream(TranslatedStream):
    def __init__(self, plan: Plan) -> None:
        super().__init__(keeps_text=plan.route.capture != "none")
        self._plan = plan
        self._open = ""
        self._index = -1
        self._has_begun = False
        self._last: dict[str, Any] = {}

    def take_choice(self, choice: dict[str, Any]) -> bytes:
        if choice.get("finish_reason"):
            self._last = choice
        return super().take_choice(choice)

    def _begun(self) -> bytes:
        if self._has_begun:
            return b""
        self._has_begun = True
        message = _message(self._plan) | {
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            # The backend tells the true figure at the end; message_delta carries it.
            "usage": {"input_tokens": self._plan.prompt_tokens, "output_tokens": 0},
        }
        return event("message_start", message=message) + event("ping")

    def _closed(self) -> bytes:
        if not self._open:
            return b""
        self._open = ""
        return event("content_block_stop", index=self._index)

    def _opened(self, name: str, block: dict[str, Any]) -> bytes:
        if self._open == name:
            return b""
        before = self._begun() + self._closed()
        self._open = name
        self._index += 1
        return before + event("content_block_start", index=self._index, content_block=block)

    def said(self, text: str) -> bytes:
        return self._opened("text", {"type": "text", "text": ""}) + event(
            "content_block_delta", index=self._index, delta={"type": "text_delta", "text": text}
        )

    refused = said

    def called(self, call: dict[str, Any], place: int) -> bytes:
        function = call.get("function") or {}
        name = f"tool-{call.get('index', place)}"
        block: dict[str, Any] = {
            "type": "tool_use",
            "id": call.get("id") or "",
            "name": function.get("name") or "",
            "input": {},
        }
        out = self._opened(name, block)
        if piece := function.get("arguments"):
            out += event(
                "content_block_delta",
                index=self._index,
                delta={"type": "input_json_delta", "partial_json": piece},
            )
        return out

    def closing(self, usage: Usage) -> bytes:
        return (
            self._begun()
            + self._closed()
            + event(
                "message_delta",
                delta=_stop(self._last),
                usage={"input_tokens": usage.input_tokens, "output_tokens": usage.output_tokens},
            )
            + event("message_stop")
        )


MESSAGES = Messages()
