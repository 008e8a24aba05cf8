"""The counts that screens read are those of the decision list, always and to the last one."""

from __future__ import annotations

import random
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal as Money
from typing import Any

import pytest
from django.db import connection
from django.db.models import Count, Sum
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from audit.ids import first_id, uuid7
from routing.models import Decision, Span, Speed, Traffic
from routing.queries import backends, overview, routes
from routing.queries.traffic import DIMENSIONS, Distribution, counted, floor, speeds, stretches
from routing.services import projection

pytestmark = pytest.mark.django_db
NOW = datetime(2026, 11, 25, 13, 7, tzinfo=UTC)


def decision(chance: random.Random, at: datetime, **changed: Any) -> Decision:
    backend, tier = chance.choice([("small", "slm"), ("large", "llm"), ("", "")])
    values = {
        "id": uuid7(int(at.timestamp() * 1e6)),
        "at": at,
        "deadline_at": at,
        "route": chance.choice(["support", "claims"]),
        "policy": "support@1",
        "rule": chance.choice(["narrow-work", "default"]),
        "cause": chance.choice(["rule_match", "budget"]),
        "action": "route",
        "outcome": chance.choice(["served", "served", "failed", "open"]),
        "backend": backend,
        "tier": tier,
        "data_class": "internal",
        "attempts": 1,
        "input_tokens": chance.choice([None, chance.randrange(4000)]),
        "cost_usd": Money(chance.randrange(10_000)) / 10_000_000,
        "baseline_cost_usd": chance.choice([None, Money(1) / 1000]),
        "overhead_us": chance.randrange(300, 4000),
        "total_ms": chance.randrange(5, 9000),
    }
    return Decision(**values | changed)


def some_decisions(number: int = 300, seed: int = 7) -> list[Decision]:
    chance = random.Random(seed)
    return Decision.objects.bulk_create(
        decision(chance, NOW - timedelta(seconds=chance.randrange(200_000))) for _ in range(number)
    )


def of_the_list(span: Span) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    found: dict[tuple[Any, ...], tuple[Any, ...]] = {}
    for row in Decision.objects.exclude(outcome="open"):
        key = (floor(row.at, timedelta(minutes=span)), *(getattr(row, d) for d in DIMENSIONS))
        n, cost, tokens, baseline = found.get(key, (0, Money(0), 0, Money(0)))
        found[key] = (
            n + 1,
            cost + (row.cost_usd or 0),
            tokens + (row.input_tokens or 0),
            baseline + (row.baseline_cost_usd or 0),
        )
    return found


def of_the_counts(span: Span) -> dict[tuple[Any, ...], tuple[Any, ...]]:
    return {
        (row.slot, *(getattr(row, d) for d in DIMENSIONS)): (
            row.n,
            row.cost_usd,
            row.input_tokens,
            row.baseline_cost_usd,
        )
        for row in Traffic.objects.filter(span=span).exclude(n=0)
    }


@pytest.mark.parametrize("span", Span)
def test_counts_are_those_of_the_list_after_any_writing(span: Span) -> None:
    rows = some_decisions()
    for row in rows[:60]:
        row.outcome, row.backend, row.total_ms = "served", "large", 77
    Decision.objects.bulk_update(rows[:60], ["outcome", "backend", "total_ms"])
    Decision.objects.filter(pk__in=[row.pk for row in rows[100:130]]).delete()
    Decision.objects.bulk_create(rows[:40], ignore_conflicts=True)

    assert of_the_counts(span) == of_the_list(span)


def test_speeds_are_those_of_the_list_after_any_writing() -> None:
    rows = some_decisions()
    for row in rows[:60]:
        row.outcome, row.total_ms = "served", 77
    Decision.objects.bulk_update(rows[:60], ["outcome", "total_ms"])
    served = Decision.objects.filter(outcome="served")

    found = speeds("total_ms", NOW - timedelta(days=4), NOW, by=("backend",))

    assert {name: one.n for (name,), one in found.items()} == {
        row["backend"]: row["n"]
        for row in served.values("backend").order_by().annotate(n=Count("pk"))
    }


def test_speeds_over_all_are_the_sum_of_each() -> None:
    some_decisions()
    since = NOW - timedelta(days=4)
    (everything,) = speeds("overhead_us", since, NOW).values()
    for by in (("route",), ("backend",), ("route", "backend")):
        parts = speeds("overhead_us", since, NOW, by=by)
        assert sum(one.n for one in parts.values()) == everything.n
        assert "*" not in {name for key in parts for name in key}
    small = speeds("overhead_us", since, NOW, only={"backend": "small"})[()]
    assert small == speeds("overhead_us", since, NOW, by=("backend",))[("small",)]


def test_counting_again_gives_the_same_counts() -> None:
    some_decisions()
    before = [of_the_counts(span) for span in Span]
    speeds_before = sorted(Speed.objects.values_list("span", "slot", "route", "backend", "counts"))

    ended = projection.recount()

    assert [of_the_counts(span) for span in Span] == before
    assert (
        sorted(Speed.objects.values_list("span", "slot", "route", "backend", "counts"))
        == speeds_before
    )
    assert ended == Decision.objects.exclude(outcome="open").count()


def test_a_period_counts_each_decision_once_whatever_its_slots() -> None:
    some_decisions()
    since, below = NOW - timedelta(hours=30, minutes=2), NOW - timedelta(hours=1, minutes=7)
    inside = Decision.objects.filter(at__gte=since, at__lt=below)
    found = counted(since, below, by=("route", "outcome"), only={"backend": ["small", "large"]})
    assert {(row["route"], row["outcome"]): row["n"] for row in found} == {
        (row["route"], row["outcome"]): row["n"]
        for row in inside.exclude(backend="")
        .values("route", "outcome")
        .order_by()
        .annotate(n=Count("pk"))
    }
    costs = inside.exclude(outcome="open").aggregate(cost=Sum("cost_usd"))
    assert counted(since, below)[0]["cost_usd"] == costs["cost"]


def test_slots_of_a_period_neither_overlap_nor_leave_a_gap() -> None:
    since, below = NOW - timedelta(days=9, hours=5, minutes=2), NOW - timedelta(minutes=2)
    laid = sorted(stretches(since, below), key=lambda one: one.since)
    assert (laid[0].since, laid[-1].below) == (since, below)
    assert all(a.below == b.since for a, b in zip(laid, laid[1:], strict=False))
    assert [one.span for one in laid] == [5, 60, 1440, 60, 5]


def test_quantiles_are_within_a_class_of_the_exact_ones() -> None:
    chance = random.Random(3)
    values = sorted(int(chance.lognormvariate(6, 0.8)) + 1 for _ in range(2000))
    Decision.objects.bulk_create(
        decision(chance, NOW, outcome="served", backend="small", total_ms=value) for value in values
    )
    found = speeds("total_ms", NOW - timedelta(minutes=7), NOW + timedelta(minutes=3))[()]
    for share in (0.05, 0.5, 0.95, 0.99):
        exact = values[int(share * len(values))]
        assert found.quantile(share) == pytest.approx(exact, rel=0.1), share


def test_nothing_measured_has_no_quantile() -> None:
    assert Distribution({}).quantile(0.5) is None


def test_dimensions_that_are_not_counted_are_refused() -> None:
    with pytest.raises(ValueError, match="session"):
        counted(NOW, NOW, only={"session": "x"})


def test_rows_beyond_the_last_month_move_into_their_own_when_it_is_made() -> None:
    far = timezone.now() + timedelta(days=31 * 18)
    row = decision(random.Random(1), far, outcome="served")
    row.save(force_insert=True)
    where = "SELECT tableoid::regclass::text FROM routing_decision WHERE id = %s"
    with connection.cursor() as cursor:
        cursor.execute(where, [row.pk])
        assert cursor.fetchone()[0] == "routing_decision_later"
        before = of_the_counts(Span.DAY)
        cursor.execute("SELECT routing_ensure_partitions(20)")
        assert cursor.fetchone()[0] > 0
        cursor.execute(where, [row.pk])
        assert cursor.fetchone()[0] == f"routing_decision_{far:%Y_%m}"
        cursor.execute("SELECT routing_ensure_partitions(20)")
        assert cursor.fetchone()[0] == 0
    assert of_the_counts(Span.DAY) == before


def test_a_month_is_read_alone_and_its_order_needs_no_sorting() -> None:
    newest = Decision.objects.filter(route="support").order_by("-pk")[:51]
    with connection.cursor() as cursor:
        # A plan of an empty table says nothing of a full one.
        cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute("SET LOCAL enable_bitmapscan = off")
    assert "Sort" not in newest.explain()
    month = Decision.objects.filter(pk__gte=first_id(NOW), pk__lt=first_id(NOW + timedelta(days=1)))
    assert len(set(re.findall(r" on (routing_decision_\w+)", month.explain()))) == 1


def test_keeping_house_drops_old_slots_of_five_minutes_and_no_others() -> None:
    chance = random.Random(5)
    now = timezone.now()
    for days in (1, 20):
        decision(chance, now - timedelta(days=days), outcome="served").save(force_insert=True)

    projection.keep_house()

    assert [Traffic.objects.filter(span=span).count() for span in Span] == [1, 2, 2]


def test_screens_of_traffic_read_no_decision_that_has_ended(people: dict[str, Any]) -> None:
    some_decisions(20)
    with CaptureQueriesContext(
        connection,
    ) as captured:
        overview.now_page(people["ada"])
        overview.day_page()
        backends.speed_of_all()
        routes.all_routes()
    scanned = [
        query["sql"]
        for query in captured
        if "routing_decision" in query["sql"] and "outcome = 'open'" not in query["sql"]
    ]
    assert scanned == []
