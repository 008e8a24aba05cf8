"""The rules of a case: values in, values out, no database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from review import rules


def test_no_transition_leaves_an_end() -> None:
    assert all(not one.sources & rules.ENDS for one in rules.TRANSITIONS.values())


def test_every_state_that_is_no_end_can_still_end_by_time() -> None:
    assert rules.sources_of("expire") == rules.ALIVE


def test_every_state_is_reached_from_a_waiting_case() -> None:
    reached = {rules.PENDING}
    for _ in rules.TRANSITIONS:
        reached |= {one.target for one in rules.TRANSITIONS.values() if one.sources & reached}

    assert reached - {""} == rules.ALIVE | rules.ENDS


def test_only_a_claimed_case_can_be_decided() -> None:
    assert rules.sources_of("resolve") == {rules.CLAIMED}


@pytest.mark.parametrize(("losses", "level"), [(0, 1), (1, 1), (2, 1), (3, 2), (4, 1), (6, 2)])
def test_every_third_lost_claim_raises_the_level(losses: int, level: int) -> None:
    assert rules.level_after_losses(level=1, losses=losses) == level


def test_an_extension_gives_ten_minutes_from_now() -> None:
    assert rules.lease_end_s(claimed_s=0, now_s=300) == 900


def test_extensions_end_half_an_hour_after_the_claim() -> None:
    assert rules.lease_end_s(claimed_s=0, now_s=1799) == 1800


@pytest.mark.parametrize(
    ("now_s", "expected"),
    [(0, "calm"), (49, "calm"), (50, "soon"), (79, "soon"), (80, "now"), (100, "now")],
)
def test_urgency_rises_at_half_and_at_four_fifths(now_s: float, expected: str) -> None:
    assert rules.urgency(opened_s=0, due_s=100, now_s=now_s) == expected


def test_a_case_without_any_time_is_urgent() -> None:
    assert rules.urgency(opened_s=100, due_s=100, now_s=50) == "now"


@pytest.mark.parametrize(
    ("before", "after", "share"),
    [
        ("", "", 0.0),
        ("one two", "one two", 0.0),
        ("one two three four", "one two three five", 0.25),
        ("", "all new", 1.0),
        ("a a b", "a b b", 1 / 3),
    ],
)
def test_the_share_of_changed_words(before: str, after: str, share: float) -> None:
    assert rules.share_changed(before, after) == pytest.approx(share)


def test_a_comparison_shows_what_went_and_what_came() -> None:
    pieces = rules.word_diff("ends on 31 March.", "ends on 30 April.")

    assert pieces == [("same", "ends on "), ("gone", "31 March."), ("new", "30 April.")]


def test_a_very_long_text_is_compared_as_a_whole() -> None:
    pieces = rules.word_diff("word " * 5000, "other " * 5000)

    assert [piece.kind for piece in pieces] == ["gone", "new"]


texts = st.text(alphabet="ab \n", max_size=40)


@given(before=texts, after=texts)
def test_a_comparison_loses_no_character(before: str, after: str) -> None:
    pieces = rules.word_diff(before, after)

    assert "".join(piece.text for piece in pieces if piece.kind != "new") == before
    assert "".join(piece.text for piece in pieces if piece.kind != "gone") == after


@given(before=texts, after=texts)
def test_the_share_of_changed_words_is_a_share(before: str, after: str) -> None:
    assert 0 <= rules.share_changed(before, after) <= 1


@pytest.mark.parametrize("verdict", ["approve", "edit", "choose", "safe_default", "refuse"])
def test_every_verdict_gives_the_client_something(verdict: str) -> None:
    assert rules.disposition_of(verdict) in {"answer", "safe_default", "refuse"}
