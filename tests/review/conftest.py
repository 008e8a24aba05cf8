"""Holds as the recorder writes them, with real sealed texts, and the cases opened on them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from audit import payloads
from audit.actors import Actor
from audit.ids import uuid7

PROMPT = "Please cancel contract 4711 and send the confirmation to M. Example."
DRAFT = "Your contract 4711 ends on 31 March. The confirmation is on its way."
PRIVATE_SIGNAL = "withheld"


def made_details(
    *, sentence: str, rule: str, candidate: str | None = "private-large"
) -> dict[str, Any]:
    """The part of a decision.made event that the case page reads."""
    return {
        "route": "support-triage",
        "policy": "support-triage@3",
        "decision": {
            "action": "hold",
            "backend": None,
            "rule": rule,
            "cause": "held",
            "sentence": sentence,
            "hold": {
                "queue": "support",
                "hold_s": 25,
                "on_timeout": "safe_default",
                "candidate": candidate,
                "cap_pct": None,
                "over_cap": "safe_default",
            },
            "data_class": "confidential",
            "trace": {
                "policy": "support-triage@3",
                "digest": "sha256:" + "0" * 64,
                "classifier": "demo@1",
                "signals": {
                    "data_class": "confidential",
                    "prompt_tokens": 61,
                    "personal": PRIVATE_SIGNAL,
                    "gain": "0.18",
                },
                "rules": [
                    {
                        "id": "stop",
                        "name": "Restricted stays inside",
                        "state": "no_match",
                        "failing": {
                            "signal": "data_class",
                            "operator": "eq",
                            "constant": "restricted",
                            "observed": "confidential",
                        },
                    },
                    {"id": rule, "name": "Contracts wait for a person", "state": "matched"},
                    {"id": "rest", "name": "Narrow work", "state": "not_reached"},
                ],
                "candidates": [
                    {
                        "name": "private-large",
                        "tier": "llm",
                        "boundary": "private",
                        "verdict": "eligible",
                        "reason": "lower_priority",
                    },
                    {
                        "name": "public-large",
                        "tier": "llm",
                        "boundary": "public",
                        "verdict": "rejected",
                        "reason": "not_signed_off",
                    },
                ],
            },
        },
    }


@pytest.fixture
def hold(db: None) -> Callable[..., Any]:
    """Make a held request: hold(due_s=25, draft="..." or None, on_timeout=..., ...)."""
    return make_hold


def make_hold(
    *,
    due_s: float = 1500,
    opened_ago_s: float = 2,
    draft: str | None = DRAFT,
    prompt: str = PROMPT,
    on_timeout: str = "safe_default",
    made: bool = False,
    **changes: Any,
) -> Any:
    from django.db import transaction

    import audit
    from routing.models import Hold

    decision_id, now = uuid7(), datetime.now(UTC)
    with transaction.atomic():
        request = _stored(decision_id, "request", orjson.dumps(_request(prompt)))
        candidate = _stored(decision_id, "candidate", draft.encode()) if draft else None
        values = {
            "decision_id": decision_id,
            "opened_at": now - timedelta(seconds=opened_ago_s),
            "deadline_at": now + timedelta(seconds=due_s),
            "route": "support-triage",
            "policy": "support-triage@3",
            "rule": "contracts-wait",
            "queue": "support",
            "data_class": "confidential",
            "client": "claims-portal",
            "sentence": "Rule “Contracts wait for a person” matched: topic is legal.",
            "on_timeout": on_timeout,
            "safe_text": "A colleague will answer you today.",
            "request_payload": request,
            "candidate_payload": candidate,
            "candidate_backend": "private-large" if draft else "",
            "candidate_state": "ready" if draft else "none",
            "dedupe_key": decision_id.hex,
            **changes,
        }
        held = Hold.objects.create(**values)
        if made:
            audit.record(
                "decision.made",
                by=Actor("api_key", "k1", "claims-portal"),
                object_type="route",
                object_id="support-triage",
                decision_id=decision_id,
                details=made_details(sentence=held.sentence, rule=held.rule),
            )
    return held


def _request(prompt: str) -> dict[str, Any]:
    return {
        "model": "support-triage",
        "messages": [
            {"role": "system", "content": "You answer customers."},
            {"role": "user", "content": prompt},
        ],
        "temperature": 0.2,
    }


def _stored(decision_id: Any, kind: str, text: bytes) -> Any:
    sealed = payloads.seal(text, decision_id=decision_id, kind=kind, key=payloads.payload_key())
    payloads.store(sealed)
    return sealed.id


@pytest.fixture
def case_of(hold: Callable[..., Any]) -> Callable[..., Any]:
    """Make a held request and open its case."""

    def make(**changes: Any) -> Any:
        from review.services import cases

        opened = cases.open_case(decision_id=hold(**changes).pk)
        assert opened is not None
        return opened

    return make


@pytest.fixture
def kinds_of() -> Callable[[Any], list[str]]:
    """The review events of a case, in the order in which they happened."""

    def read(case: Any) -> list[str]:
        from audit.models import Event

        events = Event.objects.filter(object_type="case", object_id=str(case.pk))
        return [event.kind for event in events.order_by("at", "id")]

    return read
