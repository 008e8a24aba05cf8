"""The data-flow document: which data may go where, by whose word, and what was seen to go there.

Made from the registry, the active policies, the sign-offs and the routes; never written by hand.
What is permitted is proved by the engine's analysis.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

import audit
from accounts.models import ApiKey, User
from audit.actors import Actor
from routing.engine.canonical import digest as digest_of
from routing.engine.document import parse_policy
from routing.engine.flows import Flow, permitted, refusal
from routing.engine.policy import Policy
from routing.engine.types import BackendFacts
from routing.models import Backend, DataFlowIssue, Decision, PolicyVersion, Route, SignOff
from routing.models.backends import Boundary
from routing.queries.traffic import begins, counted
from routing.services.analysis import registry_facts
from screens.access import require
from screens.errors import Conflict, Invalid

SCHEMA: Final = "signalbox.data-flow/1"
OBSERVED_FOR: Final = timedelta(days=30)
# How a decision may have ended whose text reached its backend, or may have.
_REACHED: Final = tuple(
    outcome.value
    for outcome in Decision.Outcome
    if outcome not in (Decision.Outcome.BLOCKED, Decision.Outcome.REFUSED)
)
KEPT: Final = {
    "none": "no text; the decision's record only",
    "commitment": "no text; a keyed hash that proves it later",
    "encrypted": "the text, encrypted, until it is erased",
}
CLOSED: Final = {
    "data_class": "the registry does not let it receive this class",
    "not_signed_off": "no sign-off",
    "sign_off_expired": "its sign-off has expired",
}


def build(now: datetime | None = None) -> dict[str, Any]:
    """The whole document as plain JSON, the strictest class first."""
    now = now or timezone.now()
    known = registry_facts()
    backends = {backend.name: backend for backend in Backend.objects.order_by("name")}
    signoffs = standing_signoffs(now)
    routes = list(Route.objects.select_related("baseline").order_by("slug"))
    active = {
        version.route_id: version
        for version in PolicyVersion.objects.filter(state=PolicyVersion.State.ACTIVE)
    }
    policies = {
        route.slug: parse_policy(active[route.pk].document)
        for route in routes
        if route.pk in active
    }
    flows: list[dict[str, Any]] = []
    for route in routes:
        if route.slug in policies:
            version = active[route.pk]
            found = _flows_of(route, policies[route.slug], known, int(now.timestamp()))
            flows += _rows(route, version, found, backends, signoffs)
    rank = {name: place for place, name in enumerate(settings.DATA_CLASSES)}
    flows.sort(key=lambda f: (-rank[f["data_class"]], f["boundary"], f["backend"], f["route"]))
    allowed = {(f["route"], f["data_class"], f["backend"]) for f in flows}
    return {
        "schema": SCHEMA,
        "classes": list(reversed(settings.DATA_CLASSES)),
        "flows": flows,
        "closed": _closed(known, flows, policies, int(now.timestamp())),
        "processors": [_processor(b) for b in backends.values() if b.boundary == Boundary.PUBLIC],
        "routes": [_route(route, active.get(route.pk)) for route in routes],
        "observed": _observed(allowed, now),
    }


def _flows_of(
    route: Route, policy: Policy, known: Mapping[str, BackendFacts], now_s: int
) -> list[Flow]:
    baseline = route.baseline.name if route.baseline and route.rollout_pct < 100 else None
    return permitted(
        policy,
        known,
        now_s=now_s,
        floor=route.data_class,
        baseline=baseline,
        may_pin=_keys(route).filter(may_pin=True).exists(),
    )


def _keys(route: Route) -> Any:
    """The keys that may use the route; an empty list of routes means every route."""
    usable = ApiKey.objects.filter(revoked_at__isnull=True).filter(
        Q(expires_at__isnull=True) | Q(expires_at__gt=timezone.now())
    )
    return usable.filter(Q(routes__contains=[route.slug]) | Q(routes=[]))


def standing_signoffs(now: datetime) -> dict[tuple[str, str], SignOff]:
    """The sign-off that ends last, per backend and class."""
    valid = SignOff.objects.select_related("backend").filter(
        state=SignOff.State.GRANTED, valid_from__lte=now, valid_to__gt=now
    )
    return {(s.backend.name, s.data_class): s for s in valid.order_by("valid_to")}


def _rows(
    route: Route,
    version: PolicyVersion,
    found: list[Flow],
    backends: Mapping[str, Backend],
    signoffs: Mapping[tuple[str, str], SignOff],
) -> list[dict[str, Any]]:
    grouped: dict[tuple[str, str], list[Flow]] = {}
    for flow in found:
        grouped.setdefault((flow.data_class, flow.backend), []).append(flow)
    return [
        _row(route, version, ways, backends[name], signoffs.get((name, data_class)))
        for (data_class, name), ways in grouped.items()
    ]


def _row(
    route: Route,
    version: PolicyVersion,
    ways: list[Flow],
    backend: Backend,
    signoff: SignOff | None,
) -> dict[str, Any]:
    is_public = backend.boundary == Boundary.PUBLIC
    return {
        "data_class": ways[0].data_class,
        "route": route.slug,
        "policy": str(version),
        "backend": backend.name,
        "boundary": backend.boundary,
        "region": backend.region,
        "signoff": _signoff(signoff) if is_public and signoff else None,
        "kept_here": KEPT[route.capture],
        "kept_there": backend.processor_retention if is_public else "",
        "ways": [
            {"kind": way.kind, "rule": way.rule, "name": way.name, "path": way.path} for way in ways
        ],
    }


def _signoff(signoff: SignOff) -> dict[str, Any]:
    return {
        "number": signoff.pk,
        "purpose": signoff.purpose,
        "risk_reference": signoff.risk_reference,
        "valid_to": signoff.valid_to.isoformat(),
    }


def _closed(
    known: Mapping[str, BackendFacts],
    flows: list[dict[str, Any]],
    policies: Mapping[str, Policy],
    now_s: int,
) -> list[dict[str, Any]]:
    """Every class that a public backend does not receive, and what keeps it away."""
    open_now = {(flow["data_class"], flow["backend"]) for flow in flows}
    found = []
    for data_class in reversed(settings.DATA_CLASSES):
        for backend in known.values():
            if backend.boundary != Boundary.PUBLIC or (data_class, backend.name) in open_now:
                continue
            why = CLOSED.get(refusal(backend, data_class, now_s), "")
            if not why:
                inactive = f"it is {backend.state}" if backend.state != "active" else ""
                why = inactive or "no active policy sends it there"
            found.append({"data_class": data_class, "backend": backend.name, "why": why})
    return found


def _processor(backend: Backend) -> dict[str, Any]:
    return {
        "backend": backend.name,
        "region": backend.region,
        "processor": backend.processor,
        "country": backend.processor_country,
        "contract": backend.processor_contract,
        "contact": backend.processor_contact,
        "retention": backend.processor_retention,
        "subprocessors": backend.processor_subprocessors,
    }


def _route(route: Route, version: PolicyVersion | None) -> dict[str, Any]:
    keys = _keys(route)
    return {
        "route": route.slug,
        "name": route.name,
        "purpose": route.description,
        "owner": route.owner,
        "floor": route.data_class,
        "kept": KEPT[route.capture],
        "policy": str(version) if version else "",
        "digest": version.digest if version else "",
        "is_enabled": route.enabled,
        "keys": keys.count(),
        "keys_for_public": keys.filter(boundary_ceiling="public").count(),
    }


def _observed(allowed: set[tuple[str, str, str]], now: datetime) -> list[dict[str, Any]]:
    """What decisions of the period ended on, whether or not it is permitted today."""
    seen = counted(
        begins(now - OBSERVED_FOR, now),
        now,
        by=("route", "data_class", "backend", "boundary"),
        only={"outcome": _REACHED},
    )
    return [
        {
            **{name: row[name] for name in ("route", "data_class", "backend", "boundary")},
            "count": int(row["n"]),
            "last": row["last_at"].isoformat(),
            "is_permitted": (row["route"], row["data_class"], row["backend"]) in allowed,
        }
        for row in sorted(seen, key=lambda row: (row["data_class"], row["backend"], row["route"]))
        if row["backend"]
    ]


def latest_issue() -> DataFlowIssue | None:
    return DataFlowIssue.objects.select_related("issued_by").first()


@transaction.atomic
def issue_document(*, by: User, note: str) -> DataFlowIssue:
    """Freeze the document as it is now under the next number."""
    require(by, "audit.export")
    if not note.strip():
        raise Invalid("Say what this version is issued for.", code="reason_missing")
    previous = latest_issue()
    number = previous.number + 1 if previous else 1
    document, now = build(), timezone.now()
    try:
        with transaction.atomic():
            issue = DataFlowIssue.objects.create(
                number=number,
                document=document,
                digest=digest_of(document),
                note=note.strip()[:500],
                issued_at=now,
                issued_by=by,
            )
    except IntegrityError:
        raise Conflict("Somebody else has just issued a version; look at it first.") from None
    audit.record(
        "data_flow.issued",
        by=Actor.of(by),
        object_type="data_flow",
        object_id=str(number),
        reason=issue.note,
        details={
            "digest": issue.digest,
            "flows": len(document["flows"]),
            "not_permitted": sum(not row["is_permitted"] for row in document["observed"]),
        },
    )
    return issue
