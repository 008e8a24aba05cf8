"""The report bundle and its offline verifier: what is honest holds, every mutation fails."""

from __future__ import annotations

import base64
import csv
import io
import json
import struct
import subprocess
import sys
import zipfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from audit import keys
from audit.notes import Signer
from audit.reports import bundle, cut, verify
from tests.audit.conftest import ANA, Ledger, a_copy, fill

Files = dict[str, bytes]
FROM = datetime(2026, 1, 1, tzinfo=UTC)
TO = datetime(2100, 1, 1, tzinfo=UTC)
# RFC 8032, section 7.1, tests 1 to 3: public key, message, signature.
RFC_8032 = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9"
        "b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f1"
        "1d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984d"
        "c6594a7c15e9716ed28dc027beceea1ec40a",
    ),
]


def make(path: Path, period_from: datetime = FROM, period_to: datetime = TO) -> bundle.Written:
    chosen = cut.choose(period_from, period_to)
    request = bundle.Request(period_from=period_from, period_to=period_to, cut=chosen)
    return bundle.write(path, request, keys.signer())


@pytest.fixture(scope="module")
def made_once(
    ledger_template: str, django_db_blocker: Any, tmp_path_factory: pytest.TempPathFactory
) -> tuple[bytes, str]:
    """The bytes of one honest bundle, and the text of the key file that signed it."""
    home = tmp_path_factory.mktemp("honest")
    own = override_settings(AUDIT_ORIGIN="test.example/ledger", AUDIT_KEY_FILE=home / "audit.key")
    with own, a_copy(ledger_template, django_db_blocker) as ledger:
        fill(ledger)
        ledger.sequence()
        ledger.record(
            reason='=HYPERLINK("http://example.com")',
            details={"text": "ligne\nzwei \u2028 \U0001f600"},
        )
        ledger.sequence()
        make(home / "bundle.zip")
    return (home / "bundle.zip").read_bytes(), (home / "audit.key").read_text()


@pytest.fixture
def honest(made_once: tuple[bytes, str], tmp_path: Path, settings: Any) -> Path:
    content, key = made_once
    key_file = Path(settings.AUDIT_KEY_FILE)
    key_file.parent.mkdir(parents=True)
    key_file.write_text(key)
    path = tmp_path / "bundle.zip"
    path.write_bytes(content)
    return path


def check(path: Path, key: str = "") -> tuple[int, str]:
    """The verifier as an auditor runs it: alone, isolated, standard library only."""
    program = Path(verify.__file__)
    done = subprocess.run(  # noqa: S603
        [
            sys.executable,
            "-I",
            "-S",
            str(program),
            str(path),
            "--key",
            key or str(keys.signer().verifier),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


def unpack(path: Path) -> Files:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path: Path, files: Files) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def sign_again(files: Files, signer: Signer) -> None:
    """What an insider with the signing key would do after changing files."""
    manifest = json.loads(files["manifest.json"])
    for name in manifest["files"]:
        content = files.get(name, b"")
        manifest["files"][name] = {"bytes": len(content), "sha256": sha256(content).hexdigest()}
    raw = json.dumps(manifest).encode()
    text = f"{verify.MANIFEST_HEAD}\n{signer.verifier.name}\nsha256 {sha256(raw).hexdigest()}\n"
    files["manifest.json"], files["manifest.note"] = raw, signer.sign(text).encode()


def lines(files: Files) -> list[bytes]:
    return files["entries.jsonl"].split(b"\n")[:-1]


def put(files: Files, changed: list[bytes]) -> None:
    files["entries.jsonl"] = b"".join(line + b"\n" for line in changed)


def edit_entry(files: Files) -> None:
    put(files, [line.replace(b"web shop", b"web shoq") for line in lines(files)])


def drop_line(files: Files) -> None:
    put(files, lines(files)[:4] + lines(files)[5:])


def drop_last_line(files: Files) -> None:
    put(files, lines(files)[:-1])


def drop_first_line(files: Files) -> None:
    put(files, lines(files)[1:])


def swap_lines(files: Files) -> None:
    found = lines(files)
    put(files, [found[1], found[0], *found[2:]])


def double_line(files: Files) -> None:
    put(files, [*lines(files)[:3], *lines(files)[2:]])


def add_line(files: Files) -> None:
    put(files, [*lines(files), lines(files)[-1]])


def add_blank_line(files: Files) -> None:
    files["entries.jsonl"] += b"\n"


def cut_last_newline(files: Files) -> None:
    files["entries.jsonl"] = files["entries.jsonl"][:-1]


def respace_entry(files: Files) -> None:
    found = lines(files)
    put(files, [json.dumps(json.loads(found[0])).encode(), *found[1:]])


def very_long_line(files: Files) -> None:
    put(files, [*lines(files)[:2], b"x" * 200_000, *lines(files)[3:]])


def edit_csv(files: Files) -> None:
    files["events.csv"] = files["events.csv"].replace(b"web shop", b"web shoq")


def drop_csv_line(files: Files) -> None:
    files["events.csv"] = b"\r\n".join(files["events.csv"].split(b"\r\n")[:-2]) + b"\r\n"


def grow_frontier(files: Files) -> None:
    files["frontier-start.txt"] += base64.b64encode(bytes(32)) + b"\n"


def swap_checkpoints(files: Files) -> None:
    files["checkpoint-start.txt"], files["checkpoint-end.txt"] = (
        files["checkpoint-end.txt"],
        files["checkpoint-start.txt"],
    )


def edit_checkpoint(files: Files) -> None:
    note = files["checkpoint-end.txt"].decode().split("\n")
    note[1] = str(int(note[1]) - 1)
    files["checkpoint-end.txt"] = "\n".join(note).encode()


def unsign_checkpoint(files: Files) -> None:
    files["checkpoint-end.txt"] = files["checkpoint-end.txt"].rpartition(b"\n\n")[0] + b"\n"


def edit_counts(files: Files) -> None:
    files["manifest.json"] = files["manifest.json"].replace(b'"decisions": 6', b'"decisions": 5')


def edit_period(files: Files) -> None:
    files["manifest.json"] = files["manifest.json"].replace(b"2100-", b"2027-")


ENTRIES = [
    edit_entry, drop_line, drop_last_line, drop_first_line, swap_lines, double_line, add_line,
    add_blank_line, cut_last_newline, respace_entry, very_long_line,
]  # fmt: skip
OTHERS = [
    edit_csv, drop_csv_line, grow_frontier, swap_checkpoints, edit_checkpoint, unsign_checkpoint,
    edit_counts,
]  # fmt: skip


def test_an_honest_bundle_holds(honest: Path) -> None:
    code, said = check(honest)

    assert code == 0
    assert said.startswith("HOLDS bundle.zip")
    assert "6 made, 6 outcomes in the period, 0 still open" in said


def test_the_key_may_be_a_file(honest: Path, tmp_path: Path) -> None:
    key = tmp_path / "key.pub"
    key.write_text(f"{keys.signer().verifier}\n")

    assert check(honest, str(key))[0] == 0


def test_the_verifier_travels_in_the_bundle(honest: Path) -> None:
    assert unpack(honest)["verify.py"] == Path(verify.__file__).read_bytes()


@pytest.mark.parametrize("mutate", [*ENTRIES, *OTHERS, edit_period])
def test_a_changed_bundle_fails(honest: Path, mutate: Callable[[Files], None]) -> None:
    files = unpack(honest)
    mutate(files)
    pack(honest, files)

    code, said = check(honest)

    assert code == 1
    assert said.startswith("FAILS bundle.zip: ")
    assert "it cannot be read" not in said


@pytest.mark.parametrize("mutate", [*ENTRIES, *OTHERS])
def test_a_changed_bundle_fails_even_when_it_is_signed_again(
    honest: Path, mutate: Callable[[Files], None]
) -> None:
    files = unpack(honest)
    mutate(files)
    sign_again(files, keys.signer())
    pack(honest, files)

    code, said = check(honest)

    assert code == 1
    assert "it cannot be read" not in said


@pytest.mark.parametrize("name", sorted(verify.FILES | {"manifest.json", "manifest.note"}))
def test_one_changed_byte_in_any_file_fails(honest: Path, name: str) -> None:
    files = unpack(honest)
    content = bytearray(files[name] or b"x")
    content[len(content) // 2] ^= 1
    files[name] = bytes(content)
    pack(honest, files)

    assert check(honest)[0] == 1


@pytest.mark.parametrize("share", range(0, 100, 7))
def test_one_changed_byte_anywhere_in_the_zip_never_shows_other_content(
    honest: Path, share: int
) -> None:
    raw = bytearray(honest.read_bytes())
    at = len(raw) * share // 100
    raw[at] ^= 0x55
    before = unpack(honest)
    honest.write_bytes(bytes(raw))

    code, _ = check(honest)

    # A few bytes of a ZIP mean nothing (a time, a flag); then the content must be the same.
    assert code == 1 or unpack(honest) == before


@pytest.mark.parametrize("name", sorted(verify.FILES | {"manifest.json", "manifest.note"}))
def test_a_missing_file_fails_and_is_named(honest: Path, name: str) -> None:
    files = unpack(honest)
    del files[name]
    pack(honest, files)

    code, said = check(honest)

    assert (code, "lacks the file " + name in said) == (1, True)


@pytest.mark.parametrize("name", ["extra.txt", "../evil", "/etc/passwd", "a/entries.jsonl"])
def test_a_foreign_file_fails(honest: Path, name: str) -> None:
    pack(honest, unpack(honest) | {name: b"x"})

    code, said = check(honest)

    assert (code, "does not belong there" in said) == (1, True)


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice_fails(honest: Path) -> None:
    with zipfile.ZipFile(honest, "a") as archive:
        archive.writestr("entries.jsonl", b"{}\n")

    code, said = check(honest)

    assert (code, "a file name twice" in said) == (1, True)


@pytest.mark.parametrize("keep", [0, 1, 21, 22, 1000, -1, -22, -40])
def test_a_truncated_zip_fails(honest: Path, keep: int) -> None:
    honest.write_bytes(honest.read_bytes()[:keep])

    code, said = check(honest)

    assert (code, said.count("\n")) == (1, 1)


def test_bytes_after_the_end_fail(honest: Path) -> None:
    honest.write_bytes(honest.read_bytes() + b"PK")

    assert check(honest)[0] == 1


def test_a_zip_bomb_fails_without_being_unpacked(honest: Path) -> None:
    files = unpack(honest)
    with zipfile.ZipFile(honest, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            with archive.open(name, "w") as out:
                out.write(content)
                [out.write(bytes(1 << 20)) for _ in range(200 if name == "manifest.json" else 0)]

    code, said = check(honest)

    assert (code, "larger than it may be" in said) == (1, True)


def test_a_directory_that_claims_a_million_files_fails(honest: Path) -> None:
    raw = bytearray(honest.read_bytes())
    raw[-14:-10] = struct.pack("<HH", 60_000, 60_000)
    honest.write_bytes(bytes(raw))

    code, said = check(honest)

    assert (code, "claims to hold 60000 files" in said) == (1, True)


def test_a_lying_size_fails(honest: Path) -> None:
    raw = bytearray(honest.read_bytes())
    at = raw.rindex(b"PK\x01\x02", 0, raw.rindex(b"events.csv"))
    raw[at + 24 : at + 28] = struct.pack("<L", 5)
    honest.write_bytes(bytes(raw))

    assert check(honest)[0] == 1


@pytest.mark.parametrize(
    "key",
    [
        str(Signer("test.example/ledger", bytes(32)).verifier),
        str(Signer("other.example", bytes(32)).verifier),
        "nonsense",
        "",
    ],
)
def test_a_wrong_key_fails(honest: Path, key: str) -> None:
    code, said = check(honest, key or "a+b+c")

    assert (code, said.startswith("FAILS")) == (1, True)


def test_no_file_fails_in_words(tmp_path: Path) -> None:
    code, said = check(tmp_path / "none.zip", str(Signer("l", bytes(32)).verifier))

    assert (code, "there is no such file" in said) == (1, True)


@pytest.mark.parametrize(("public", "message", "signature"), RFC_8032)
def test_the_signature_check_agrees_with_rfc_8032(
    public: str, message: str, signature: str
) -> None:
    given = (bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature))

    assert verify.ed25519_is_good(*given)
    assert not verify.ed25519_is_good(given[0], given[1] + b"x", given[2])
    assert not verify.ed25519_is_good(given[0], given[1], bytes(64))
    assert not verify.ed25519_is_good(given[0], given[1], given[2][:32] + b"\xff" * 32)


def test_the_same_request_gives_the_same_bytes(filled: Ledger, tmp_path: Path) -> None:
    first = make(tmp_path / "a.zip")
    filled.record()
    second = make(tmp_path / "b.zip")

    assert first.digest == second.digest
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_consecutive_reports_leave_no_entry_between_them(filled: Ledger, tmp_path: Path) -> None:
    middle = datetime.now(UTC)
    filled.decisions(2)
    filled.sequence()

    first, second = cut.choose(FROM, middle), cut.choose(middle, TO)

    assert first.start.size == 0
    assert second.start.size <= first.end.size
    assert second.end.size == 18


def test_a_late_entry_is_inside_the_bundle_of_its_period(filled: Ledger, tmp_path: Path) -> None:
    yesterday = datetime.now(UTC) - timedelta(days=1)
    late = filled.writer.seal("log.key_created", actor=ANA, object=("key", "k"), at=yesterday)
    filled.store(late)
    filled.sequence()

    chosen = cut.choose(yesterday - timedelta(hours=1), yesterday + timedelta(hours=1))
    path = tmp_path / "late.zip"
    make(path, yesterday - timedelta(hours=1), yesterday + timedelta(hours=1))

    assert (chosen.start.size, chosen.end.size) == (0, 15)
    assert "15 in the bundle, 1 of them in the period" in check(path)[1]


def test_a_period_in_the_middle_starts_at_a_signed_head(ledger: Ledger, tmp_path: Path) -> None:
    ledger.decisions(5)
    ledger.sequence()
    begins = datetime.now(UTC)
    ledger.decisions(3)
    ledger.sequence()
    path = tmp_path / "middle.zip"
    make(path, begins, TO)

    code, said = check(path)

    assert code == 0
    assert "6 in the bundle, 6 of them in the period" in said
    assert "entry 10 up to, not including, 16" in said


def test_a_bundle_that_starts_after_its_period_began_fails(ledger: Ledger, tmp_path: Path) -> None:
    ledger.decisions(5)
    ledger.sequence()
    ledger.decisions(3)
    ledger.sequence()
    chosen = cut.of_sizes(10, 16)
    request = bundle.Request(period_from=FROM, period_to=TO, cut=chosen)
    bundle.write(tmp_path / "cut.zip", request, keys.signer())

    code, said = check(tmp_path / "cut.zip")

    assert (code, "the beginning is missing" in said) == (1, True)


def test_no_cell_is_a_formula(honest: Path) -> None:
    rows = list(csv.reader(io.StringIO(unpack(honest)["events.csv"].decode())))

    assert any(cell.startswith("'=HYPERLINK") for row in rows for cell in row)
    assert not [cell for row in rows for cell in row if cell[:1] in "=+-@\t\r" and cell]


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "|x", "%x"]
)
def test_every_beginning_of_a_formula_is_escaped(text: str) -> None:
    row = next(csv.reader(io.StringIO(verify.csv_line((text,)).decode(), newline="")))

    assert row[0] == "'" + text


def test_the_printed_report_is_self_contained_text(honest: Path) -> None:
    page = unpack(honest)["report.html"].decode()

    assert "<script" not in page
    assert "src=" not in page
    assert "&quot;http://example.com&quot;" in page


def test_a_stopped_report_leaves_no_file(
    filled: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: Any) -> None:
        raise ZeroDivisionError

    target = tmp_path / "out" / "b.zip"
    request = bundle.Request(period_from=FROM, period_to=TO, cut=cut.choose(FROM, TO))
    monkeypatch.setattr(bundle, "BATCH", 2)

    with pytest.raises(ZeroDivisionError):
        bundle.write(target, request, keys.signer(), stop)

    assert list(target.parent.iterdir()) == []
