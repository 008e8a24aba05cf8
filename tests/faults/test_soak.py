"""A short soak in every run of the tests; ``./soak 30`` is the long one."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

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
