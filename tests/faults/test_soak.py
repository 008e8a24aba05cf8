"""A short soak in every run of the tests; ``./soak 30`` is the long one."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import pytest

from tests.faults.soak import Soak
from tests.installation import ROOT

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.xdist_group("faults")]


def test_f50_everything_at_once_keeps_the_books_straight() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.soak", "0.34", "--seed", "7"],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "FAILED" not in done.stdout


class Trail:
    """What the trail would say, for the comparison alone."""

    def __init__(self, **kinds: list[str]) -> None:
        self._kinds = kinds

    def rows(self, query: str, *values: Any) -> list[tuple[str, list[str]]]:
        return [(name.replace("_", "-"), kinds) for name, kinds in self._kinds.items()]


def test_the_comparison_finds_what_is_lost_and_what_is_unrecorded() -> None:
    soak = Soak.__new__(Soak)
    soak.plant = Trail(  # type: ignore[assignment]
        soak_good=["decision.made", "decision.completed"],
        soak_open=["decision.made"],
        soak_cut=["decision.made", "decision.outcome_unknown"],
    )
    ledger = [
        ("soak-good", "d1", 200, True),
        ("soak-open", "d2", 200, True),
        ("soak-cut", "d3", 200, False),
        ("soak-none", "d4", 200, False),
        ("soak-refused", "-", 503, True),
    ]

    assert soak._against_ledger(ledger) == (["soak-open"], ["soak-none"])
