"""A registry, a route with an active policy, and decisions as the live API records them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone

from audit.actors import Actor
from audit.ids import uuid7
from audit.ledger import _store
from audit.sealing import Writer, terminal_id
from routing.engine.canonical import digest as digest_of
from routing.engine.decide import compile_policy, decide
from routing.engine.document import parse_policy
from routing.engine.types import BackendFacts, Facts
from routing.models import Backend, Decision, PolicyVersion, Route
from routing.services.replay import backends_as_json, facts_as_json

DOCUMENT: dict[str, Any] = {
    "schema": "signalbox.policy/1",
    "route": "support-triage",
    "owner": "support-platform",
    "rules": [
        {
            "id": "restricted-stays-private",
            "name": "Restricted data stays inside",
            "when": {"all": [{"data_class": {"in": ["restricted"]}}]},
            "then": {"route": {"tier": "llm", "targets": ["large"]}, "on_no_target": "hold"},
        },
        {
            "id": "narrow-work",
            "name": "Short, familiar questions go to the small model",
            "when": {"all": [{"gain": {"lte": 0.04}}, {"unfamiliar": {"eq": False}}]},
            "then": {"route": {"tier": "slm", "targets": ["small"]}},
        },
    ],
    "default": {"then": {"route": {"tier": "llm", "targets": ["large"]}}},
    "fallbacks": {"failure": {"small": ["large"]}},
    "safe_default": {"text": "A colleague will answer.", "finish_reason": "stop"},
}


def _client(person: Any) -> Client:
    client = Client()
    if person is not None:
        client.force_login(person)
    return client


@pytest.fixture
def as_person(people: dict[str, Any]) -> Callable[[str], Client]:
    """A signed-in browser of one person, by name."""
    return lambda name: _client(people[name])


@pytest.fixture
def registry(db: None) -> dict[str, Backend]:
    common = {
        "owner": "Platform",
        "state": "active",
        "data_classes": ["public", "internal", "confidential", "restricted"],
        "capabilities": ["stream", "json"],
    }
    small = Backend.objects.create(
        name="small",
        tier="slm",
        base_url="http://127.0.0.1:9/v1",
        upstream_model="tiny",
        input_usd_per_mtok=Decimal("0.02"),
        output_usd_per_mtok=Decimal("0.04"),
        **common,
    )
    large = Backend.objects.create(
        name="large",
        tier="llm",
        base_url="http://127.0.0.1:9/v1",
        upstream_model="big",
        input_usd_per_mtok=Decimal("1.5"),
        output_usd_per_mtok=Decimal("6"),
        **common,
    )
    return {"small": small, "large": large}


@pytest.fixture
def route(registry: dict[str, Backend]) -> Route:
    return Route.objects.create(
        slug="support-triage", name="Support triage", owner="Support", baseline=registry["large"]
    )


@pytest.fixture
def active_version(route: Route, people: dict[str, Any]) -> PolicyVersion:
    return PolicyVersion.objects.create(
        route=route,
        number=3,
        state="active",
        document=DOCUMENT,
        digest=digest_of(DOCUMENT),
        author=people["arjun"],
        activated_by=people["petra"],
        activated_at=timezone.now() - timedelta(hours=2),
    )


def backend_facts() -> dict[str, BackendFacts]:
    classes = frozenset({"public", "internal", "confidential", "restricted"})
    return {
        name: BackendFacts(
            name=name,
            tier=tier,
            boundary="private",
            capabilities=frozenset({"stream", "json"}),
            data_classes=classes,
            price_in=Decimal(price),
            price_out=Decimal(price),
        )
        for name, tier, price in (("small", "slm", "0.02"), ("large", "llm", "1.5"))
    }


@pytest.fixture
def decided(active_version: PolicyVersion) -> Callable[..., UUID]:
    """Record a decision in the ledger as the live API does, without its terminal event."""
    from django.db import connection

    writer = Writer(name="test")

    def record(*, data_class: str = "internal", gain: str = "0.01", ended: bool = True) -> UUID:
        facts = Facts(
            signals={
                "data_class": data_class,
                "gain": Decimal(gain),
                "unfamiliar": False,
                "prompt_tokens": 12,
                "personal_data": frozenset({"email"}),
            },
            data_class=data_class,
            now_s=1_790_000_000,
            output_tokens=64,
            baseline="large",
        )
        policy = compile_policy(parse_policy(DOCUMENT), number=3, digest=active_version.digest)
        backends = backend_facts()
        decision = decide(policy, facts, backends)
        now = datetime.now(UTC)
        decision_id = uuid7()
        made = writer.seal(
            "decision.made",
            event_id=decision_id,
            decision_id=decision_id,
            actor=Actor("api_key", "AbCd1234", "claims-portal"),
            object=("route", "support-triage"),
            corr={"request_id": "req-test-0001"},
            details={
                "route": "support-triage",
                "policy": "support-triage@3",
                "policy_digest": active_version.digest,
                "snapshot": "sha256:" + "ab" * 32,
                "requested_model": "support-triage",
                "client": {"id": "AbCd1234", "name": "claims-portal", "owner": "Claims"},
                "session": "",
                "stream": False,
                "received_at": (now - timedelta(milliseconds=4)).isoformat(),
                "deadline_at": (now + timedelta(seconds=30)).isoformat(),
                "input": {"bytes": 420, "messages": 1, "commitment": None},
                "facts": facts_as_json(facts),
                "backends": backends_as_json(backends),
                "contributions": [["prompt_tokens", "-0.012"], ["has_code", "0.004"]],
                "decision": decision.as_json(),
            },
        )
        end = writer.seal(
            "decision.completed",
            event_id=terminal_id(decision_id),
            decision_id=decision_id,
            actor=Actor("system", "router", "router"),
            object=("route", "support-triage"),
            corr={"request_id": "req-test-0001"},
            details={
                "route": "support-triage",
                "backend": decision.backend,
                "tier": decision.tier,
                "boundary": "private",
                "attempts": [
                    {
                        "n": 1,
                        "backend": decision.backend,
                        "boundary": "private",
                        "kind": "first",
                        "status": 200,
                        "problem": None,
                        "first_byte_ms": 80,
                        "total_ms": 310,
                        "input_tokens": 12,
                        "output_tokens": 40,
                        "usage_source": "reported",
                        "cost_usd": "0.00000184",
                        "price_version": 1,
                        "upstream_request_id": None,
                    }
                ],
                "input_tokens": 12,
                "output_tokens": 40,
                "cost_usd": "0.00000184",
                "baseline_cost_usd": "0.000258",
                "overhead_us": 1900,
                "first_token_ms": 80,
                "total_ms": 318,
                "error_code": "",
            },
        )
        with connection.cursor() as cursor:
            for event in (made, end)[: 2 if ended else 1]:
                _store(cursor, event)
        return decision_id

    return record


@pytest.fixture
def listed(db: None) -> Callable[..., Decision]:
    """A row of the decision list; ids follow each other in time."""

    def make(**changes: Any) -> Decision:
        at = changes.pop("at", timezone.now())
        fields = {
            "id": uuid7(int(at.timestamp() * 1_000_000)),
            "at": at,
            "deadline_at": at + timedelta(seconds=30),
            "route": "support-triage",
            "client": "claims-portal",
            "client_id": "AbCd1234",
            "request_id": "req-0001",
            "policy": "support-triage@3",
            "policy_digest": "sha256:00",
            "rule": "narrow-work",
            "cause": "rule_match",
            "action": "route",
            "outcome": "served",
            "tier": "slm",
            "backend": "small",
            "boundary": "private",
            "data_class": "internal",
            "total_ms": 300,
            "overhead_us": 1500,
            "cost_usd": Decimal("0.00002"),
            "baseline_cost_usd": Decimal("0.0002"),
        }
        return Decision.objects.create(**(fields | changes))

    return make
