"""Carries a decided request: attempts, one retry, fallbacks, one deadline, egress at each hop.

Which backend is next is the engine's word, here only its execution. Retry (the same backend again),
fallback (another one after a failure) and escalation (a larger one out of doubt) are counted apart.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from time import monotonic, time
from typing import Any

import orjson

from routing.adapters.openai_compatible import Clocks, OpenAICompatible
from routing.adapters.problems import TooSlow, UpstreamProblem
from routing.engine.decide import fallback, may_send
from routing.engine.types import BackendFacts, Followup
from routing.gateway import refusals
from routing.gateway.attempts import OWED, Attempt, Usage
from routing.gateway.budgets import Reservation
from routing.gateway.parse import CHAT_PATH
from routing.gateway.planning import Plan
from routing.gateway.recorder import Recorder, Ticket
from routing.gateway.refusals import Blocked, Resting
from routing.gateway.replica import Replica
from routing.gateway.snapshot import LiveBackend
from routing.gateway.tracing import Trace, new_span_id

_RESERVE_S = 0.2
_JITTER_S = 0.2
# Calls whose answers are never served.
_BESIDE = frozenset({"agreement", "verifier"})


@dataclass(slots=True, kw_only=True)
class Carrier:
    """The way of one request over its backends."""

    replica: Replica
    recorder: Recorder
    plan: Plan
    made: Ticket
    request_id: str
    trace: Trace | None = None
    caller_trace: bytes = b""
    # The ticket of its end, once that is sealed: a second end would leave a hole in the numbers.
    ended: Ticket | None = None
    attempts: list[Attempt] = field(default_factory=list)
    cause: str = ""
    # A held request is asked for whole, also when its client wants a stream.
    whole_answer: bool = False
    # What a policy needs to judge an answer; the client never sees it unless it asked.
    judged_fields: dict[str, Any] = field(default_factory=dict)
    # A request of our own beside the client's, with the same rights.
    other_fields: dict[str, Any] | None = None
    beside: Carrier | None = None
    # What the terminal event says beside the attempts.
    notes: dict[str, Any] = field(default_factory=dict)
    reservation: Reservation | None = None
    _is_first_reserved: bool = False
    _kind: str = "first"
    _has_retried: bool = False
    _has_fallen_back: bool = False

    def __post_init__(self) -> None:
        self.cause = self.plan.decision.cause

    @property
    def is_stream(self) -> bool:
        return self.plan.request.is_stream and not self.whole_answer

    @property
    def current(self) -> Attempt:
        return self.attempts[-1]

    @property
    def traceparent(self) -> bytes:
        """What a backend is told of the trace: our span, or its caller's while none are noted."""
        return self.trace.header(self.current.span_id) if self.trace else self.caller_trace

    @property
    def left_s(self) -> float:
        return self.plan.deadline - monotonic()

    async def begin(self, name: str) -> tuple[OpenAICompatible, Clocks]:
        """Check the hop again, see that it is recorded where it must be, and start its clock."""
        plan = self.plan
        backend = plan.snapshot.backends[name]
        if backend.boundary == "public":
            # Waited for before the check: what ends meanwhile must not be sent any more.
            await self.recorder.durable(self.made)
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
        left = self.left_s
        if left <= _RESERVE_S:
            raise TooSlow("The deadline has passed.")
        kind = self._kind
        if self.reservation is not None:
            self._reserve_hop(backend)
        attempt = Attempt(
            number=len(self.attempts) + 1, backend=backend, kind=kind, started=monotonic()
        )
        if self.trace is not None:
            attempt.span_id = new_span_id()
        self.attempts.append(attempt)
        if not self.replica.breaker(name).enter(attempt.started, is_retry=kind == "retry"):
            raise Resting(f"{name} rests")
        if kind != "retry":
            self.replica.retries(name).called()
        return self.replica.adapter(name), self._clocks(name, left)

    def reserve(self) -> None:
        """Set aside what the decision may cost; nothing waits between the two."""
        self.reservation = self.replica.budgets.reserve(self.plan)
        self._is_first_reserved = self.plan.decision.action == "route"

    def _reserve_hop(self, backend: LiveBackend) -> None:
        if self._is_first_reserved:
            self._is_first_reserved = False
        elif self.reservation is not None:
            self.replica.budgets.reserve_more(self.reservation, self.plan, backend)

    def settle(self) -> None:
        """Put what was used in the place of what was set aside; once, at the end."""
        if self.reservation is not None:
            self.replica.budgets.settle(self.reservation, self)
            self.reservation = None

    def facts_now(self) -> dict[str, BackendFacts]:
        """The backends as they are at this hop, also as far as the budgets go."""
        plan, over = self.plan, ""
        if self.reservation is not None:
            budgets = self.replica.budgets
            over = budgets.over(plan.snapshot, self.reservation.targets, self.reservation)
        return self.replica.backend_facts(plan.snapshot, plan.key, over)

    def _clocks(self, name: str, left: float) -> Clocks:
        limits = self.plan.decision.limits
        if not self.is_stream:
            left = self._leaving_room(name, left)
            return Clocks(first_byte_s=left, idle_s=left, total_s=left)
        return Clocks(
            first_byte_s=min(limits.first_token_ms / 1000, left),
            idle_s=min(limits.stream_idle_ms / 1000, left),
            total_s=left,
        )

    def _leaving_room(self, name: str, left: float) -> float:
        """The first hop's share: what the next one usually takes is kept back for it."""
        if len(self.attempts) > 1:
            return left
        chain = self.plan.policy.policy.fallbacks.failure.get(name) or self.plan.decision.plan
        usual = self.replica.latencies.quantile(chain[0], 0.5) if chain else None
        return left if usual is None else max(left / 2, left - usual - _RESERVE_S)

    def first_content_clock(self) -> asyncio.Timeout:
        """Runs from the call to the first word of a stream; headers alone do not stop it."""
        left = self.current.started + self.plan.decision.limits.first_token_ms / 1000 - monotonic()
        return asyncio.timeout(max(0.0, left))

    def body_for(self, backend: LiveBackend) -> bytes:
        """Write the request again from what was parsed, for this backend's model."""
        if self.other_fields is not None:
            return orjson.dumps({**self.other_fields, "model": backend.upstream_model})
        fields = {**self.plan.request.fields, "model": backend.upstream_model}
        if self.plan.request.path != CHAT_PATH:
            return orjson.dumps(fields)
        if self.judged_fields and self._is_judged(backend):
            fields |= self.judged_fields
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

    def _is_judged(self, backend: LiveBackend) -> bool:
        # One that does not know the parameter would refuse the request for it.
        return (
            backend.tier in self.plan.policy.policy.escalation
            and "logprobs" in backend.facts.capabilities
        )

    def tier_of(self, name: str) -> str:
        return self.plan.snapshot.backends[name].tier

    def companion(self, kind: str) -> Carrier:
        """A way of its own for a call beside this one, whose attempts `adopt` takes over."""
        return Carrier(
            replica=self.replica,
            recorder=self.recorder,
            plan=self.plan,
            made=self.made,
            request_id=self.request_id,
            trace=self.trace,
            caller_trace=self.caller_trace,
            whole_answer=True,
            reservation=self.reservation,
            _kind=kind,
        )

    def adopt(self, other: Carrier) -> None:
        """Take over the attempts of a companion, before the one that answers."""
        for attempt in other.attempts:
            attempt.verdict = "not_served"
        self.attempts[-1:-1] = other.attempts
        for number, attempt in enumerate(self.attempts, 1):
            attempt.number = number

    def doubted(self, followup: Followup) -> None:
        """The current answer is not served: its cost stays in the record, apart."""
        attempt, now = self.current, monotonic()
        if attempt.status is None and attempt.problem is None:
            # It answered well enough to be judged, so it is well.
            attempt.status, attempt.total_s = 200, now - attempt.started
            name = attempt.backend.name
            self.replica.breaker(name).succeeded(now, started=attempt.started)
        if attempt.status == 200:
            attempt.verdict = "uncertain"
        self.notes["doubt"] = {
            "action": followup.action,
            "to": followup.to,
            "sentence": followup.sentence,
        }

    def escalate(self) -> None:
        self._kind, self.cause = "escalation", "uncertain_escalated"

    def ending(self, details: Mapping[str, Any] | None) -> dict[str, Any]:
        """The details of the terminal event, with what was spent on answers that nobody got."""
        beside = [one.cost_usd() for one in self.attempts if one.verdict]
        spent = (
            {"not_served_usd": format(sum(beside, Decimal(0)).normalize(), "f")} if beside else {}
        )
        return {**self.notes, **spent, **(details or {})}

    def succeeded(self) -> None:
        now, attempt = monotonic(), self.current
        attempt.total_s = now - attempt.started
        attempt.status = 200
        name = attempt.backend.name
        self.replica.breaker(name).succeeded(now, started=attempt.started)
        self.replica.latencies.note(name, attempt.total_s)
        turn = self.plan.turn
        if turn is not None and not self._has_fallen_back and attempt.kind not in _BESIDE:
            turn.remember(self.plan.decision, self.plan.facts, tier=attempt.backend.tier)

    def abandoned(self) -> None:
        """The client left: the attempt ends, and says nothing about the backend."""
        if self.attempts and self.current.status is None and self.current.problem is None:
            attempt = self.current
            attempt.total_s = monotonic() - attempt.started
            attempt.problem = "client_gone"
            self._owe(attempt)
            self.replica.breaker(attempt.backend.name).abandoned(started=attempt.started)

    def note(self, problem: UpstreamProblem) -> None:
        attempt, now = self.current, monotonic()
        attempt.total_s = now - attempt.started
        attempt.problem = problem.kind
        attempt.status = problem.status
        self._owe(attempt)
        if isinstance(problem, Resting):
            return
        breaker = self.replica.breaker(attempt.backend.name)
        if problem.counts_against_backend:
            is_connect = problem.kind == "connect"
            breaker.failed(now, is_connect_error=is_connect, started=attempt.started)
            return
        breaker.abandoned(started=attempt.started)
        if problem.status == 429:
            breaker.shed(now, problem.retry_after_s)

    def _owe(self, attempt: Attempt) -> None:
        """A call that broke off in its work costs what it had read; nobody reports that."""
        if attempt.usage is None and attempt.problem in OWED:
            attempt.usage = Usage(
                input_tokens=self.plan.prompt_tokens,
                output_tokens=0,
                source="estimated",
            )

    async def after(self, problem: UpstreamProblem) -> str:
        """Return the backend of the next hop, or raise the error that ends the request."""
        self.note(problem)
        name, left = self.current.backend.name, self.left_s
        if left > _RESERVE_S and problem.may_retry and not self._has_retried:
            wait = random.random() * _JITTER_S  # noqa: S311  (full jitter, protects nothing)
            wait = max(wait, problem.retry_after_s or 0.0)
            if wait < left / 2 and self.replica.retries(name).take():
                self._has_retried, self._kind = True, "retry"
                await asyncio.sleep(wait)
                return name
        if left > _RESERVE_S and refusals.may_fall_back(problem):
            target = self._fallback(name, problem)
            if target:
                self._kind, self._has_fallen_back = "fallback", True
                self.cause = "fallback_timeout" if problem.kind == "timeout" else "fallback_error"
                return target
        raise refusals.of_problem(problem, self.replica)

    def _fallback(self, failed: str, problem: UpstreamProblem) -> str | None:
        return fallback(
            self.plan.policy,
            self.plan.facts,
            self.facts_now(),
            failed=failed,
            tried=tuple(
                dict.fromkeys(one.backend.name for one in self.attempts if one.kind not in _BESIDE)
            ),
            kind=refusals.fallback_kind(problem),
        )
