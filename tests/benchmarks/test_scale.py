"""The benchmark of screens over many records does what it says. No timing is asserted."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.db import connection

from benchmarks.scale import report
from routing.models import Decision, Traffic


def result(few_ms: float, many_ms: float) -> dict[str, Any]:
    def step(rows: int, ms: float) -> dict[str, Any]:
        return {
            "decisions": rows,
            "events": rows,
            "filled_per_s": {"decisions": 1.0, "events": 1.0},
            "bytes": {"routing_decision": 10**9},
            **{
                what: {"/a": ms, "/b": 1.0}
                for what in ("p50_ms", "p95_ms", "max_ms", "cpu_p50_ms", "cpu_p95_ms")
            },
        }

    return {
        "at": "2026-11-25T02:00:00+00:00",
        "machine": "a machine",
        "load": [0.1, 0.1, 0.1],
        "runs": 3,
        "as_recorded_per_s": 2.0,
        "cases": [
            {"group": "lists", "name": "first", "url": "/a"},
            {"group": "lists", "name": "second", "url": "/b"},
        ],
        "steps": [step(100, few_ms), step(1000, many_ms)],
    }


@pytest.mark.parametrize(
    ("few_ms", "many_ms", "words"),
    [
        (20.0, 21.0, ("beyond the stretch", "beyond the stretch")),
        (100.0, 140.0, ("met", "met")),
        (40.0, 160.0, ("missed", "missed")),
        (1.0, 4.0, ("beyond the stretch", "beyond the stretch")),
    ],
)
def test_verdict_is_that_of_the_worst_screen(
    few_ms: float, many_ms: float, words: tuple[str, str]
) -> None:
    (one,) = report.verdicts(result(few_ms, many_ms))
    assert (one["ratio_word"], one["p95_word"]) == words
    assert one["p95_of"] == "first"


def test_page_keeps_what_is_around_the_measured_part() -> None:
    page = f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n"
    renewed = report.into(page, report.text(result(10, 30)))
    assert renewed.startswith("before")
    assert renewed.endswith("after\n")
    assert "old" not in renewed
    assert "| first | 10 / 10 | 10 | 30 / 30 | 30 | 3.00 | 3.00 |" in renewed


@pytest.mark.django_db
def test_rows_it_makes_are_counted_and_read_like_any_others(people: dict[str, Any]) -> None:
    from benchmarks.scale import fill

    start = fill.datetime.now(fill.UTC) - fill.PERIOD
    values = fill._templates() | {"start": start, "days": fill.PERIOD.days, "rows": 400}
    with connection.cursor() as cursor:
        for name in ("decisions", "acts", "events"):
            cursor.execute(fill._statement(name), values)
        cursor.execute("SELECT body FROM audit.event WHERE object_id = 'route-01' LIMIT 1")
        assert json.loads(bytes(cursor.fetchone()[0]))["log"] == "scale.example/log"

    assert Decision.objects.count() == 400
    assert sum(Traffic.objects.filter(span=1440).values_list("n", flat=True)) == 400
    assert Decision.objects.filter(outcome="served").count() > 300
