"""The immutable state that one replica decides on: compiled once, swapped whole, never edited."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from routing.engine import classifier
from routing.engine.calibration import Calibration, calibration_of
from routing.engine.classifier import Classifier
from routing.engine.decide import CompiledPolicy, compile_policy
from routing.engine.document import parse_policy
from routing.engine.first_weights import FIRST_CLASSIFIER
from routing.engine.rollout import CANDIDATE, arm_of
from routing.engine.types import BackendFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientKey:
    public_id: str
    name: str
    owner: str
    routes: frozenset[str]
    default_route: str
    may_pin: bool
    boundary_ceiling: str
    data_class_ceiling: str
    requests_per_minute: int
    expires_s: int | None
    # The first key of its line; a budget belongs to the line.
    line: str = ""

    def may_call(self, slug: str) -> bool:
        return not self.routes or slug in self.routes


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveBackend:
    """A registered backend as this replica knows it. ``facts`` is its state without health."""

    name: str
    tier: str
    boundary: str
    base_url: str
    upstream_model: str
    secret_ref: str
    max_in_flight: int
    max_output_tokens: int
    price_in: Decimal
    price_out: Decimal
    price_version: int
    facts: BackendFacts
    # By signal and route; an empty route stands for every route without one of its own.
    calibrations: Mapping[tuple[str, str], Calibration] = field(default_factory=dict)

    @property
    def has_price(self) -> bool:
        return bool(self.price_in or self.price_out)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRoute:
    """``scorer`` is None where the policy names a classifier that is not published."""

    slug: str
    name: str
    data_class: str
    capture: str
    enabled: bool
    rollout_pct: int
    baseline: str | None
    created_s: int
    policy: CompiledPolicy | None
    policy_label: str
    policy_digest: str
    hold_caps: Mapping[str, Decimal]
    scorer: Classifier | None = FIRST_CLASSIFIER
    rollout: LiveRollout | None = None

    def for_unit(self, unit: str) -> tuple[LiveRoute, str]:
        """The route with the version that decides for a session or client, and its arm."""
        if self.rollout is None:
            return self, ""
        arm = arm_of(self.rollout.salt, unit, self.rollout.share)
        return (self.rollout.route if arm == CANDIDATE else self), arm


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRollout:
    """A share of the units goes to another version: `route` is the same route with that one."""

    attempt: str
    salt: str
    share: int
    route: LiveRoute


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Limits by name (``usd_month``), and for a key the public ids of its line."""

    limits: Mapping[str, Decimal]
    clients: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    revision: int
    digest: str
    routes: Mapping[str, LiveRoute]
    backends: Mapping[str, LiveBackend]
    keys: Mapping[bytes, ClientKey]
    killed_backends: frozenset[str]
    killed_routes: frozenset[str]
    public_stopped: bool
    # By scope (key or route) and target.
    budgets: Mapping[tuple[str, str], Budget] = field(default_factory=dict)

    def killed_for(self, slug: str) -> frozenset[str]:
        """The engine's ``killed`` set for one route: backends, ``public``, and the route itself."""
        names = self.killed_backends
        if self.public_stopped:
            names = names | {"public"}
        if slug in self.killed_routes:
            names = names | {slug}
        return names


def _backend(item: Mapping[str, Any]) -> LiveBackend:
    price_in, price_out = Decimal(item["price_in"]), Decimal(item["price_out"])
    return LiveBackend(
        name=item["name"],
        tier=item["tier"],
        boundary=item["boundary"],
        base_url=item["base_url"],
        upstream_model=item["upstream_model"],
        secret_ref=item["secret_ref"],
        max_in_flight=item["max_in_flight"],
        max_output_tokens=item["max_output_tokens"],
        price_in=price_in,
        price_out=price_out,
        price_version=item["price_version"],
        calibrations={
            (one["signal"], one["route"]): calibration_of(one["points"], one["labels"])
            for one in item.get("calibrations", ())
        },
        facts=BackendFacts(
            name=item["name"],
            tier=item["tier"],
            boundary=item["boundary"],
            state=item["state"],
            healthy=True,
            cooling=False,
            context_window=item["context_window"],
            capabilities=frozenset(item["capabilities"]),
            data_classes=frozenset(item["data_classes"]),
            signoffs=dict(item["signoffs"]),
            price_in=price_in,
            price_out=price_out,
            over_budget=False,
            key_allowed=True,
            region=item["region"],
        ),
    )


def _route(item: Mapping[str, Any], scorers: Mapping[str, Classifier]) -> LiveRoute:
    route = _with_policy(item, item["policy"], scorers)
    # A snapshot kept on disk by an older release has none.
    running = item.get("rollout")
    if running is None or route.policy is None:
        return route
    return replace(
        route,
        rollout=LiveRollout(
            attempt=running["attempt"],
            salt=running["salt"],
            share=running["share"],
            route=_with_policy(item, running["policy"], scorers),
        ),
    )


def _with_policy(
    item: Mapping[str, Any],
    version: Mapping[str, Any] | None,
    scorers: Mapping[str, Classifier],
) -> LiveRoute:
    compiled = None
    caps: dict[str, Decimal] = {}
    scorer: Classifier | None = FIRST_CLASSIFIER
    if version:
        policy = parse_policy(version["document"])
        if policy.classifier:
            scorer = scorers.get(policy.classifier)
        for rule in policy.rules:
            if rule.then.hold is not None and rule.then.hold.cap_pct is not None:
                caps[rule.id] = rule.then.hold.cap_pct
        compiled = compile_policy(policy, number=version["number"], digest=version["digest"])
    return LiveRoute(
        slug=item["slug"],
        name=item["name"],
        data_class=item["data_class"],
        capture=item["capture"],
        enabled=item["enabled"],
        rollout_pct=item["rollout_pct"],
        baseline=item["baseline"],
        created_s=item["created"],
        policy=compiled,
        policy_label=f"{item['slug']}@{version['number']}" if version else "",
        policy_digest=version["digest"] if version else "",
        hold_caps=caps,
        scorer=scorer,
    )


def compile_snapshot(document: Mapping[str, Any]) -> Snapshot:
    """Turn a document into compiled state; raises PolicyError or KeyError, never half of it."""
    killed = [entry.partition(":") for entry in document["killed"]]
    # A snapshot kept on disk by an older release has none.
    scorers = {
        label: classifier.load(artefact)
        for label, artefact in document.get("classifiers", {}).items()
    }
    keys = {}
    for item in document["keys"]:
        fields = {name: value for name, value in item.items() if name not in {"sha256", "routes"}}
        keys[bytes.fromhex(item["sha256"])] = ClientKey(routes=frozenset(item["routes"]), **fields)
    return Snapshot(
        revision=document["revision"],
        digest=document["digest"],
        routes={item["slug"]: _route(item, scorers) for item in document["routes"]},
        backends={item["name"]: _backend(item) for item in document["backends"]},
        keys=keys,
        killed_backends=frozenset(target for scope, _, target in killed if scope == "backend"),
        killed_routes=frozenset(target for scope, _, target in killed if scope == "route"),
        public_stopped=any(scope == "public" for scope, _, _ in killed),
        budgets={
            (one["scope"], one["target"]): _budget(one) for one in document.get("budgets", ())
        },
    )


def _budget(item: Mapping[str, Any]) -> Budget:
    named = {"scope", "target", "clients"}
    limits = {k: Decimal(v) for k, v in item.items() if k not in named and v is not None}
    return Budget(limits=limits, clients=tuple(item["clients"]))


_STATES = ("active", "draining", "disabled")


def restricted_by(old: Snapshot, document: Mapping[str, Any]) -> Snapshot:
    """The old snapshot without what a newer document takes away.

    For a document that is not valid as a whole: what it stops, revokes or ends still holds, and
    what it would newly allow does not. The result has a digest of its own.
    """
    killed = [str(entry).partition(":") for entry in document["killed"]]
    still_there = {bytes.fromhex(item["sha256"]) for item in document["keys"]}
    newer = {item["name"]: item for item in document["backends"]}
    running = {
        item["slug"]: (item.get("rollout") or {}).get("attempt") for item in document["routes"]
    }
    both = f"{old.digest} restricted by {document['digest']}"
    return replace(
        old,
        digest="sha256:" + hashlib.sha256(both.encode()).hexdigest(),
        routes={
            slug: replace(route, rollout=None)
            if route.rollout is not None and running.get(slug) != route.rollout.attempt
            else route
            for slug, route in old.routes.items()
        },
        keys={digest: key for digest, key in old.keys.items() if digest in still_there},
        backends={
            name: replace(backend, facts=_restricted(backend.facts, newer.get(name)))
            for name, backend in old.backends.items()
        },
        killed_backends=old.killed_backends | {t for scope, _, t in killed if scope == "backend"},
        killed_routes=old.killed_routes | {t for scope, _, t in killed if scope == "route"},
        public_stopped=old.public_stopped or any(scope == "public" for scope, _, _ in killed),
    )


def _restricted(facts: BackendFacts, item: Mapping[str, Any] | None) -> BackendFacts:
    if item is None or item["boundary"] != facts.boundary:
        return replace(facts, state="disabled")
    return replace(
        facts,
        state=max(facts.state, item["state"], key=_STATES.index),
        data_classes=facts.data_classes & frozenset(item["data_classes"]),
        signoffs={
            name: min(ends, item["signoffs"][name])
            for name, ends in facts.signoffs.items()
            if name in item["signoffs"]
        },
    )
