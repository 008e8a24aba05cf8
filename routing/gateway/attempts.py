"""One call of one backend: what it took, used and cost, and whether its answer was any good."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from routing.adapters.problems import BadAnswer
from routing.gateway.snapshot import LiveBackend

_MILLION = Decimal(1_000_000)
# These broke off while the backend worked, so what it had read by then is owed.
OWED = frozenset({"timeout", "bad_answer", "client_gone"})


@dataclass(slots=True, kw_only=True)
class Usage:
    """Tokens of one attempt. ``source`` is ``reported`` by the backend, or ``estimated`` by us."""

    input_tokens: int
    output_tokens: int
    source: str


@dataclass(slots=True, kw_only=True)
class Attempt:
    """``kind`` is first, retry, fallback, escalation or agreement. ``verdict`` says why an answer
    that came was not used; ``confidence`` is what was measured on it, where it was measured."""

    number: int
    backend: LiveBackend
    kind: str
    started: float
    status: int | None = None
    problem: str | None = None
    first_byte_s: float | None = None
    total_s: float = 0.0
    usage: Usage | None = None
    upstream_id: str = ""
    verdict: str = ""
    confidence: dict[str, Any] | None = None
    # Of the trace, where there is one.
    span_id: str = ""
    # The model that the backend says it used, where that is not the one it was asked for.
    other_model: str = ""

    def answered_as(self, model: object) -> None:
        if isinstance(model, str) and model and model != self.backend.upstream_model:
            self.other_model = model[:128]

    def cost_usd(self) -> Decimal:
        if self.usage is None:
            return Decimal(0)
        return (
            self.backend.price_in * self.usage.input_tokens
            + self.backend.price_out * self.usage.output_tokens
        ) / _MILLION

    def tokens(self) -> int:
        return self.usage.input_tokens + self.usage.output_tokens if self.usage else 0

    def as_json(self) -> dict[str, Any]:
        made: dict[str, Any] = {
            "n": self.number,
            "backend": self.backend.name,
            "boundary": self.backend.boundary,
            "kind": self.kind,
            "status": self.status,
            "problem": self.problem,
            "first_byte_ms": None if self.first_byte_s is None else round(self.first_byte_s * 1000),
            "total_ms": round(self.total_s * 1000),
            "input_tokens": self.usage and self.usage.input_tokens,
            "output_tokens": self.usage and self.usage.output_tokens,
            "usage_source": self.usage and self.usage.source,
            "cost_usd": format(self.cost_usd().normalize(), "f"),
            "price_version": self.backend.price_version,
            "upstream_request_id": self.upstream_id or None,
        }
        if self.verdict:
            made["verdict"] = self.verdict
        if self.other_model:
            made["other_model"] = self.other_model
        if self.confidence is not None:
            made["confidence"] = self.confidence
        return made


def check_answer(body: bytes) -> dict[str, Any]:
    """Return the chat completion in ``body`` or raise BadAnswer; status 200 proves nothing."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise BadAnswer("The backend's answer is not JSON.") from None
    if (
        not isinstance(answer, dict)
        or answer.get("error")
        or not isinstance(answer.get("choices"), list)
    ):
        raise BadAnswer("The backend's answer is not a chat completion.")
    if not answer["choices"] or not isinstance(answer["choices"][0], dict):
        raise BadAnswer("The backend's answer has no choice.")
    return answer


def usage_of(reported: Any, *, estimated_in: int, estimated_out: int) -> Usage:
    """Read the usage that a backend reports; zero or nothing is not "reported"."""
    if isinstance(reported, dict):
        tokens_in, tokens_out = reported.get("prompt_tokens"), reported.get("completion_tokens")
        if isinstance(tokens_in, int) and isinstance(tokens_out, int) and tokens_in > 0:
            return Usage(
                input_tokens=tokens_in, output_tokens=max(0, tokens_out), source="reported"
            )
    return Usage(input_tokens=estimated_in, output_tokens=estimated_out, source="estimated")
