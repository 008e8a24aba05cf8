"""A route with an active version and decisions in the ledger, as the live API records them."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest
from django.db import connection

from audit import sealing
from audit.actors import Actor
from audit.ids import uuid7
from routing.engine.decide import decide
from routing.engine.types import BackendFacts, Facts
from routing.models import Decision, PolicyVersion
from routing.services import policies, projection
from routing.services.analysis import registry_facts
from routing.services.redecide import compiled_version
from routing.services.replay import backends_as_json, facts_as_json
from tests.routing.conftest import policy_document

People = dict[str, Any]
CLASSES = ("public", "internal", "confidential", "restricted")


def hold_rule() -> dict[str, Any]:
    return {
        "id": "restricted-needs-a-person",
        "name": "Restricted data needs a person",
        "when": {"all": [{"data_class": {"in": ["restricted"]}}]},
        "then": {"hold": {"queue": "triage", "hold_s": 20, "on_timeout": "safe_default"}},
    }


def narrow(tokens: int = 200) -> dict[str, Any]:
    return {
        "id": "narrow-work",
        "name": "Short questions",
        "when": {"all": [{"prompt_tokens": {"lte": tokens}}]},
        "then": {"route": {"tier": "slm", "targets": ["small"]}},
    }


@pytest.fixture
def draft(active_version: PolicyVersion, people: People) -> PolicyVersion:
    return policies.start_draft(slug="support", by=people["arjun"])


@pytest.fixture
def draft_of(active_version: PolicyVersion, people: People) -> Callable[..., PolicyVersion]:
    """A draft of arjun's with these parts of the document replaced."""

    def make(**changed: Any) -> PolicyVersion:
        document = policy_document(**changed)
        one = policies.start_draft(slug="support", by=people["arjun"], document=document)
        if one.document != document:
            one = policies.edit_draft(
                version=one, document=document, revision=one.revision, by=people["arjun"]
            )
        return policies.get_version(slug="support", number=one.number)

    return make


@pytest.fixture
def decided(active_version: PolicyVersion) -> Callable[..., UUID]:
    """Record one decision of the active version with its end, and its line in the list."""
    writer = sealing.Writer("test.example/log", name="test")
    policy = compiled_version(active_version)

    def record(
        *,
        data_class: str = "internal",
        prompt_tokens: int = 50,
        hours_ago: float = 1.0,
        route: str = "support",
        facts: dict[str, Any] | None = None,
        backends: dict[str, BackendFacts] | None = None,
        signals: dict[str, Any] | None = None,
    ) -> UUID:
        at = datetime.now(UTC) - timedelta(hours=hours_ago)
        request = Facts(
            signals={
                "data_class": data_class,
                "prompt_tokens": prompt_tokens,
                "gain": Decimal("0.05"),
                **(signals or {}),
            },
            data_class=data_class,
            now_s=int(at.timestamp()),
            output_tokens=64,
            boundary_ceiling="public",
            baseline="large",
            **(facts or {}),
        )
        seen = registry_facts() if backends is None else backends
        decision = decide(policy, request, seen)
        decision_id = uuid7(int(at.timestamp() * 1_000_000))
        made = writer.seal(
            "decision.made",
            event_id=decision_id,
            decision_id=decision_id,
            actor=Actor("api_key", "abcdefgh", "app"),
            object=("route", route),
            details={
                "route": route,
                "policy": str(active_version),
                "policy_digest": active_version.digest,
                "snapshot": "sha256:" + "ab" * 32,
                "requested_model": "support",
                "client": {"id": "abcdefgh", "name": "app", "owner": "team"},
                "session": "",
                "stream": False,
                "received_at": at.isoformat(),
                "deadline_at": (at + timedelta(seconds=30)).isoformat(),
                "input": {"bytes": 10, "messages": 1, "commitment": None},
                "facts": facts_as_json(request),
                "backends": backends_as_json(seen),
                "contributions": [],
                "decision": decision.as_json(),
            },
        )
        _store(made)
        _list(made, decision_id, decision.backend, prompt_tokens)
        return decision_id

    return record


def _store(event: sealing.SealedEvent) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sealing.BATCH_SQL, sealing.batch_parameters([event]))


def _list(made: sealing.SealedEvent, decision_id: UUID, backend: str | None, tokens: int) -> None:
    row = Decision(**projection._made(decision_id, "", orjson.loads(made.body)))
    if backend:
        row.outcome = Decision.Outcome.SERVED
        row.input_tokens, row.output_tokens = tokens, 40
        row.total_ms = 100 if backend == "small" else 900
    row.save()


@pytest.fixture
def history(decided: Callable[..., UUID]) -> Callable[..., list[UUID]]:
    """So many decisions of the last five days, of all classes and lengths."""

    def make(count: int, route: str = "support") -> list[UUID]:
        chance = random.Random(7)
        return [
            decided(
                data_class=chance.choice(CLASSES),
                prompt_tokens=chance.choice((20, 150, 300, 900)),
                hours_ago=chance.uniform(0.1, 119),
                route=route,
            )
            for _ in range(count)
        ]

    return make
