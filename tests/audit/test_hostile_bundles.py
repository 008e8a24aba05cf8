"""Bundles that somebody made to deceive or to hurt: one sentence each, little memory, no delay."""

from __future__ import annotations

import resource
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from audit import keys
from audit.reports import verify
from tests.audit import test_bundle as bundles
from tests.audit.test_bundle import Files, pack, sign_again, unpack

honest, made_once = bundles.honest, bundles.made_once

MOST_BYTES = 192 << 20
MOST_SECONDS = 20.0

SENTENCES: dict[str, tuple[Callable[[Files], None], str]] = {
    "a word of an entry": (bundles.edit_entry, "do not lead to the root"),
    "an entry less": (bundles.drop_line, "entries are missing"),
    "the last entry less": (bundles.drop_last_line, "entries are missing"),
    "the first entry less": (bundles.drop_first_line, "entries are missing"),
    "two entries swapped": (bundles.swap_lines, "do not lead to the root"),
    "an entry twice": (bundles.double_line, "more entries than the end checkpoint covers"),
    "an entry more": (bundles.add_line, "more entries than the end checkpoint covers"),
    "a blank line more": (bundles.add_blank_line, "more entries than the end checkpoint covers"),
    "no last newline": (bundles.cut_last_newline, "does not end with a whole line"),
    "other spaces in an entry": (bundles.respace_entry, "do not lead to the root"),
    "a very long entry": (bundles.very_long_line, "a line that is too long"),
    "a cell of the table": (bundles.edit_csv, "events.csv does not say what the entries say"),
    "a row of the table less": (bundles.drop_csv_line, "events.csv does not say"),
    "a hash more at the start": (bundles.grow_frontier, "frontier-start.txt does not fit"),
    "checkpoints swapped": (bundles.swap_checkpoints, "not those that the manifest names"),
    "the size of the end": (bundles.edit_checkpoint, "the end checkpoint was changed"),
    "no signature at the end": (bundles.unsign_checkpoint, "the end checkpoint is not a signed"),
    "a count of the manifest": (bundles.edit_counts, "the counts of the manifest"),
}
UNSIGNED: dict[str, tuple[Callable[[Files], None], str]] = {
    "the period": (bundles.edit_period, "manifest.json was changed"),
    "the page": (lambda f: _flip(f, "report.html"), "report.html was changed"),
    "the print": (lambda f: _flip(f, "report.pdf"), "report.pdf was changed"),
    "the data": (lambda f: _flip(f, "report.json"), "report.json was changed"),
    "the verifier": (lambda f: _flip(f, "verify.py"), "verify.py was changed"),
    "the read-me": (lambda f: _flip(f, "README.txt"), "README.txt was changed"),
}


def _flip(files: Files, name: str) -> None:
    content = bytearray(files[name])
    content[len(content) // 2] ^= 1
    files[name] = bytes(content)


def check(path: Path) -> tuple[int, str]:
    """The verifier with a bound on its memory, and a clock."""

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))

    program, key = verify.__file__, str(keys.signer().verifier)
    began = time.monotonic()
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-I", "-S", str(program), str(path), "--key", key],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=bound,
    )
    assert time.monotonic() - began < MOST_SECONDS
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1 or done.returncode == 0
    return done.returncode, done.stdout


def test_there_are_24_mutations() -> None:
    assert len(SENTENCES) + len(UNSIGNED) == 24


@pytest.mark.parametrize("what", SENTENCES)
def test_a_mutation_is_named_even_when_it_is_signed_again(honest: Path, what: str) -> None:
    mutate, words = SENTENCES[what]
    files = unpack(honest)
    mutate(files)
    sign_again(files, keys.signer())
    pack(honest, files)

    code, said = check(honest)

    assert (code, words in said) == (1, True), said


@pytest.mark.parametrize("what", UNSIGNED)
def test_a_changed_file_is_named(honest: Path, what: str) -> None:
    mutate, words = UNSIGNED[what]
    files = unpack(honest)
    mutate(files)
    pack(honest, files)

    code, said = check(honest)

    assert (code, words in said) == (1, True), said


def test_an_honest_bundle_holds_within_the_same_bounds(honest: Path) -> None:
    assert check(honest)[0] == 0


def test_an_encrypted_file_is_named(honest: Path) -> None:
    raw = bytearray(honest.read_bytes())
    at = raw.index(b"PK\x01\x02")
    raw[at + 8] |= 1
    honest.write_bytes(bytes(raw))

    code, said = check(honest)

    assert (code, "is encrypted" in said) == (1, True)


@pytest.mark.parametrize("name", ["entries.jsonl", "events.csv", "earlier.jsonl", "report.pdf"])
def test_a_bomb_in_any_file_is_stopped_at_its_stated_size(honest: Path, name: str) -> None:
    files = unpack(honest)
    with zipfile.ZipFile(honest, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in files.items():
            with archive.open(member, "w") as out:
                out.write(content)
                [out.write(bytes(1 << 20)) for _ in range(300 if member == name else 0)]

    code, said = check(honest)

    assert (code, f"{name} is larger than it may be" in said) == (1, True)


@pytest.mark.parametrize("name", ["entries.jsonl", "earlier.jsonl", "policies.jsonl"])
def test_one_endless_line_is_stopped_even_when_it_is_signed(honest: Path, name: str) -> None:
    files = unpack(honest)
    files[name] = b"x" * (64 << 20)
    sign_again(files, keys.signer())
    pack(honest, files)

    code, said = check(honest)

    assert (code, "a line that is too long" in said) == (1, True)


def test_a_huge_directory_is_not_read(honest: Path) -> None:
    raw = honest.read_bytes()
    end = bytearray(raw[-22:])
    end[12:16] = struct.pack("<L", 1 << 30)
    honest.write_bytes(raw[:-22] + bytes(end))

    code, said = check(honest)

    assert (code, said.startswith("FAILS")) == (1, True)


def test_a_huge_extra_field_fails(honest: Path) -> None:
    files = unpack(honest)
    with zipfile.ZipFile(honest, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in files.items():
            entry = zipfile.ZipInfo(member)
            entry.extra = struct.pack("<HH", 0x9999, 60_000) + bytes(60_000)
            archive.writestr(entry, content)

    code, said = check(honest)

    assert (code, said.startswith("FAILS")) == (1, True)


@pytest.mark.parametrize("name", ["../entries.jsonl", "/entries.jsonl", "C:\\entries.jsonl"])
def test_no_name_leads_out_of_the_bundle(honest: Path, name: str) -> None:
    pack(honest, unpack(honest) | {name: b"x"})

    code, said = check(honest)

    assert (code, "does not belong there" in said) == (1, True)
    assert not (honest.parent.parent / "entries.jsonl").exists()


@pytest.mark.parametrize(
    "manifest", [b"[]", b"{}", b"[" * 100_000, b'{"files": 1}', b"\xff", b"null"]
)
def test_a_manifest_of_nonsense_fails_even_when_it_is_signed(honest: Path, manifest: bytes) -> None:
    from hashlib import sha256

    files = unpack(honest)
    signer = keys.signer()
    text = (
        f"{verify.MANIFEST_HEAD}\n{signer.verifier.name}\nsha256 {sha256(manifest).hexdigest()}\n"
    )
    files["manifest.json"], files["manifest.note"] = manifest, signer.sign(text).encode()
    pack(honest, files)

    code, said = check(honest)

    assert (code, said.startswith("FAILS bundle.zip: ")) == (1, True)
