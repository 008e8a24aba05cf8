"""Answers that the router writes itself, and the headers that state a decision."""

from __future__ import annotations

from time import time
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from routing.gateway.planning import Plan
    from routing.gateway.snapshot import ClientKey

Headers = list[tuple[bytes, bytes]]

STREAM_HEADERS: Headers = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
]


def decision_headers(plan: Plan) -> Headers:
    """What is known once the decision is made; the outcome's own headers follow at the answer."""
    return [
        (b"x-signalbox-decision-id", str(plan.decision_id).encode()),
        (b"x-signalbox-policy", plan.route.policy_label.encode()),
        (b"x-signalbox-policy-digest", plan.route.policy_digest.encode()),
        (b"x-signalbox-rule", plan.decision.rule.encode("ascii", "replace")),
        (b"x-signalbox-sticky", plan.turn.state.encode() if plan.turn else b"none"),
    ]


def debug_headers(plan: Plan) -> Headers:
    """More of the decision, for who asks: what was measured of the whole, and every backend."""
    decision, signals = plan.decision, plan.facts.signals
    judged = ",".join(
        f"{one.name}={one.reason or one.verdict}" for one in decision.trace.candidates
    )
    made = [
        (b"x-signalbox-data-class", decision.data_class.encode("ascii", "replace")),
        (b"x-signalbox-candidates", judged[:1000].encode("ascii", "replace")),
        (b"x-signalbox-prompt-tokens", str(plan.prompt_tokens).encode()),
    ]
    for name in ("score", "gain"):
        if name in signals:
            made.append((f"x-signalbox-{name}".encode(), str(signals[name]).encode()))
    return made


def rate_headers(key: ClientKey, left: tuple[int, int]) -> Headers:
    remaining, reset_s = left
    return [
        (b"x-ratelimit-limit-requests", str(key.requests_per_minute).encode()),
        (b"x-ratelimit-remaining-requests", str(remaining).encode()),
        (b"x-ratelimit-reset-requests", f"{reset_s}s".encode()),
    ]


def completion(
    plan: Plan, text: str, *, finish_reason: str, extra: dict[str, object] | None = None
) -> dict[str, Any]:
    """A complete chat completion with our own text, so that no SDK trips over a missing field."""
    prompt_tokens = plan.prompt_tokens
    return {
        "id": f"chatcmpl-{plan.decision_id.hex}",
        "object": "chat.completion",
        "created": int(time()),
        "model": plan.request.model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": None,
                "finish_reason": finish_reason,
            }
        ],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": 0,
            "total_tokens": prompt_tokens,
        },
        **(extra or {}),
    }


def _delta(message: dict[str, Any]) -> dict[str, Any]:
    delta = {name: value for name, value in message.items() if value is not None}
    if isinstance(delta.get("tool_calls"), list):
        # In a stream each call says which one it is.
        delta["tool_calls"] = [
            {"index": place, **call} for place, call in enumerate(delta["tool_calls"])
        ]
    return delta


def sse_completion(answer: dict[str, Any], *, wants_usage: bool) -> bytes:
    """The same completion as an event stream, end marker included."""
    head = {name: answer.get(name) for name in ("id", "created", "model")}
    head["object"] = "chat.completion.chunk"
    chunks: list[dict[str, Any]] = []
    for choice in answer["choices"]:
        place = choice.get("index", 0)
        first: dict[str, Any] = {"index": place, "delta": _delta(choice["message"])}
        if choice.get("logprobs"):
            first["logprobs"] = choice["logprobs"]
        last = {"index": place, "delta": {}, "finish_reason": choice.get("finish_reason")}
        chunks.append({**head, "choices": [{**first, "finish_reason": None}]})
        chunks.append({**head, "choices": [last]})
    if wants_usage:
        chunks.append({**head, "choices": [], "usage": answer.get("usage")})
    return (
        b"".join(b"data: " + orjson.dumps(chunk) + b"\n\n" for chunk in chunks)
        + b"data: [DONE]\n\n"
    )
