"""Budgets as people set them: who may, what is refused, what the trail says."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from accounts.models import ApiKey
from accounts.services.keys import create_key, rotate_key
from audit.models import Event
from routing.models import Budget, Route, SnapshotRevision
from routing.services.budgets import set_budget
from routing.services.snapshots import build_document
from screens.errors import Invalid, NotAllowed, NotFound

pytestmark = pytest.mark.django_db

SOME: dict[str, Any] = {"usd_day": Decimal(5), "usd_month": Decimal(100)}


def test_an_operator_limits_a_route_and_the_trail_says_so(
    route: Route, people: dict[str, Any]
) -> None:
    before = SnapshotRevision.objects.get().revision

    set_budget(
        scope="route", target="support", limits=SOME, by=people["olivia"], reason="Pilot phase"
    )

    event = Event.objects.filter(kind="budget.changed", object_id="support").latest("at")
    assert [(one["field"], one["after"]) for one in event.entry["diff"]] == [
        ("usd_day", "5"),
        ("usd_month", "100"),
    ]
    assert SnapshotRevision.objects.get().revision > before
    [budget] = build_document()["budgets"]
    assert (budget["scope"], budget["target"], budget["usd_day"]) == ("route", "support", "5.0000")


def test_no_limit_at_all_ends_the_budget(route: Route, people: dict[str, Any]) -> None:
    facts: dict[str, Any] = {"scope": "route", "target": "support", "by": people["olivia"]}
    set_budget(**facts, limits=SOME, reason="Pilot")

    set_budget(**facts, limits={}, reason="The pilot is over")

    assert not Budget.objects.exists()


@pytest.mark.parametrize(
    "limits",
    [{"usd_day": Decimal(10), "usd_month": Decimal(5)}, {"usd_day": Decimal(-1)}, {"dollars": 1}],
    ids=["a day above the month", "negative", "unknown"],
)
def test_nonsense_is_refused(route: Route, people: dict[str, Any], limits: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        set_budget(
            scope="route", target="support", limits=limits, by=people["olivia"], reason="Try"
        )


def test_a_budget_needs_a_reason_a_target_and_a_right(route: Route, people: dict[str, Any]) -> None:
    facts: dict[str, Any] = {"scope": "route", "limits": SOME}
    with pytest.raises(Invalid):
        set_budget(**facts, target="support", by=people["olivia"], reason=" ")
    with pytest.raises(NotFound):
        set_budget(**facts, target="nothing", by=people["olivia"], reason="Why not")
    with pytest.raises(NotAllowed):
        set_budget(**facts, target="support", by=people["rui"], reason="Why not")


def test_a_rotated_key_keeps_the_budget_of_its_line(people: dict[str, Any]) -> None:
    from django.utils import timezone

    key, _ = create_key(
        by=people["olivia"],
        reason="New",
        name="portal",
        owner="team",
        expires_at=timezone.now() + timedelta(days=9),
    )
    set_budget(scope="key", target=key.public_id, limits=SOME, by=people["olivia"], reason="Pilot")

    successor, _ = rotate_key(
        key=key, by=people["olivia"], reason="Yearly", overlap=timedelta(days=1)
    )
    set_budget(
        scope="key",
        target=successor.public_id,
        limits={"usd_day": Decimal(7)},
        by=people["olivia"],
        reason="More",
    )

    document = build_document()
    [budget] = document["budgets"]
    assert budget["target"] == key.public_id
    assert budget["clients"] == sorted([key.public_id, successor.public_id])
    assert budget["usd_day"] == "7.0000"
    lines = {one["public_id"]: one["line"] for one in document["keys"]}
    assert lines[successor.public_id] == key.public_id
    assert ApiKey.objects.count() >= 2
