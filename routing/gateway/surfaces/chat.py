"""Chat completions: what backends speak too, so that answers and events pass as they are."""

from __future__ import annotations

from typing import Any

import orjson

from routing.gateway.answers import sse_completion
from routing.gateway.parse import ChatRequest, chat_request
from routing.gateway.planning import Plan
from routing.gateway.snapshot import LiveBackend
from routing.gateway.sse import ChatStream
from routing.gateway.surfaces.surface import Surface


class Chat(Surface):
    def read(self, body: bytes) -> ChatRequest:
        return chat_request(body)

    def whole(self, plan: Plan, answer: dict[str, Any]) -> bytes:
        return orjson.dumps(answer)

    def reader(self, plan: Plan, backend: LiveBackend) -> ChatStream:
        return ChatStream(
            upstream_model=backend.upstream_model,
            alias=plan.request.model,
            wants_usage=plan.request.wants_usage,
            keeps_text=plan.route.capture != "none",
        )

    def replayed(self, plan: Plan, answer: dict[str, Any]) -> bytes:
        return sse_completion(answer, wants_usage=plan.request.wants_usage)


CHAT = Chat()
