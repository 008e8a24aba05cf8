"""Calibration: a map that only rises, from what was said to what was good."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.engine.calibration import calibration_of, expected_error, fit

SHARES = st.decimals(min_value=0, max_value=1, places=4)


def boastful(count: int = 400) -> list[tuple[Decimal, bool]]:
    """Answers of a model that says 0.9 where half are good, and 0.5 where a tenth is."""
    half = [(Decimal("0.9"), place % 2 == 0) for place in range(count // 2)]
    tenth = [(Decimal("0.5"), place % 10 == 0) for place in range(count // 2)]
    return half + tenth


def test_it_says_afterwards_what_share_was_good() -> None:
    calibration = fit(boastful())

    assert calibration.apply(Decimal("0.9")) == Decimal("0.5000")
    assert calibration.apply(Decimal("0.5")) == Decimal("0.1000")
    assert calibration.apply(Decimal("0.7")) == Decimal("0.3000")


def test_beyond_its_points_it_stays_at_the_last_one() -> None:
    calibration = fit(boastful())

    assert calibration.apply(Decimal(0)) == Decimal("0.1000")
    assert calibration.apply(Decimal(1)) == Decimal("0.5000")


def test_the_calibration_error_falls() -> None:
    labelled = boastful()

    assert expected_error(None, labelled) == Decimal("0.4000")
    assert expected_error(fit(labelled), labelled) == Decimal("0.0000")


@given(st.lists(st.tuples(SHARES, st.booleans()), min_size=1, max_size=120), SHARES, SHARES)
def test_a_higher_value_never_means_less(
    labelled: list[tuple[Decimal, bool]], one: Decimal, other: Decimal
) -> None:
    calibration = fit(labelled)
    low, high = sorted([one, other])

    assert 0 <= calibration.apply(low) <= calibration.apply(high) <= 1


@given(st.lists(st.tuples(SHARES, st.booleans()), min_size=1, max_size=120))
def test_what_is_stored_is_read_back(labelled: list[tuple[Decimal, bool]]) -> None:
    calibration = fit(labelled)
    points = [[format(raw, "f"), format(good, "f")] for raw, good in calibration.points]

    assert calibration_of(points, len(labelled)) == calibration


@pytest.mark.parametrize("points", [[], [["0.5", "0.9"], ["0.6", "0.1"]], [["0.5", "1.2"]]])
def test_points_that_do_not_rise_are_refused(points: list[list[str]]) -> None:
    with pytest.raises(ValueError, match="rise"):
        calibration_of(points, 300)
