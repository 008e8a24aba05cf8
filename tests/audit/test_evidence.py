"""The evidence of one decision: complete, printable, and refused once anything was changed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from uuid import UUID

import pytest

from audit import keys
from audit.ids import uuid7
from audit.models import Event
from audit.reports import evidence, verify
from screens.errors import NotFound
from tests.audit.conftest import ANA, Ledger
from tests.audit.test_bundle import Files, check, pack, sign_again, unpack


def decided(ledger: Ledger) -> UUID:
    """A decision with an end and a review, among others."""
    ledger.decisions(3)
    made, ended = ledger.made(), None
    ended = ledger.ended(made)
    ledger.store(made, ended)
    ledger.record(
        "review.decided",
        object_type="case",
        object_id="1",
        decision_id=made.id,
        details={"verdict": "edit"},
    )
    ledger.decisions(2)
    ledger.sequence()
    return made.id


def taken(ledger: Ledger, path: Path, form: str = "zip") -> UUID:
    identity = decided(ledger)
    found = evidence.evidence_of(identity)
    with evidence.take(evidence=found, form=form, by=ANA)[0] as file:
        path.write_bytes(file.read())
    return identity


def test_the_evidence_of_a_decision_holds_offline(ledger: Ledger, tmp_path: Path) -> None:
    identity = taken(ledger, tmp_path / "e.zip")

    code, said = check(tmp_path / "e.zip")

    assert code == 0
    assert str(identity) in said
    assert "3, each in the log of 13 entries: decision.made, decision.completed" in said
    assert Event.objects.get(kind="evidence.taken").object_id == str(identity)


def test_the_same_head_gives_the_same_bytes(ledger: Ledger, tmp_path: Path) -> None:
    identity = taken(ledger, tmp_path / "a.zip")
    found = evidence.evidence_of(identity)
    with evidence.take(evidence=found, form="zip", by=ANA)[0] as file:
        assert file.read() == (tmp_path / "a.zip").read_bytes()


def test_the_pdf_is_one(ledger: Ledger, tmp_path: Path) -> None:
    taken(ledger, tmp_path / "e.pdf", "pdf")

    assert (tmp_path / "e.pdf").read_bytes().startswith(b"%PDF-")


@pytest.mark.parametrize(
    ("value", "words"),
    [(True, "yes"), (False, "no"), (1, "1"), (0, "0"), (None, "not known"), ([], "none")],
)
def test_a_number_is_not_said_as_yes_or_no(value: object, words: str) -> None:
    assert evidence._said(value) == words


def test_a_decision_that_nobody_made_has_no_evidence(ledger: Ledger) -> None:
    ledger.decisions(1)
    ledger.sequence()

    with pytest.raises(NotFound):
        evidence.evidence_of(uuid7())


def test_a_decision_that_waits_for_the_sequencer_has_none_yet(ledger: Ledger) -> None:
    ledger.decisions(1)
    ledger.sequence()
    made = ledger.made()
    ledger.store(made)

    with pytest.raises(NotFound):
        evidence.evidence_of(made.id)


def edit(files: Files) -> None:
    files["proven.jsonl"] = files["proven.jsonl"].replace(b"web shop", b"web shoq")


def drop_end(files: Files) -> None:
    kept = files["proven.jsonl"].split(b"\n")
    files["proven.jsonl"] = b"\n".join([kept[0], kept[2], b""])


def drop_made(files: Files) -> None:
    files["proven.jsonl"] = files["proven.jsonl"].split(b"\n", 1)[1]


def twice(files: Files) -> None:
    files["proven.jsonl"] += files["proven.jsonl"]


def move(files: Files) -> None:
    lines = [json.loads(line) for line in files["proven.jsonl"].splitlines()]
    lines[0]["seq"] += 1
    files["proven.jsonl"] = b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def lengthen_path(files: Files) -> None:
    lines = [json.loads(line) for line in files["proven.jsonl"].splitlines()]
    lines[0]["path"] = lines[0]["path"] * 40
    files["proven.jsonl"] = b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def forge(files: Files) -> None:
    lines = [json.loads(line) for line in files["proven.jsonl"].splitlines()]
    lines[0]["entry"] = json.dumps({**json.loads(lines[0]["entry"]), "reason": "all is well"})
    files["proven.jsonl"] = b"".join(json.dumps(line).encode() + b"\n" for line in lines)


def nonsense(files: Files) -> None:
    files["proven.jsonl"] = b"[1]\n"


@pytest.mark.parametrize(
    ("mutate", "words"),
    [
        (edit, "its proof fails"),
        (drop_end, "not those that the manifest names"),
        (drop_made, "not those of one decision"),
        (twice, "twice or out of order"),
        (move, "its proof fails"),
        (lengthen_path, "its proof fails"),
        (forge, "its proof fails"),
        (nonsense, "no entry with a proof"),
    ],
)
def test_changed_evidence_fails_even_when_it_is_signed_again(
    ledger: Ledger, tmp_path: Path, mutate: Callable[[Files], None], words: str
) -> None:
    taken(ledger, tmp_path / "e.zip")
    files = unpack(tmp_path / "e.zip")
    mutate(files)
    sign_again(files, keys.signer())
    pack(tmp_path / "e.zip", files)

    code, said = check(tmp_path / "e.zip")

    assert (code, words in said) == (1, True)


@pytest.mark.parametrize("name", sorted(verify.EVIDENCE_FILES | verify.SIGNED))
def test_one_changed_byte_of_any_file_fails(ledger: Ledger, tmp_path: Path, name: str) -> None:
    taken(ledger, tmp_path / "e.zip")
    files = unpack(tmp_path / "e.zip")
    content = bytearray(files[name])
    content[len(content) // 2] ^= 1
    files[name] = bytes(content)
    pack(tmp_path / "e.zip", files)

    assert check(tmp_path / "e.zip")[0] == 1
