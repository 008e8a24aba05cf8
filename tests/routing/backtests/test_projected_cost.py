"""The share of recorded traffic and the projected cost of a change, from recorded facts."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from routing.models import Backend, PolicyVersion
from routing.services import meaning, policies
from tests.routing.backtests.conftest import narrow

Draft = Callable[..., PolicyVersion]
Decided = Callable[..., UUID]


@pytest.fixture
def dear(active_version: PolicyVersion) -> None:
    """The larger model costs a hundred times the small one."""
    Backend.objects.filter(name="large").update(
        input_usd_per_mtok=Decimal(5), output_usd_per_mtok=Decimal(10)
    )


@pytest.fixture
def recorded(decided: Decided) -> list[UUID]:
    """Sixty decisions; those of at most 200 tokens went to the small model."""
    return [decided(prompt_tokens=50 if n % 3 else 250, hours_ago=1 + n) for n in range(60)]


def test_each_change_has_its_share_of_the_recorded_decisions(
    dear: None, recorded: list[UUID], draft_of: Draft
) -> None:
    traffic = meaning.traffic_of(draft_of(rules=[narrow(40)]))
    assert traffic is not None
    assert (traffic.decided, traffic.unable, traffic.changed) == (60, 0, 40)
    assert traffic.pairs == {("narrow-work", "default"): 40, ("default", "default"): 20}
    assert traffic.examples["narrow-work", "default"] == recorded[1]


def test_a_dearer_version_needs_two_and_says_by_how_much(
    dear: None, recorded: list[UUID], draft_of: Draft, people: dict[str, Any]
) -> None:
    version = draft_of(rules=[narrow(40)])
    policies.submit_version(version=version, by=people["arjun"], summary="Quality first")
    words = {one["code"]: one["words"] for one in version.approval_reasons}
    assert words["cost"].startswith("it raises the projected cost of 60 recorded decisions by")


def test_a_cheaper_version_gives_no_reason_of_cost(
    dear: None, recorded: list[UUID], draft_of: Draft
) -> None:
    reasons = meaning.reasons_of(draft_of(rules=[narrow(400)]))
    assert "cost" not in [one.code for one in reasons]


def test_decisions_older_than_two_weeks_are_not_counted(decided: Decided, draft_of: Draft) -> None:
    decided(hours_ago=24 * 15)
    traffic = meaning.traffic_of(draft_of(rules=[narrow(40)]))
    assert traffic is not None and traffic.decided == 0


def test_no_more_than_the_bound_is_read(
    recorded: list[UUID], draft_of: Draft, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meaning, "MOST_DECISIONS", 25)
    traffic = meaning.traffic_of(draft_of(rules=[narrow(40)]))
    assert traffic is not None and (traffic.decided, traffic.bounded) == (25, True)
