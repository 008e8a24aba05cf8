"""A list that is narrowed by the counts shows what the list itself would show, in its order."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit.ids import first_id
from routing.models import Decision
from routing.queries import decisions
from routing.queries.decisions import Filters
from routing.queries.narrowing import may_narrow, newest_ids
from tests.routing.services.test_traffic import decision

pytestmark = pytest.mark.django_db
FILTERS: tuple[dict[str, Any], ...] = (
    {"route": ["support"], "backend": ["small"]},
    {"outcome": ["served"]},
    {"outcome": ["open", "failed"], "tier": ["slm"]},
    {"cause": ["budget"], "rule": ["default"]},
    {"data_class": ["restricted"]},
)


def some_decisions() -> datetime:
    chance = random.Random(11)
    now = timezone.now()
    made = [
        decision(chance, now - timedelta(seconds=chance.randrange(5 * 86_400))) for _ in range(400)
    ]
    made[70].data_class = made[300].data_class = "restricted"
    Decision.objects.bulk_create(made)
    return now


def plain(only: dict[str, Any]) -> Any:
    return Decision.objects.filter(**{f"{k}__in": v for k, v in only.items()}).order_by("-pk")


@pytest.mark.parametrize("only", FILTERS)
@pytest.mark.parametrize("hours", [0, 3, 50, 400])
def test_pages_are_those_of_the_list_itself(only: dict[str, Any], hours: int) -> None:
    now = some_decisions()
    below = first_id(now - timedelta(hours=hours) + timedelta(minutes=1))
    lowest = first_id(now - timedelta(hours=60))
    wanted = list(plain(only).filter(pk__lt=below).values_list("pk", flat=True)[:20])
    assert newest_ids(only, lowest=None, below=below, wanted=20) == wanted
    assert newest_ids(only, lowest=lowest, below=below, wanted=20) == [
        pk for pk in wanted if pk >= lowest
    ]


def test_walking_all_pages_meets_each_decision_once() -> None:
    some_decisions()
    filters = Filters(outcome="served", tier="slm")
    assert may_narrow(filters.counted() or {})
    seen: list[Any] = []
    before = ""
    while True:
        page = decisions.page(filters, before)
        seen += [row.pk for row in page.decisions]
        if page.older is None:
            break
        before = str(page.older)
    assert seen == list(
        plain({"outcome": ["served"], "tier": ["slm"]}).values_list("pk", flat=True)
    )
    assert len(seen) > decisions.PER_PAGE


def test_one_condition_with_an_index_of_its_own_needs_no_counts() -> None:
    assert not may_narrow({"route": ["support"]})
    assert not may_narrow({"outcome": ["failed"]})
    assert may_narrow({"outcome": ["failed", "served"]})
    assert may_narrow({"data_class": ["restricted"]})
    assert not may_narrow({})


@pytest.mark.parametrize(
    "before",
    ["ffffffff-ffff-ffff-ffff-ffffffffffff", str(first_id(datetime(1970, 1, 1, tzinfo=UTC)))],
)
def test_a_cursor_of_another_age_is_no_error(before: str) -> None:
    some_decisions()
    page = decisions.page(Filters(outcome="served", tier="slm"), before)
    assert bool(page.decisions) == before.startswith("f")


def test_filter_that_nothing_fits_finds_nothing() -> None:
    some_decisions()
    assert (
        newest_ids(
            {"route": ["support"], "cause": ["kill_switch"]},
            lowest=None,
            below=first_id(timezone.now()),
            wanted=51,
        )
        == []
    )
