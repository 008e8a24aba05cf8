"""Geometry: pictures that would lie or fall over."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from screens import charts
from screens.charts import (
    FlowFigures,
    Part,
    Point,
    Series,
    flow_picture,
    line_chart,
    sparkline,
    stacked_bar,
    ticks,
)
from screens.charts.flow import share_words, shortened

FINITE = st.floats(min_value=-1e9, max_value=1e9, allow_nan=False)
CHARTS = sorted(Path(charts.__file__).parent.glob("*.py"))
FORBIDDEN = {"time", "datetime", "random", "socket", "logging", "os", "urllib", "asyncio"}


def imported(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    plain = {
        name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names
    }
    members = {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in plain | members}


@pytest.mark.parametrize("path", CHARTS, ids=lambda path: path.stem)
def test_charts_import_only_the_pure_part_of_the_standard_library(path: Path) -> None:
    names = imported(path) - {"screens"}

    assert names <= sys.stdlib_module_names
    assert not names & FORBIDDEN


@given(FINITE, FINITE)
def test_ticks_enclose_what_they_measure_and_stay_few(one: float, other: float) -> None:
    low, high = min(one, other), max(one, other)

    marks = ticks(low, high)

    tolerance = 1e-6 * max(1.0, abs(low), abs(high))
    assert marks[0] <= low + tolerance
    assert marks[-1] >= high - tolerance
    assert 2 <= len(marks) <= 8
    assert list(marks) == sorted(set(marks))


def test_ticks_are_round_numbers() -> None:
    assert ticks(0, 610) == (0, 200, 400, 600, 800)


def test_ticks_refuse_what_is_no_number() -> None:
    with pytest.raises(ValueError, match="finite"):
        ticks(0, float("inf"))


def series(*values: float | None) -> Series:
    return Series(
        name="p95", points=tuple(Point(label=f"{i:02d}:00", value=v) for i, v in enumerate(values))
    )


def test_a_gap_in_time_is_a_gap_in_the_line() -> None:
    drawn = line_chart([series(1, 2, None, 3)]).series[0]

    assert drawn.path.count("M") == 2


def test_what_was_not_measured_has_no_interval() -> None:
    points = tuple(
        Point(label=str(i), value=v, low=v and v - 1, high=v and v + 1)
        for i, v in enumerate([5, 6, None, 7, 8])
    )

    assert line_chart([Series(name="p95", points=points)]).series[0].band.count("M") == 2


def test_the_table_beneath_has_every_number_of_the_line() -> None:
    chart = line_chart([series(1, None, 3), series(4, 5, 6)])

    assert [row.values for row in chart.rows] == [(1, 4), (None, 5), (3, 6)]


def test_series_of_different_length_do_not_break_the_table() -> None:
    assert line_chart([series(1), series(4, 5)]).rows[1].values == (None, 5)


@pytest.mark.parametrize("nothing", [[], [Series(name="p95", points=())], [series(None, None)]])
def test_a_chart_of_nothing_says_so(nothing: list[Series]) -> None:
    assert line_chart(nothing).is_empty


@given(st.lists(st.none() | FINITE, max_size=60))
def test_a_line_never_leaves_its_picture(values: list[float | None]) -> None:
    chart = line_chart([series(*values)])

    numbers = [float(n) for n in re.findall(r"[ML](\S+) ", chart.series[0].path)]
    assert all(chart.left - 0.01 <= x <= chart.right + 0.01 for x in numbers)


@given(st.lists(st.none() | FINITE, max_size=60))
def test_a_sparkline_copes_with_anything(values: list[float | None]) -> None:
    drawn = sparkline(values)

    assert "nan" not in drawn.path
    assert (drawn.last_x is None) == all(value is None for value in values)


@given(st.lists(st.integers(min_value=0, max_value=10**9), min_size=1, max_size=12))
def test_a_stacked_bar_is_exactly_full_and_hides_nothing(counts: list[int]) -> None:
    bar = stacked_bar([Part(label=str(i), count=n, look="1") for i, n in enumerate(counts)])

    total = sum(segment.width for segment in bar.segments)
    assert total == pytest.approx(bar.width if sum(counts) else 0, abs=0.1)
    assert all((segment.width > 0) == (segment.count > 0) for segment in bar.segments)


def test_a_negative_part_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="negative"):
        stacked_bar([Part(label="held", count=-1, look="warn")])


def figures(**counts: int) -> FlowFigures:
    none = dict.fromkeys(
        ("requests", "slm", "llm", "escalated", "held", "safe_default", "refused", "failed"), 0
    )
    return FlowFigures(**{**none, **counts}, rules=[("default", counts.get("requests", 0))])


def test_an_arrow_that_nobody_took_has_no_width_but_is_drawn() -> None:
    picture = flow_picture(figures(requests=10, slm=10))

    held = picture.exits[2]
    assert (held.is_taken, held.ribbon) == (False, "")
    assert held.line


def test_one_request_among_a_million_is_still_seen() -> None:
    picture = flow_picture(figures(requests=1_000_000, slm=999_999, refused=1))

    assert picture.exits[4].ribbon
    assert picture.exits[4].label == "<\u00a01\u00a0%"


def test_the_picture_of_a_new_route_shows_the_way_and_says_there_was_nothing() -> None:
    picture = flow_picture(figures())

    assert "No requests" in picture.sentence
    assert len(picture.exits) == 6


def test_rules_that_do_not_fit_are_counted_together() -> None:
    rules = [(f"rule {i}", i) for i in range(20)]
    picture = flow_picture(
        FlowFigures(
            requests=190,
            slm=190,
            llm=0,
            escalated=0,
            held=0,
            safe_default=0,
            refused=0,
            failed=0,
            rules=rules,
        )
    )

    assert picture.rules[-1].name == "14 more rules"
    assert sum(rule.count for rule in picture.rules) == 190


def test_the_sentence_has_every_figure() -> None:
    picture = flow_picture(
        figures(
            requests=100, slm=60, llm=20, escalated=5, held=9, safe_default=6, refused=4, failed=1
        )
    )

    assert all(f"{n} (" in picture.sentence for n in (60, 20, 5, 9, 6, 4, 1))


@pytest.mark.parametrize(
    ("share", "written"),
    [(0, "0\u00a0%"), (0.004, "<\u00a01\u00a0%"), (0.5, "50\u00a0%"), (0.999, ">\u00a099\u00a0%")],
)
def test_a_share_is_never_rounded_to_all_or_nothing(share: float, written: str) -> None:
    assert share_words(share) == written


@given(st.text(max_size=200))
def test_a_name_is_kept_or_cut_but_never_longer_than_its_room(name: str) -> None:
    short = shortened(name, 27.0)

    assert short == name or short.endswith("…")
    assert len(short) <= 55
