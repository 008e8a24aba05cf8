"""From a parsed request to its decision: route, data class, signals, facts, ``decide()``.

Everything here is in memory and pure but for the clock, which it reads once and hands on as a fact.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from time import monotonic, perf_counter, time
from typing import Any

from django.conf import settings

from audit.ids import uuid7
from routing.engine import signals
from routing.engine.decide import CompiledPolicy, decide
from routing.engine.registry import FIRST_REGISTRY
from routing.engine.types import BackendFacts, Decision, Facts, HoldTerms, SignalValue
from routing.gateway.errors import ApiError
from routing.gateway.exchange import Exchange
from routing.gateway.parse import ChatRequest
from routing.gateway.replica import Replica
from routing.gateway.scoring import Scoring
from routing.gateway.sessions import Turn, classified_in
from routing.gateway.snapshot import ClientKey, LiveRollout, LiveRoute, Snapshot

_CLIENT_MARGIN_S = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A decided request. ``deadline`` is monotonic, ``deadline_at`` the same moment in UTC."""

    snapshot: Snapshot
    key: ClientKey
    route: LiveRoute
    policy: CompiledPolicy
    request: ChatRequest
    facts: Facts
    backends: Mapping[str, BackendFacts]
    decision: Decision
    decision_id: uuid.UUID
    session: str
    deadline: float
    deadline_at: datetime
    contributions: tuple[tuple[str, str], ...]
    turn: Turn | None = None
    # The budgets that look on: of the key, of the route.
    budgeted: tuple[tuple[str, str], ...] = ()
    rollout: LiveRollout | None = None

    @property
    def target(self) -> str:
        """The chosen backend of a routed request."""
        return self.decision.backend or ""

    @property
    def prompt_tokens(self) -> int:
        """The estimate that was decided on; for what a backend does not report."""
        tokens = self.facts.signals.get("prompt_tokens")
        return tokens if isinstance(tokens, int) else 0

    @property
    def terms(self) -> HoldTerms:
        """The terms of a held request."""
        if self.decision.hold is None:
            raise LookupError("only a held request has terms")
        return self.decision.hold


def find_route(snapshot: Snapshot, key: ClientKey, model: str) -> tuple[LiveRoute, str | None]:
    """Return the route that ``model`` names and the pinned backend, if it names one.

    Raises 404 for an unknown model and 403 for one that the key may not use.
    """
    slug = key.default_route if model == "auto" else model
    route = snapshot.routes.get(slug)
    if route is not None and route.enabled:
        if not key.may_call(slug):
            raise ApiError(
                "model_not_allowed", f"This key may not use the route {slug!r}.", param="model"
            )
        return route, None
    if model in snapshot.backends and key.may_pin:
        route = snapshot.routes.get(key.default_route)
        if route is not None and route.enabled:
            return route, model
    if model in snapshot.backends:
        raise ApiError(
            "model_not_allowed",
            "This key may not choose a backend; name a route instead.",
            param="model",
        )
    raise ApiError("model_not_found", f"There is no route named {model[:64]!r}.", param="model")


def _data_class(x: Exchange, route: LiveRoute, key: ClientKey) -> str:
    """The route's class, raised by the caller where it asks for more; never lowered."""
    ordered = settings.DATA_CLASSES
    wanted = x.header(b"x-signalbox-data-class").lower()
    if not wanted:
        effective = route.data_class
    elif wanted not in ordered:
        raise ApiError("invalid_request", f"The data class must be one of {', '.join(ordered)}.")
    else:
        effective = max(wanted, route.data_class, key=ordered.index)
    if ordered.index(effective) > ordered.index(key.data_class_ceiling):
        raise ApiError(
            "data_class_blocked",
            f"This key may send data up to the class {key.data_class_ceiling!r}.",
        )
    return effective


def _needs(request: ChatRequest, measured: Mapping[str, Any]) -> frozenset[str]:
    needs = set(request.needs)
    if request.is_stream:
        needs.add("stream")
    for signal, capability in (
        ("has_tools", "tools"),
        ("has_images", "images"),
        ("wants_json", "json"),
    ):
        if measured.get(signal) is True:
            needs.add(capability)
    return frozenset(needs)


def _in_rollout(route: LiveRoute, key: ClientKey, session: str, request: ChatRequest) -> bool:
    """Whether this session, or this conversation, is in the share that the policy decides.

    The place of a unit depends on the route alone: a larger share adds units and moves nobody back.
    """
    if route.rollout_pct >= 100:
        return True
    unit = session
    if not unit:
        # A conversation keeps its beginning while it grows.
        asked = next((m.get("content") for m in request.messages if m.get("role") == "user"), "")
        unit = f"{key.public_id}:{asked}"
    seed = f"rollout:{route.slug}:{unit}".encode()
    return int.from_bytes(hashlib.sha256(seed).digest()[:8]) / 2**64 < route.rollout_pct / 100


def _session(x: Exchange, key: ClientKey) -> str:
    """A session id never leaves its key's name space, and is stored only as a digest."""
    given = x.header(b"x-session-id")[:200]
    return hashlib.sha256(f"{key.public_id}:{given}".encode()).hexdigest()[:24] if given else ""


def _turn(route: LiveRoute, session: str, data_class: str, replica: Replica) -> Turn | None:
    """What is remembered of this session, where the policy lets sessions keep their tier."""
    terms = route.policy.policy.session if route.policy else None
    if not session or terms is None or not terms.sticky:
        return None
    now, sessions = monotonic(), replica.sessions
    key = (session, route.policy_label, data_class)
    before = sessions.find(key, now, terms.ttl_s)
    why = ""
    if before is None:
        others = (one for one in settings.DATA_CLASSES if one != data_class)
        if any(sessions.find((*key[:2], one), now, terms.ttl_s) for one in others):
            why = "data_class"
    return Turn(sessions=sessions, key=key, terms=terms, before=before, now=now, why=why)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """The signals and what the score is made of; what cannot be measured is absent."""

    signals: dict[str, SignalValue]
    contributions: tuple[tuple[str, str], ...] = ()
    classifier_failed: bool = False


def _measure(
    x: Exchange,
    request: ChatRequest,
    key: ClientKey,
    data_class: str,
    *,
    route: LiveRoute,
    turn: Turn | None,
    scoring: Scoring,
) -> _Measured:
    registry = route.policy.registry if route.policy else FIRST_REGISTRY
    text = signals.read_request(request.fields)
    measured = signals.measure(
        text,
        step=x.header(b"x-signalbox-step")[:64],
        client=key.name,
        hour=datetime.fromtimestamp(x.at, UTC).hour,
        metadata=request.metadata,
        registry=registry,
    )
    measured["data_class"] = data_class
    if request.unread_tokens:
        # Nobody has read them: what they hold is unknown, not harmless.
        measured["prompt_tokens"] = request.unread_tokens
        measured.pop("personal_data", None)
    if route.scorer is None:
        return _Measured(signals=measured, classifier_failed=True)
    scored, has_failed = scoring.score(route.scorer, text, measured)
    if scored is not None:
        measured.update(scored.as_signals())
        if turn is not None:
            turn.classified = classified_in(measured)
        return _Measured(signals=measured, contributions=scored.top_contributions())
    if turn is not None and turn.before is not None and not has_failed:
        # Nothing to weigh in this turn: the conversation's own classification goes on.
        measured.update(turn.before.classified)
    return _Measured(signals=measured, classifier_failed=has_failed)


def plan(
    x: Exchange, request: ChatRequest, key: ClientKey, replica: Replica, snapshot: Snapshot
) -> Plan:
    """Decide, and change nothing: a dry run asks too.

    Raises ApiError where the request cannot reach a decision at all.
    """
    x.parsed_at = perf_counter()
    route, pin = find_route(snapshot, key, request.model)
    session, running = _session(x, key), route.rollout
    route, arm = route.for_unit(session or key.public_id)
    if route.policy is None:
        raise ApiError(
            "policy_unavailable", f"The route {route.slug!r} has no active policy version."
        )
    data_class = _data_class(x, route, key)
    turn = _turn(route, session, data_class, replica) if session else None
    found = _measure(x, request, key, data_class, route=route, turn=turn, scoring=replica.scoring)
    budgeted = replica.budgets.targets(snapshot, key, route.slug)
    if budgeted and (left := replica.budgets.left_pct(snapshot, route.slug)) is not None:
        found.signals["budget_left_pct"] = left
    x.measured_at = perf_counter()
    facts = Facts(
        signals=found.signals,
        data_class=data_class,
        now_s=int(time()),
        needs=_needs(request, found.signals),
        output_tokens=request.output_tokens,
        pin=pin,
        boundary_ceiling=key.boundary_ceiling,
        sticky_tier=turn.tier if turn else None,
        in_rollout=_in_rollout(route, key, session, request),
        baseline=route.baseline,
        killed=snapshot.killed_for(route.slug),
        classifier_failed=found.classifier_failed,
        failed_signals=signals.unmeasured(found.signals),
        capped_rules=replica.hold_caps.used_up(route.slug, route.hold_caps),
        arm=arm,
    )
    over = replica.budgets.over(snapshot, budgeted) if budgeted else ""
    backends = replica.backend_facts(snapshot, key, over)
    decision, facts = _decide(route.policy, facts, backends, turn)
    x.decided_at = perf_counter()
    wait_s = decision.limits.deadline_ms / 1000
    client_s = None if request.is_background else x.client_wait_s()
    if client_s is not None:
        wait_s = min(wait_s, max(1.0, client_s - _CLIENT_MARGIN_S))
    return Plan(
        snapshot=snapshot,
        key=key,
        route=route,
        policy=route.policy,
        request=request,
        facts=facts,
        backends=backends,
        decision=decision,
        decision_id=uuid7(),
        session=session,
        deadline=monotonic() + wait_s - x.elapsed_s(),
        deadline_at=datetime.fromtimestamp(x.at + wait_s, UTC),
        contributions=found.contributions,
        turn=turn,
        budgeted=budgeted,
        rollout=running,
    )


def _decide(
    policy: CompiledPolicy,
    facts: Facts,
    backends: Mapping[str, BackendFacts],
    turn: Turn | None,
) -> tuple[Decision, Facts]:
    """Decide; again without the session's memory where a rule raised the data class above it."""
    decision = decide(policy, facts, backends)
    if turn is None:
        return decision, facts
    before = turn.before
    if before is not None and before.data_class != decision.data_class:
        turn.before, turn.why = None, "data_class"
        facts = replace(facts, sticky_tier=None)
        decision = decide(policy, facts, backends)
        turn.state = "bypass"
    turn.judge(decision, facts)
    return decision, facts
