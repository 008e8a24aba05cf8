"""A small month of the benchmark's making: what the report counts is what was put into it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from django.test.utils import CaptureQueriesContext

from audit import keys
from audit.reports import bundle, cut
from benchmarks.reports import month
from tests.audit.conftest import Ledger
from tests.audit.test_bundle import check, unpack
from tests.audit.test_report_sections import findings, part, report_of

SIZE = month.Size(decisions=600, acts=24, cases=40, unsigned=3)


@pytest.fixture
def made(ledger: Ledger, tmp_path: Path) -> Path:
    with ledger.connect("default") as app:
        month.store(app, SIZE, origin="test.example/ledger", tell=lambda _: None)
    while ledger.sequence():
        pass
    request = bundle.Request(
        period_from=month.BEGIN, period_to=month.END, cut=cut.choose(month.BEGIN, month.END)
    )
    bundle.write(tmp_path / "month.zip", request, keys.signer())
    return tmp_path / "month.zip"


def test_the_report_finds_exactly_what_was_planted(made: Path) -> None:
    report = report_of(made)
    found = findings(report)

    assert found["Requests that went to a public backend without a sign-off"] == "3"
    assert found["Denied acts"] == "4"
    assert found["Cases whose deadline passed without a verdict"] == "4"
    assert found["Signs of automation bias among reviewers"] == "2"
    counts = json.loads(unpack(made)["manifest.json"])["counts"]
    assert (counts["decisions"], counts["outcomes"], counts["open_at_end"]) == (600, 600, 0)
    # rui only ever said yes, within seconds.
    assert "rui: approved everything; rui: half of the cases" in part(report, "reviews")


def test_it_verifies_where_nothing_but_python_is(made: Path, tmp_path: Path) -> None:
    alone = tmp_path / "elsewhere"
    alone.mkdir()
    (alone / "verify.py").write_bytes(unpack(made)["verify.py"])
    (alone / "key.pub").write_text(f"{keys.signer().verifier}\n")
    (alone / "bundle.zip").write_bytes(made.read_bytes())

    done = subprocess.run(
        [sys.executable, "-I", "-S", "verify.py", "bundle.zip", "--key", "key.pub"],
        cwd=alone,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "600 made, 600 outcomes in the period, 0 still open" in done.stdout
    assert check(made)[0] == 0


def test_a_report_reads_in_batches_and_never_the_whole_period_at_once(
    made: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from django.db import connection

    monkeypatch.setattr(bundle, "BATCH", 100)
    request = bundle.Request(
        period_from=month.BEGIN, period_to=month.END, cut=cut.choose(month.BEGIN, month.END)
    )
    with CaptureQueriesContext(connection) as asked:
        bundle.write(tmp_path / "again.zip", request, keys.signer())

    reads = [one["sql"] for one in asked if "l.seq >= " in one["sql"] and "e.body" in one["sql"]]
    assert len(reads) == -(-request.cut.entries // 100)
    assert (tmp_path / "again.zip").read_bytes() == made.read_bytes()
