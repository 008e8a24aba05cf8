"""An approved candidate, and evidence for it as shadow and eval runs would give it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal as Money
from typing import Any

import pytest
from django.utils import timezone

from audit.ids import uuid7
from routing.models import Decision, PolicyVersion, Promotion, Rollout, Waiver
from routing.services import policies
from routing.services.promotion import evidence, proposals
from routing.services.promotion.proposals import waive_check
from tests.engine.evidence_of import GOOD
from tests.routing.conftest import policy_document

People = dict[str, Any]
GIVEN = ("seed", "window", "pairs", "counts", "segments", "cost", "eval_set")


@pytest.fixture
def candidate(active_version: PolicyVersion, people: People) -> PolicyVersion:
    document = policy_document(
        rules=[
            {
                "id": "narrow-work",
                "name": "Short questions",
                "when": {"all": [{"prompt_tokens": {"lte": 300}}]},
                "then": {"route": {"tier": "slm", "targets": ["small"]}},
            }
        ]
    )
    version = policies.start_draft(slug="support", by=people["arjun"], document=document)
    policies.submit_version(version=version, by=people["arjun"], summary="More to the small one")
    for who in ("petra", "pavel"):
        policies.judge_version(version=version, by=people[who], verdict="approve", comment="Good.")
    version.refresh_from_db()
    return version


@pytest.fixture
def shadowed() -> Iterator[dict[str, Any]]:
    """A source of evidence; a test changes what it says."""
    parts = {name: copy.deepcopy(GOOD[name]) for name in GIVEN}
    evidence.provide("test")(lambda version: copy.deepcopy(parts))
    yield parts
    evidence._sources.pop("test")


@pytest.fixture
def waived(candidate: PolicyVersion, people: People) -> list[Waiver]:
    """There is no recorded traffic here, so two checks are waived."""
    until = timezone.now() + timedelta(days=7)
    return [
        waive_check(version=candidate, check=name, until=until, by=people["pavel"], reason="New")
        for name in ("backtest", "reviewers")
    ]


@pytest.fixture
def proposed(
    candidate: PolicyVersion, shadowed: dict[str, Any], waived: list[Waiver], people: People
) -> Promotion:
    return proposals.propose_promotion(version=candidate, by=people["olivia"], reason="Cheaper")


@pytest.fixture
def rollout(proposed: Promotion, people: People) -> Rollout:
    for who in ("petra", "pavel"):
        proposals.approve_promotion(promotion=proposed, by=people[who], comment="Convincing.")
    return proposals.promote(promotion=proposed, by=people["olivia"], reason="Go")


@pytest.fixture
def traffic() -> Callable[..., None]:
    def make(policy: str, n: int, *, sessions: str = "s", **changed: Any) -> None:
        at: datetime = timezone.now() + timedelta(seconds=30)
        Decision.objects.bulk_create(
            Decision(
                **{
                    "id": uuid7(int(at.timestamp() * 1e6)),
                    "at": at,
                    "deadline_at": at,
                    "route": "support",
                    "policy": policy,
                    "rule": "narrow-work",
                    "cause": "rule_match",
                    "action": "route",
                    "outcome": "served",
                    "data_class": "internal",
                    "session": f"{sessions}{policy}{number}",
                    "cost_usd": Money("0.0001"),
                    **changed,
                }
            )
            for number in range(n)
        )

    return make
