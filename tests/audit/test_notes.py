from __future__ import annotations

from datetime import UTC, datetime

import pytest

from audit.notes import Checkpoint, NoteError, Signer, Verifier, open_note

# The published example of the signed-note format (golang.org/x/mod/sumdb/note).
VKEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfq"
    "dngotpRZb6KE6RyyBwJnAM=\n"
)
SIGNER = Signer("test.example/ledger", bytes(range(32)))


def test_the_published_note_opens_with_the_published_key() -> None:
    text, signers = open_note(NOTE, [Verifier.parse(VKEY)])

    assert text.endswith("what your problem is.\n")
    assert [str(key) for key in signers] == [VKEY]


def test_a_verifier_key_survives_its_text_form() -> None:
    assert Verifier.parse(str(SIGNER.verifier)) == SIGNER.verifier


@pytest.mark.parametrize(
    "text", ["", "name", "a+b", VKEY.replace("c74f20a3", "c74f20a4"), VKEY[:-4], "a b+00+AAAA"]
)
def test_a_damaged_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(NoteError):
        Verifier.parse(text)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("cryptography", "cryptographY"),
        ("x08go/", "x08gp/"),
        ("\u2014 ", "- "),
        ("PeterNeumann ", "Somebody "),
        ("\n\n", "\n"),
        ("AM=\n", "AM="),
    ],
)
def test_a_changed_note_does_not_open(old: str, new: str) -> None:
    with pytest.raises(NoteError):
        open_note(NOTE.replace(old, new), [Verifier.parse(VKEY)])


def test_a_signature_by_an_unknown_key_is_passed_over() -> None:
    other = Signer("other.example", bytes(32))
    signed = SIGNER.sign("text\n")
    both = signed + other.sign("text\n").rpartition("\n\n")[2]

    text, signers = open_note(both, [SIGNER.verifier])

    assert (text, len(signers)) == ("text\n", 1)


def test_a_note_with_too_many_signatures_is_refused() -> None:
    line = SIGNER.sign("text\n").rpartition("\n\n")[2]

    with pytest.raises(NoteError):
        open_note("text\n\n" + line * 17, [SIGNER.verifier])


def test_a_checkpoint_says_origin_size_root_and_time() -> None:
    at = datetime(2026, 11, 24, 12, 0, 0, 5, UTC)
    checkpoint = Checkpoint(origin="test.example/ledger", size=7, root=bytes(32), at=at)

    text = checkpoint.text()

    assert text == (
        "test.example/ledger\n7\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
        "time 2026-11-24T12:00:00.000005Z\n"
    )
    assert Checkpoint.parse(text) == checkpoint


@pytest.mark.parametrize("size", ["07", "-1", "+1", "1e3", " 1", "\u0661"])
def test_a_checkpoint_with_an_odd_size_is_refused(size: str) -> None:
    with pytest.raises(NoteError):
        Checkpoint.parse(f"o\n{size}\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")


def test_a_checkpoint_of_another_log_is_refused() -> None:
    note = SIGNER.sign(Checkpoint(origin="other.example", size=0, root=bytes(32)).text())

    with pytest.raises(NoteError, match="of the log other.example"):
        Checkpoint.open(note, [SIGNER.verifier], origin="test.example/ledger")
