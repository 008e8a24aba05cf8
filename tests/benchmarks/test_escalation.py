"""The figures about escalation: bounded where the data does not say, exact where it does."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.escalation import agreement
from benchmarks.escalation.agreement import Trio
from benchmarks.escalation.questions import Question, capitals, sums

TRIO = Trio(name="t", file="m.csv", small="a", second="b", large="c")
# (small, second, larger right): sure and right, doubted and right, both wrong twice.
ROWS = [("1", True, True, True), ("2", True, False, True), ("3", False, False, True)] * 40


def test_wrong_answers_that_coincide_make_the_signal_worse() -> None:
    worst, between, best = (agreement.measure(ROWS, common) for common in (1.0, 0.35, 0.0))

    assert worst.apgr < 0.5 < best.apgr
    assert worst.apgr <= between.apgr <= best.apgr
    assert (worst.agreed, best.agreed) == (pytest.approx(2 / 3), pytest.approx(1 / 3))


def test_interval_holds_the_figure() -> None:
    found = agreement.measure(ROWS, 0.0)

    assert found.low <= found.apgr <= found.high


def test_row_without_a_verdict_is_left_out(tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    file.write_text("id,a,b,c\n1,1,0,1\n2,,0,1\n3,0,0,1\n")

    assert [row[0] for row in agreement.read(file, TRIO)] == ["1", "3"]


def test_second_call_is_paid_for_every_request() -> None:
    assert agreement.cost_share(0.5, 0.1) == pytest.approx(0.7)


@pytest.mark.parametrize(
    ("said", "is_right"),
    [
        ("The capital of Brazil is Brasília.", True),
        ("BRASILIA", True),
        ("Rio de Janeiro", False),
        ("Brasilianopolis", False),
    ],
)
def test_answer_is_found_as_a_whole_word_with_or_without_accents(said: str, is_right: bool) -> None:
    assert Question("What is the capital of Brazil?", "Brasilia").is_answered_by(said) is is_right


def test_questions_are_many_and_the_same_each_time() -> None:
    assert len({question.text for question in capitals()}) == len(capitals()) > 100
    assert sums(30, seed=3) == sums(30, seed=3)
