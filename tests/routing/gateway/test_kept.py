"""The snapshot on disk: only what this installation wrote is believed, and its age counts on."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from routing.gateway.kept import SnapshotFile, Unusable

DOCUMENT = {"revision": 4, "digest": "sha256:1", "keys": []}


@pytest.fixture
def file(tmp_path: Path) -> SnapshotFile:
    return SnapshotFile(tmp_path / "var" / "snapshot.json", key=lambda: b"k" * 32)


def test_what_was_written_is_read_with_its_age(file: SnapshotFile) -> None:
    file.write(DOCUMENT, confirmed_at=1000.0)

    kept = file.read(now=1060.0)

    assert (kept.document, kept.age_s) == (DOCUMENT, 60.0)


def test_only_its_owner_may_read_it(file: SnapshotFile) -> None:
    file.write(DOCUMENT, confirmed_at=1000.0)

    assert stat.S_IMODE(file.path.stat().st_mode) == 0o600


def test_a_key_added_by_hand_is_not_believed(file: SnapshotFile) -> None:
    file.write(DOCUMENT, confirmed_at=1000.0)
    mac, _, body = file.path.read_bytes().partition(b"\n")
    forged = json.loads(body)
    forged["document"]["keys"].append({"sha256": "00"})
    file.path.write_bytes(mac + b"\n" + json.dumps(forged).encode())

    with pytest.raises(Unusable, match="was changed"):
        file.read(now=1060.0)


def test_another_installations_file_is_not_believed(file: SnapshotFile) -> None:
    SnapshotFile(file.path, key=lambda: b"x" * 32).write(DOCUMENT, confirmed_at=1000.0)

    with pytest.raises(Unusable):
        file.read(now=1060.0)


@pytest.mark.parametrize("content", [b"", b"\n", b"half a f"])
def test_a_torn_file_is_not_used(file: SnapshotFile, content: bytes) -> None:
    file.path.parent.mkdir()
    file.path.write_bytes(content)

    with pytest.raises(Unusable):
        file.read(now=1060.0)


def test_a_file_from_the_future_has_no_age_and_is_not_used(file: SnapshotFile) -> None:
    file.write(DOCUMENT, confirmed_at=5000.0)

    with pytest.raises(Unusable, match="clock"):
        file.read(now=1060.0)
