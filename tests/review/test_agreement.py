"""Intervals and kappa against published values."""

from __future__ import annotations

import pytest

from review.agreement import kappa, wilson


def test_wilson_gives_the_published_interval() -> None:
    # Newcombe 1998, table I, method 3: 81 of 263.
    found = wilson(81, 263)
    assert found.value == pytest.approx(0.3080, abs=5e-5)
    assert (found.low, found.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_wilson_knows_its_ends() -> None:
    assert wilson(0, 0).value is None
    none, every = wilson(0, 20), wilson(20, 20)
    assert (none.low, every.high) == (0.0, 1.0)
    assert none.high == pytest.approx(0.1611, abs=5e-5)
    assert every.low == pytest.approx(0.8389, abs=5e-5)


def pairs(table: dict[tuple[str, str], int]) -> list[tuple[str, str]]:
    return [pair for pair, count in table.items() for _ in range(count)]


def test_kappa_gives_the_textbook_value() -> None:
    # Cohen's two raters of fifty proposals: agreement .70, by chance .50.
    found = kappa(pairs({("y", "y"): 20, ("y", "n"): 5, ("n", "y"): 10, ("n", "n"): 15}))
    assert found is not None
    assert found.value == pytest.approx(0.4)
    # The standard error by Fleiss, Cohen and Everitt is 0.1265 here.
    assert (found.low, found.high) == pytest.approx((0.152, 0.648), abs=2e-3)


def test_kappa_says_nothing_of_few_pairs_or_of_raters_who_say_one_thing() -> None:
    assert kappa(pairs({("y", "y"): 20, ("n", "n"): 9})) is None
    assert kappa(pairs({("y", "y"): 40})) is None


def test_kappa_is_one_where_all_agree_and_both_words_are_used() -> None:
    found = kappa(pairs({("y", "y"): 20, ("n", "n"): 20}))
    assert found is not None
    assert (found.value, found.low, found.high) == pytest.approx((1.0, 1.0, 1.0))
