"""A small invented eval set: sums gain from the larger model, everyday questions do not."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

THINGS = ("chairs", "tickets", "boxes", "letters", "cards", "plates", "lamps", "books")
PEOPLE = ("Anna", "Bruno", "Clara", "Dmitri", "Elif", "Farid", "Greta", "Hugo")


def a_row(number: int) -> dict[str, Any]:
    thing, person = THINGS[number % 8], PEOPLE[number // 8 % 8]
    is_sum = number % 2 == 0
    prompt = (
        f"{person} bought {number + 2} {thing} and sold {number // 2} of them for 3 dollars each, "
        f"then half of the rest. How many {thing} are left, if each day one more is lost?"
        if is_sum
        else f"Where do I find the {thing} that {person} ordered in the app, order {number}?"
    )
    return {
        "id": f"row-{number}",
        "group": f"group-{number}",
        "category": "sum" if is_sum else "service",
        "source": "invented",
        "prompt": prompt,
        "small_model": "small-model",
        "large_model": "large-model",
        "small_score": float(not is_sum or number % 5 == 0),
        "large_score": float(number % 7 != 0),
    }


def as_lines(rows: list[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


@pytest.fixture
def rows() -> list[dict[str, Any]]:
    return [a_row(number) for number in range(160)]


@pytest.fixture
def evalset(rows: list[dict[str, Any]]) -> bytes:
    return as_lines(rows)


@pytest.fixture
def written(tmp_path: Any, evalset: bytes) -> Callable[..., str]:
    """The eval set as a file, or other lines."""

    def write(content: bytes = evalset) -> str:
        path = tmp_path / "evalset.jsonl"
        path.write_bytes(content)
        return str(path)

    return write
