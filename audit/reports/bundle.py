"""Writes a report bundle: a deterministic ZIP that proves the completeness of its period.

The same cut and period give the same bytes: fixed order, fixed times, fixed compression, and
nothing in it that depends on who asked or when.
"""

from __future__ import annotations

import base64
import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

import orjson
from django.db import connection
from django.template.loader import render_to_string

from audit.errors import LedgerBroken
from audit.merkle import HASH_BYTES
from audit.notes import Signer
from audit.reports import contributions, printing, verify
from audit.reports.cut import Cut
from audit.reports.gathering import Gathering
from audit.reports.scope import Scope, earlier_of
from audit.reports.sealed import Sealed, program, proven_line

BATCH: Final = 2000

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    period_from: datetime
    period_to: datetime
    cut: Cut
    seed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    bytes: int
    digest: str
    entries: int


def write(
    target: Path, request: Request, signer: Signer, progress: Progress | None = None
) -> Written:
    """Write the bundle beside its target and move it there when it is whole.

    ``progress(done, total)`` may raise to stop; then nothing is left behind.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".draft-{target.stem}-"
    for left in target.parent.glob(f"{prefix}*"):
        # A worker that was killed leaves its half behind.
        left.unlink(missing_ok=True)
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=prefix, suffix=".zip")
    draft = Path(name)
    try:
        with os.fdopen(handle, "w+b") as file:
            entries = _Bundle(file, request, signer).write(progress)
            file.flush()
            os.fsync(file.fileno())
            size, digest = _measure(file)
        draft.chmod(0o640)
        draft.replace(target)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return Written(bytes=size, digest="sha256:" + digest, entries=entries)


def _measure(file: IO[bytes]) -> tuple[int, str]:
    file.seek(0)
    digest, size = sha256(), 0
    while piece := file.read(1 << 20):
        digest.update(piece)
        size += len(piece)
    return size, digest.hexdigest()


class _Bundle:
    def __init__(self, file: IO[bytes], request: Request, signer: Signer) -> None:
        self.sealed = Sealed(file, signer)
        self._request = request
        self._scope = Scope(
            period_from=request.period_from,
            period_to=request.period_to,
            cut=request.cut,
            seed=request.seed,
            origin=signer.verifier.name,
            key_id=signer.verifier.key_id.hex(),
            earlier=earlier_of(request.cut),
        )
        self._census = verify.Census(request.cut.start.size, *self._scope.period)

    def write(self, progress: Progress | None) -> int:
        cut, sealed = self._request.cut, self.sealed
        gathering = Gathering(self._scope, self._census)
        with sealed, tempfile.TemporaryFile() as csv:
            sealed.add("README.txt", self._readme())
            sealed.add("checkpoint-end.txt", cut.end.note.encode())
            sealed.add("checkpoint-start.txt", cut.start.note.encode())
            self._entries(gathering, csv, progress)
            sealed.add_stream("events.csv", csv)
            sealed.add("earlier.jsonl", b"".join(self._earlier()))
            sealed.add("frontier-start.txt", _frontier_text(bytes(cut.start.frontier)))
            sealed.add("policies.jsonl", b"".join(self._documents(gathering.versions())))
            printed = printing.all_of(gathering.report(), cut.end.at)
            for ending, content in printed.items():
                sealed.add(f"report.{ending}", content)
            sealed.add("verify.py", program())
            sealed.sign(
                {
                    "format": verify.FORMAT,
                    "period_from": self._scope.period[0],
                    "period_to": self._scope.period[1],
                    "start_size": cut.start.size,
                    "end_size": cut.end.size,
                    "report_id": self._scope.report_id,
                    "counts": self._census.counts(),
                }
            )
        return cut.entries

    def _entries(self, gathering: Gathering, csv: IO[bytes], progress: Progress | None) -> None:
        cut, done = self._request.cut, 0
        csv.write(verify.csv_line(verify.COLUMNS))
        with self.sealed.growing("entries.jsonl") as out:
            for seq, body in _bodies(cut.start.size, cut.end.size):
                out(body + b"\n")
                entry = orjson.loads(body)
                csv.write(self._census.add(entry))
                gathering.add(seq, entry)
                done += 1
                if progress and not done % BATCH:
                    progress(done, cut.entries)
        if done != cut.entries:
            raise LedgerBroken(f"the ledger gave {done} entries, the checkpoints say {cut.entries}")

    def _earlier(self) -> Iterator[bytes]:
        size = self._request.cut.start.size
        with connection.cursor() as cursor:
            for one in self._scope.earlier:
                yield proven_line(cursor, one.seq, size, one.body)

    def _documents(self, versions: list[dict[str, str]]) -> Iterator[bytes]:
        """The documents themselves, as far as they are those whose digest was recorded."""
        wanted = {one["digest"] for one in versions}
        for content in contributions.documents(versions):
            if "sha256:" + sha256(content).hexdigest() in wanted:
                yield content + b"\n"

    def _readme(self) -> bytes:
        context = {"period": self._scope.period, "origin": self._scope.origin}
        return render_to_string("audit/bundle/README.txt", context).encode()


def _frontier_text(packed: bytes) -> bytes:
    peaks = (packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES))
    return b"".join(base64.b64encode(peak) + b"\n" for peak in peaks)


def _bodies(start: int, end: int) -> Iterator[tuple[int, bytes]]:
    with connection.cursor() as cursor:
        for first in range(start, end, BATCH):
            cursor.execute(
                """SELECT l.seq, e.body FROM audit.leaf l JOIN audit.event e ON e.id = l.event_id
                   WHERE l.seq >= %s AND l.seq < %s ORDER BY l.seq""",
                (first, min(first + BATCH, end)),
            )
            for seq, body in cursor.fetchall():
                yield seq, bytes(body)
