"""Carries a decided request: attempts, one retry, fallbacks, one deadline, egress at each hop.

Which backend is next is the engine's word, here only its execution. Retry (the same backend again)
and fallback (another one after a failure) are counted apart.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from decimal import Decimal
from time import monotonic, time
from typing import Any

import orjson

from routing.adapters.openai_compatible import Clocks, OpenAICompatible
from routing.adapters.problems import BadAnswer, Forbidden, TooSlow, UpstreamProblem
from routing.engine.decide import fallback, may_send
from routing.gateway.errors import ApiError
from routing.gateway.planning import Plan
from routing.gateway.recorder import Recorder, Ticket
from routing.gateway.replica import Replica
from routing.gateway.snapshot import LiveBackend

_MILLION = Decimal(1_000_000)
_RESERVE_S = 0.2


@dataclass(slots=True, kw_only=True)
class Usage:
    """Tokens of one attempt. ``source`` is ``reported`` by the backend, or ``estimated`` by us."""

    input_tokens: int
    output_tokens: int
    source: str


@dataclass(slots=True, kw_only=True)
class Attempt:
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

    def cost_usd(self) -> Decimal:
        if self.usage is None:
            return Decimal(0)
        return (
            self.backend.price_in * self.usage.input_tokens
            + self.backend.price_out * self.usage.output_tokens
        ) / _MILLION

    def as_json(self) -> dict[str, Any]:
        return {
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


class Blocked(ApiError):
    """The egress check refused the hop although the decision had allowed it a moment before."""

    def __init__(self, reason: str) -> None:
        code = "data_class_blocked" if reason == "data_class" else "egress_not_approved"
        super().__init__(code, f"The backend may not receive this request now: {reason}.")
        self.reason = reason


@dataclass(slots=True, kw_only=True)
class Carrier:
    """The way of one request over its backends."""

    replica: Replica
    recorder: Recorder
    plan: Plan
    made: Ticket
    request_id: str
    attempts: list[Attempt] = field(default_factory=list)
    cause: str = ""
    # A held request is asked for whole, also when its client wants a stream.
    whole_answer: bool = False
    _kind: str = "first"
    _tried: list[str] = field(default_factory=list)
    _has_retried: bool = False

    def __post_init__(self) -> None:
        self.cause = self.plan.decision.cause

    @property
    def is_stream(self) -> bool:
        return self.plan.request.is_stream and not self.whole_answer

    @property
    def current(self) -> Attempt:
        return self.attempts[-1]

    async def begin(self, name: str) -> tuple[OpenAICompatible, Clocks]:
        """Check the hop again, see that it is recorded where it must be, and start its clock."""
        plan = self.plan
        backend = plan.snapshot.backends[name]
        live = self.replica.snapshot or plan.snapshot
        # The newest sign-offs and switches count, not those of the moment of deciding.
        facts = live.backends[name].facts if name in live.backends else None
        why = (
            "disabled"
            if facts is None
            else may_send(
                facts,
                data_class=plan.decision.data_class,
                now_s=int(time()),
                boundary_ceiling=plan.facts.boundary_ceiling,
                killed=live.killed_for(plan.route.slug),
                policy=plan.policy,
            )
        )
        if why:
            raise Blocked(str(why))
        if backend.boundary == "public":
            await self.recorder.durable(self.made)
        left = plan.deadline - monotonic()
        if left <= _RESERVE_S:
            raise TooSlow("The deadline has passed.")
        attempt = Attempt(
            number=len(self.attempts) + 1, backend=backend, kind=self._kind, started=monotonic()
        )
        self.attempts.append(attempt)
        self.replica.breaker(name).started(attempt.started)
        limits = plan.decision.limits
        clocks = Clocks(
            first_byte_s=min(limits.first_token_ms / 1000, left) if self.is_stream else left,
            idle_s=min(limits.stream_idle_ms / 1000, left) if self.is_stream else left,
            total_s=left,
        )
        return self.replica.adapter(name), clocks

    def body_for(self, backend: LiveBackend) -> bytes:
        """Write the request again from what was parsed, for this backend's model."""
        fields = {**self.plan.request.fields, "model": backend.upstream_model}
        if self.plan.request.output_tokens == 0:
            fields["max_tokens"] = backend.max_output_tokens
        if self.plan.request.is_stream and not self.is_stream:
            fields["stream"] = False
            fields.pop("stream_options", None)
        if self.is_stream:
            fields["stream_options"] = {
                **(fields.get("stream_options") or {}),
                "include_usage": True,
            }
        return orjson.dumps(fields)

    def succeeded(self) -> None:
        now = monotonic()
        self.current.total_s = now - self.current.started
        self.current.status = 200
        self.replica.breaker(self.current.backend.name).succeeded(now)

    def abandoned(self) -> None:
        """The client left: the attempt ends, and says nothing about the backend."""
        if self.attempts and self.current.status is None and self.current.problem is None:
            self.current.total_s = monotonic() - self.current.started
            self.current.problem = "client_gone"
            self.replica.breaker(self.current.backend.name).abandoned()

    def note(self, problem: UpstreamProblem) -> None:
        attempt, now = self.current, monotonic()
        attempt.total_s = now - attempt.started
        attempt.problem = problem.kind
        attempt.status = problem.status
        breaker = self.replica.breaker(attempt.backend.name)
        if problem.counts_against_backend:
            breaker.failed(now, is_connect_error=problem.kind == "connect")
        else:
            breaker.abandoned()

    async def after(self, problem: UpstreamProblem) -> str:
        """Return the backend of the next hop, or raise the error that ends the request."""
        self.note(problem)
        name = self.current.backend.name
        limits = self.plan.decision.limits
        left = self.plan.deadline - monotonic()
        has_room = len(self.attempts) < limits.attempts and left > _RESERVE_S
        if has_room and problem.may_retry and not self._has_retried:
            wait = random.random() * 0.2  # noqa: S311  (full jitter, protects nothing)
            wait = max(wait, problem.retry_after_s or 0.0)
            if wait < left / 2:
                self._has_retried, self._kind = True, "retry"
                await asyncio.sleep(wait)
                return name
        self._tried.append(name)
        if has_room and _may_fall_back(problem):
            target = self._fallback(name, problem)
            if target:
                self._kind = "fallback"
                self.cause = "fallback_timeout" if problem.kind == "timeout" else "fallback_error"
                return target
        raise _final(problem)

    def _fallback(self, failed: str, problem: UpstreamProblem) -> str | None:
        return fallback(
            self.plan.policy,
            self.plan.facts,
            self.replica.backend_facts(self.plan.snapshot, self.plan.key),
            failed=failed,
            tried=tuple(self._tried),
            kind=_fallback_kind(problem),
        )


def _fallback_kind(problem: UpstreamProblem) -> str:
    if problem.status == 400:
        if "context" in problem.detail and "length" in problem.detail:
            return "context_window"
        if "content_filter" in problem.detail or "content_policy" in problem.detail:
            return "content_policy"
    return "failure"


def _may_fall_back(problem: UpstreamProblem) -> bool:
    # The caller's own mistake would be the same mistake everywhere.
    is_callers_fault = (
        problem.status in {400, 404, 413, 422} and _fallback_kind(problem) == "failure"
    )
    return not is_callers_fault and not isinstance(problem, Forbidden)


def _final(problem: UpstreamProblem) -> ApiError:
    if isinstance(problem, Forbidden):
        return Blocked("address")
    if isinstance(problem, TooSlow):
        return ApiError("upstream_timeout", "No backend answered within the deadline.")
    if problem.status in {400, 413, 422}:
        if _fallback_kind(problem) == "context_window":
            return ApiError(
                "context_length_exceeded", "The request is longer than the model can read."
            )
        return ApiError("invalid_request", "The backend refused the request as invalid.")
    if problem.status == 429:
        retry_after = min(60, max(1, round(problem.retry_after_s or 5)))
        return ApiError(
            "no_healthy_backend", "Every permitted backend is busy.", retry_after_s=retry_after
        )
    return ApiError("upstream_error", "No permitted backend gave a usable answer.")


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
