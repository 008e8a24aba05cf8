"""From a parsed request to its decision: route, data class, signals, facts, ``decide()``.

Everything here is in memory and pure but for the clock, which it reads once and hands on as a fact.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic, time
from typing import Any

from django.conf import settings

from audit.ids import uuid7
from routing.engine import classifier, signals
from routing.engine.decide import CompiledPolicy, decide
from routing.engine.registry import FIRST_REGISTRY
from routing.engine.types import BackendFacts, Decision, Facts, HoldTerms, SignalValue
from routing.gateway.errors import ApiError
from routing.gateway.exchange import Exchange
from routing.gateway.parse import ChatRequest
from routing.gateway.replica import Replica
from routing.gateway.snapshot import ClientKey, LiveRoute, Snapshot

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

    @property
    def target(self) -> str:
        """The chosen backend of a routed request."""
        return self.decision.backend or ""

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
    needs = set()
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


def _in_rollout(route: LiveRoute, unit: str) -> bool:
    if route.rollout_pct >= 100:
        return True
    seed = f"rollout:{route.policy_label}:{unit}".encode()
    return int.from_bytes(hashlib.sha256(seed).digest()[:8]) / 2**64 < route.rollout_pct / 100


def _session(x: Exchange, key: ClientKey) -> str:
    """A session id never leaves its key's name space, and is stored only as a digest."""
    given = x.header(b"x-session-id")[:200]
    return hashlib.sha256(f"{key.public_id}:{given}".encode()).hexdigest()[:24] if given else ""


def _measure(
    x: Exchange, request: ChatRequest, key: ClientKey, data_class: str, route: LiveRoute
) -> tuple[dict[str, SignalValue], tuple[tuple[str, str], ...]]:
    """The signals, and what the score is made of; what cannot be measured is absent."""
    registry = route.policy.registry if route.policy else FIRST_REGISTRY
    text = signals.read_request(request.fields)
    measured = signals.measure(
        text,
        step=x.header(b"x-signalbox-step")[:64],
        client=key.name,
        hour=datetime.fromtimestamp(x.at, UTC).hour,
        metadata=request.fields.get("metadata") or {},
        registry=registry,
    )
    measured["data_class"] = data_class
    scored = classifier.score(route.scorer, text, measured) if route.scorer else None
    if scored is None:
        return measured, ()
    measured.update(scored.as_signals())
    return measured, scored.top_contributions()


def plan(
    x: Exchange, request: ChatRequest, key: ClientKey, replica: Replica, snapshot: Snapshot
) -> Plan:
    """Decide. Raises ApiError where the request cannot reach a decision at all."""
    route, pin = find_route(snapshot, key, request.model)
    if route.policy is None:
        raise ApiError(
            "policy_unavailable", f"The route {route.slug!r} has no active policy version."
        )
    data_class = _data_class(x, route, key)
    measured, contributions = _measure(x, request, key, data_class, route)
    session = _session(x, key)
    facts = Facts(
        signals=measured,
        data_class=data_class,
        now_s=int(time()),
        needs=_needs(request, measured),
        output_tokens=request.output_tokens,
        pin=pin,
        boundary_ceiling=key.boundary_ceiling,
        sticky_tier=None,
        in_rollout=_in_rollout(route, session or key.public_id),
        baseline=route.baseline,
        killed=snapshot.killed_for(route.slug),
        classifier_failed=route.scorer is None,
        failed_signals=signals.unmeasured(measured),
        capped_rules=replica.hold_caps.used_up(route.slug, route.hold_caps),
    )
    backends = replica.backend_facts(snapshot, key)
    decision = decide(route.policy, facts, backends)
    replica.hold_caps.note(route.slug, decision.rule if decision.action == "hold" else None)
    wait_s = decision.limits.deadline_ms / 1000
    if (client_s := x.client_wait_s()) is not None:
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
        contributions=contributions,
    )
