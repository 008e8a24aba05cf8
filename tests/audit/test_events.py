from __future__ import annotations

import re
from typing import Any

import pytest

from audit.events import GROUPS, KINDS, TERMINAL, words
from audit.gaps import Gaps
from audit.reports import verify
from tests.audit.conftest import SQL


def entry(kind: str, **more: Any) -> dict[str, Any]:
    return {
        "kind": kind,
        "actor": {"kind": "person", "id": "7", "name": "ana", "roles": ["author"]},
        "object": {"type": "policy_version", "id": "support-triage/4"},
        "result": "ok",
        "reason": "",
        "details": {},
        **more,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_reads_as_a_sentence_even_without_details(kind: str) -> None:
    sentence = words(entry(kind))

    assert sentence
    assert not re.search(r"[{}\[\]]", sentence)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_a_known_heading(kind: str) -> None:
    assert KINDS[kind].group in GROUPS


def test_a_sentence_names_who_and_what() -> None:
    assert words(entry("policy.approved")) == "ana approved policy version support-triage/4"


def test_braces_and_brackets_inside_values_mean_nothing() -> None:
    said = words(entry("access.denied", reason="[{actor}] is not {details.x}"))

    assert said == "ana was denied: [{actor}] is not {details.x}"


def test_a_denied_act_says_so() -> None:
    assert words(entry("policy.approved", result="denied")).endswith("denied")


def test_a_kind_of_a_later_release_reads_as_its_code() -> None:
    assert words(entry("moon.landed")) == "Moon.landed: policy version support-triage/4"


def test_database_code_and_verifier_agree_on_the_outcomes() -> None:
    in_sql = set(re.findall(r"'(decision\.[a-z_]+)'", SQL.read_text())) - {"decision.made"}

    assert in_sql == TERMINAL == verify.TERMINAL


def gaps_of(*numbers: int) -> list[str]:
    gaps = Gaps()
    for number in numbers:
        gaps.saw("w", number)
    return list(gaps.findings())


@pytest.mark.parametrize("numbers", [(), (1, 2, 3), (2, 1, 4, 3), (3, 2, 1)])
def test_numbers_in_any_near_order_leave_no_gap(numbers: tuple[int, ...]) -> None:
    assert gaps_of(*numbers) == []


@pytest.mark.parametrize(
    ("numbers", "said"),
    [((1, 3), "event 2 of writer w"), ((2, 3), "event 1"), ((1, 2, 2), "number 2 twice")],
)
def test_a_missing_or_repeated_number_is_named(numbers: tuple[int, ...], said: str) -> None:
    assert said in gaps_of(*numbers)[0]
