"""What a report says of the entries: crossings, four eyes, what stood before, the sample."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from audit import keys
from audit.actors import Actor
from audit.reports import bundle, contributions, cut
from audit.reports.blocks import Spread
from audit.reports.sections.controls import mapping
from tests.audit.conftest import ANA, Ledger
from tests.audit.test_bundle import FROM, TO, check, make, pack, sign_again, unpack

BEN = Actor("person", "8", "ben", ("approver",))
FAR = 4_000_000_000


def report_of(path: Path) -> dict[str, Any]:
    return json.loads(unpack(path)["report.json"])


def part(report: dict[str, Any], name: str) -> str:
    """One section as text."""
    return json.dumps(next(one for one in report["sections"] if one["id"] == name))


def findings(report: dict[str, Any]) -> dict[str, str]:
    """What the first section counts, by its sentence."""
    rows = [row for block in report["sections"][0]["blocks"] for row in block.get("rows", ())]
    return {row[0]: row[1] for row in rows}


def cross(ledger: Ledger, *, until_s: int | None, **more: Any) -> None:
    """A decision of public data that went to a public backend."""
    registry = {} if until_s is None else {
        "backends": [
            {"name": "outside", "boundary": "public", "signoffs": {"public": until_s}}
        ]
    }  # fmt: skip
    decision = {"rule": "r", "boundary": "public", "data_class": "public", "sentence": "S."}
    made = ledger.made(decision=decision, **registry, **more)
    attempt = {"n": 1, "backend": "outside", "boundary": "public", "kind": "first"}
    ended = ledger.writer.seal(
        "decision.completed",
        decision_id=made.id,
        actor=Actor("system", "router", "router"),
        object=("route", "support-triage"),
        details={"backend": "outside", "boundary": "public", "attempts": [attempt]},
    )
    ledger.store(made, ended)


def test_a_crossing_under_a_sign_off_is_no_exception(ledger: Ledger, tmp_path: Path) -> None:
    cross(ledger, until_s=FAR)
    ledger.sequence()
    make(tmp_path / "b.zip")

    report = report_of(tmp_path / "b.zip")

    assert "Crossings without a sign-off: 0 of 1." in part(report, "crossings")
    assert "Requests that went to a public backend without a sign-off" not in findings(report)


@pytest.mark.parametrize("until_s", [0, 1_000, None])
def test_a_crossing_without_a_sign_off_comes_first(
    ledger: Ledger, tmp_path: Path, until_s: int | None
) -> None:
    cross(ledger, until_s=until_s)
    ledger.sequence()
    make(tmp_path / "b.zip")

    report = report_of(tmp_path / "b.zip")

    assert findings(report)["Requests that went to a public backend without a sign-off"] == "1"
    assert "Crossings without a sign-off: 1 of 1." in part(report, "crossings")


def test_a_decision_without_its_registry_is_judged_by_the_sign_offs_own_entries(
    ledger: Ledger, tmp_path: Path
) -> None:
    ledger.record(
        "signoff.granted",
        by=BEN,
        object_type="signoff",
        object_id="7",
        details={"backend": "outside", "data_class": "public", "valid_to": "2099-01-01T00:00:00Z"},
    )
    ledger.sequence()
    middle = datetime.now(UTC)
    cross(ledger, until_s=None)
    ledger.sequence()
    make(tmp_path / "b.zip", middle, TO)

    said = part(report_of(tmp_path / "b.zip"), "crossings")

    # The sign-off is older than the bundle: it is in earlier.jsonl, with its proof.
    assert "Crossings without a sign-off: 0 of 1." in said
    assert "1 entries of before" in check(tmp_path / "b.zip")[1]


def test_a_registry_that_has_an_entry_of_its_own_is_found_by_its_digest(
    ledger: Ledger, tmp_path: Path
) -> None:
    backends = [{"name": "outside", "boundary": "public", "signoffs": {"public": FAR}}]
    ledger.record(
        "backend.changed", object_id="r", details={"digest": "sha256:ab", "backends": backends}
    )
    cross(ledger, until_s=None, backends="sha256:ab")
    ledger.sequence()
    make(tmp_path / "b.zip")

    assert "without a sign-off: 0 of 1" in part(report_of(tmp_path / "b.zip"), "crossings")


def activate(ledger: Ledger, *, approver: Actor, document: bytes = b"{}") -> None:
    from hashlib import sha256

    digest = "sha256:" + sha256(document).hexdigest()
    for kind, by in (
        ("policy.submitted", ANA),
        ("policy.approved", approver),
        ("policy.activated", BEN),
    ):
        ledger.record(
            kind,
            by=by,
            object_type="policy_version",
            object_id="desk@1",
            details={"route": "desk", "digest": digest},
        )


def test_an_approval_of_ones_own_version_is_an_exception(ledger: Ledger, tmp_path: Path) -> None:
    activate(ledger, approver=ANA)
    ledger.sequence()
    make(tmp_path / "b.zip")

    found = findings(report_of(tmp_path / "b.zip"))

    assert found["Versions approved by their own author"] == "1"
    assert found["Separation of duties: one person did two jobs on one thing"] == "1"


def test_the_policy_in_force_since_before_the_period_is_shown_and_proven(
    ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = b'{"route":"desk"}'
    monkeypatch.setattr(contributions, "_documents", [lambda _: [document, b"{}"]])
    activate(ledger, approver=BEN, document=document)
    ledger.sequence()
    middle = datetime.now(UTC)
    ledger.decisions(2)
    ledger.sequence()
    make(tmp_path / "b.zip", middle, TO)

    said = part(report_of(tmp_path / "b.zip"), "policies")

    assert re.search(r"desk@1.*\(before\).*ana.*ben", said)
    # Only the document whose digest was recorded is handed out.
    assert unpack(tmp_path / "b.zip")["policies.jsonl"] == document + b"\n"
    code, told = check(tmp_path / "b.zip")
    assert (code, "3 entries of before" in told, "1 documents" in told) == (0, True, True)


def half(ledger: Ledger, path: Path) -> dict[str, bytes]:
    """The files of a bundle that leans on earlier entries."""
    activate(ledger, approver=BEN)
    ledger.sequence()
    middle = datetime.now(UTC)
    ledger.decisions(2)
    ledger.sequence()
    make(path, middle, TO)
    return unpack(path)


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("earlier.jsonl", lambda raw: raw.replace(b"desk@1", b"desk@2"), "its proof fails"),
        ("earlier.jsonl", lambda raw: raw.replace(b'"seq": 1', b'"seq": 2'), "its proof fails"),
        ("earlier.jsonl", lambda raw: raw + raw, "twice or out of order"),
        ("earlier.jsonl", lambda raw: b"{}\n", "no entry with a proof"),
        ("earlier.jsonl", lambda raw: raw[:-1], "does not end with a whole line"),
        ("earlier.jsonl", lambda raw: b"x" * 500_000 + b"\n", "a line that is too long"),
        ("policies.jsonl", lambda raw: b'{"x":1}\n', "no entry names by its digest"),
    ],
)
def test_what_was_added_to_the_entries_is_checked_even_when_signed_again(
    ledger: Ledger, tmp_path: Path, file: str, change: Any, words: str
) -> None:
    path = tmp_path / "b.zip"
    files = half(ledger, path)
    files[file] = change(files[file])
    sign_again(files, keys.signer())
    pack(path, files)

    code, said = check(path)

    assert (code, words in said) == (1, True)


def test_the_printed_sample_is_the_one_that_the_verifier_picks(
    ledger: Ledger, tmp_path: Path
) -> None:
    from audit.reports import verify

    ledger.decisions(40)
    ledger.sequence()
    request = bundle.Request(
        period_from=FROM, period_to=TO, cut=cut.choose(FROM, TO), seed="auditor 2026"
    )
    bundle.write(tmp_path / "b.zip", request, keys.signer())

    said = verify.verify(str(tmp_path / "b.zip"), str(keys.signer().verifier), "auditor 2026")

    picked = {line.split()[-1] for line in said if line.startswith("  decisions")}
    sample = next(s for s in report_of(tmp_path / "b.zip")["sections"] if s["id"] == "sample")
    rows = next(b for b in sample["blocks"] if b["kind"] == "table")["rows"]
    assert len(picked) == 25
    assert {row[-1] for row in rows} == picked


def test_the_control_mapping_has_sources_and_dates_and_claims_no_compliance() -> None:
    known = mapping()

    assert all(
        re.fullmatch(r"\d{4}-\d\d-\d\d", one["effective_from"]) and one["source"]
        for one in known["frameworks"]
    )
    assert {one["name"] for one in known["frameworks"]} >= {
        "EU AI Act", "GDPR", "ISO/IEC 42001", "NIST AI RMF", "SOC 2", "DORA", "HIPAA",
    }  # fmt: skip
    assert not re.search(r"compl(y|ies|iant|iance)", json.dumps(known), re.IGNORECASE)
    assert {c["evidence"] for f in known["frameworks"] for c in f["controls"]} == {
        "supports", "partly", "outside",
    }  # fmt: skip


def test_a_law_that_does_not_apply_yet_says_so(filled: Ledger, tmp_path: Path) -> None:
    make(tmp_path / "b.zip", FROM, datetime(2026, 12, 1, tzinfo=UTC))

    said = part(report_of(tmp_path / "b.zip"), "controls")

    assert "applies only from 2027-12-02" in said
    assert "in effect since 2018-05-25" in said


def test_quantiles_are_right_within_their_promise() -> None:
    spread = Spread()
    for value in range(1, 10_001):
        spread.add(value)

    assert abs((spread.at(0.5) or 0) - 5_000) <= 5_000 * 0.025
    assert abs((spread.at(0.99) or 0) - 9_900) <= 9_900 * 0.025
    assert Spread().at(0.5) is None


def test_the_pdf_names_the_report_and_its_hash(filled: Ledger, tmp_path: Path) -> None:
    make(tmp_path / "b.zip")
    files = unpack(tmp_path / "b.zip")

    assert files["report.pdf"].startswith(b"%PDF-")
    assert report_of(tmp_path / "b.zip")["cover"]["report_id"].encode() in files["report.html"]


def test_promotions_and_stopped_rollouts_are_read_by_their_kinds(
    ledger: Ledger, tmp_path: Path
) -> None:
    activate(ledger, approver=BEN)
    for kind, by in (("promotion.promoted", ANA), ("rollout.aborted", BEN)):
        ledger.record(
            kind,
            by=by,
            object_type="policy_version",
            object_id="desk@1",
            details={"route": "desk", "share": 5},
        )
    ledger.sequence()
    make(tmp_path / "b.zip")

    report = report_of(tmp_path / "b.zip")

    found = findings(report)
    assert found["Rollouts that were stopped"] == "1"
    # ana wrote the version that she promoted.
    assert found["Promotions by the author of the version"] == "1"
    assert "Promotions in the period: 1." in part(report, "shadows")
