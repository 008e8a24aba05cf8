"""Checkpoints kept outside the database, without which a rollback or a re-signing goes unseen.

Ships with an append-only file: one JSON object a line with the signed checkpoint. Copy it, or
mount it, somewhere the database's administrators cannot write.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from audit.errors import ForkRefused
from audit.notes import Checkpoint, NoteError

_TAIL = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Anchor:
    size: int
    root: bytes
    at: str
    note: str


def append(path: Path, note: str) -> Anchor:
    """Add a signed checkpoint to the file and force it to disk."""
    anchor = _of_note(note)
    line = json.dumps(
        {"at": anchor.at, "size": anchor.size, "root": anchor.root.hex(), "note": note},
        sort_keys=True,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        os.write(handle, line.encode() + b"\n")
        os.fsync(handle)
    finally:
        os.close(handle)
    return anchor


def last(path: Path) -> Anchor | None:
    """The newest whole line; a line that a crash cut off is passed over."""
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            size = file.tell()
            file.seek(max(0, size - _TAIL))
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return None
    for line in reversed(lines):
        if anchor := _of_line(line):
            return anchor
    if size:
        raise ForkRefused(f"the anchor file {path.name} holds no readable checkpoint")
    return None


def read(path: Path) -> Iterator[Anchor]:
    """Every anchor, oldest first."""
    try:
        with path.open("rb") as file:
            for line in file:
                if anchor := _of_line(line):
                    yield anchor
    except FileNotFoundError:
        return


def _of_line(line: bytes) -> Anchor | None:
    try:
        return _of_note(json.loads(line)["note"])
    except (ValueError, KeyError, TypeError, NoteError):
        return None


def _of_note(note: str) -> Anchor:
    checkpoint = Checkpoint.parse(note.rpartition("\n\n")[0] + "\n")
    at = checkpoint.at.isoformat() if checkpoint.at else ""
    return Anchor(size=checkpoint.size, root=checkpoint.root, at=at, note=note)
