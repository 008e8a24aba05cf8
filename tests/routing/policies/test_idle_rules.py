"""A rule that decides nothing is named only where the traffic suffices to say so."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from audit.ids import uuid7
from routing.models import Decision, PolicyVersion
from routing.queries import idle_rules as queries
from routing.queries.idle_rules import idle_rules
from routing.services import policies
from tests.routing.conftest import policy_document

People = dict[str, Any]
NEW = {
    "id": "brand-new",
    "name": "Brand new",
    "when": {"all": [{"turns": {"gte": 90}}]},
    "then": {"route": {"tier": "llm", "targets": ["large"]}},
}


def decided(count: int, days_ago: float, rule: str = "default") -> None:
    for place in range(count):
        at = timezone.now() - timedelta(days=days_ago, seconds=place)
        Decision.objects.create(
            id=uuid7(int(at.timestamp() * 1_000_000)),
            at=at,
            deadline_at=at,
            finished_at=at,
            route="support",
            policy="support@1",
            data_class="internal",
            action="route",
            rule=rule,
            cause="rule_match",
            outcome="served",
            tier="llm",
            backend="large",
        )


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries, "FEWEST", 5)


def test_little_traffic_says_nothing_and_says_why(active_version: PolicyVersion) -> None:
    decided(4, 1)
    found = idle_rules(active_version.route, active_version.document)
    assert (found.n, found.rules) == (4, ())
    assert found.why_not == (
        "The route made 4 decisions in 30 days; from 200 on this is looked at."
    )


@pytest.mark.usefixtures("few")
def test_young_traffic_says_nothing(active_version: PolicyVersion) -> None:
    decided(6, 20)
    found = idle_rules(active_version.route, active_version.document)
    assert found.rules == ()
    assert "less than 30 days" in found.why_not


@pytest.mark.usefixtures("few")
def test_a_rule_that_decided_nothing_is_named_with_the_number(
    active_version: PolicyVersion, author: Client
) -> None:
    decided(1, 40)
    decided(6, 2)
    found = idle_rules(active_version.route, active_version.document)
    assert (found.n, list(found.rules)) == (6, [("narrow-work", "Short questions")])
    page = author.get(active_version.route.get_absolute_url()).content.decode()
    assert "1 rule decided nothing in 30 days" in page


@pytest.mark.usefixtures("few")
def test_a_rule_that_decided_once_is_not(active_version: PolicyVersion) -> None:
    decided(1, 40)
    decided(5, 2)
    decided(1, 3, rule="narrow-work")
    assert list(idle_rules(active_version.route, active_version.document).rules) == []


@pytest.mark.usefixtures("few")
def test_a_rule_that_is_new_or_changed_in_the_draft_had_no_time_yet(
    active_version: PolicyVersion, people: People, author: Client
) -> None:
    decided(1, 40)
    decided(6, 2)
    document = policy_document()
    document["rules"].append(NEW)
    draft = policies.start_draft(slug="support", by=people["arjun"], document=document)
    assert list(idle_rules(draft.route, draft.document).rules) == [
        ("narrow-work", "Short questions")
    ]
    assert "decided nothing in 30 days" in author.get(draft.get_absolute_url()).content.decode()
    document["rules"][0]["when"] = {"all": [{"prompt_tokens": {"lte": 300}}]}
    assert list(idle_rules(draft.route, document).rules) == []
