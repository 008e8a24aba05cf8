"""Writes a report bundle: a deterministic ZIP that proves the completeness of its period.

The same cut and period give the same bytes: fixed order, fixed times, fixed compression, and
nothing in it that depends on who asked or when.
"""

from __future__ import annotations

import base64
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import IO, Any, Final

import orjson
from django.db import connection
from django.template.loader import render_to_string

from audit.errors import LedgerBroken
from audit.merkle import HASH_BYTES
from audit.notes import Signer, stamp
from audit.reports import verify
from audit.reports.cut import Cut
from audit.reports.summary import Summary

BATCH: Final = 2000
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    period_from: datetime
    period_to: datetime
    cut: Cut


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
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".draft-", suffix=".zip")
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
        self._zip = zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self._request = request
        self._signer = signer
        self._listed: dict[str, dict[str, Any]] = {}

    def write(self, progress: Progress | None) -> int:
        cut = self._request.cut
        period = (stamp(self._request.period_from), stamp(self._request.period_to))
        census = verify.Census(cut.start.size, *period)
        summary = Summary(*period)
        with self._zip, tempfile.TemporaryFile() as csv:
            self._add("README.txt", self._readme(period))
            self._add("checkpoint-end.txt", cut.end.note.encode())
            self._add("checkpoint-start.txt", cut.start.note.encode())
            self._entries(census, summary, csv, progress)
            self._add_stream("events.csv", csv)
            self._add("frontier-start.txt", _frontier_text(bytes(cut.start.frontier)))
            page = self._page(period, census, summary)
            program = files("audit.reports").joinpath("verify.py").read_bytes()
            # The manifest stands before these two in the order of names, so they are listed first.
            self._list("report.html", page)
            self._list("verify.py", program)
            self._manifest(period, census)
            self._put("report.html", page)
            self._put("verify.py", program)
        return cut.entries

    def _entries(
        self, census: verify.Census, summary: Summary, csv: IO[bytes], progress: Progress | None
    ) -> None:
        cut = self._request.cut
        digest, total, done = sha256(), 0, 0
        csv.write(verify.csv_line(verify.COLUMNS))
        with self._zip.open(_member("entries.jsonl"), "w", force_zip64=True) as out:
            for seq, body in _bodies(cut.start.size, cut.end.size):
                line = body + b"\n"
                out.write(line)
                digest.update(line)
                total += len(line)
                entry = orjson.loads(body)
                csv.write(census.add(entry))
                summary.add(seq, entry)
                done += 1
                if progress and not done % BATCH:
                    progress(done, cut.entries)
        if done != cut.entries:
            raise LedgerBroken(f"the ledger gave {done} entries, the checkpoints say {cut.entries}")
        self._listed["entries.jsonl"] = {"bytes": total, "sha256": digest.hexdigest()}

    def _manifest(self, period: tuple[str, str], census: verify.Census) -> None:
        cut = self._request.cut
        manifest = {
            "format": verify.FORMAT,
            "origin": self._signer.verifier.name,
            "period_from": period[0],
            "period_to": period[1],
            "start_size": cut.start.size,
            "end_size": cut.end.size,
            "counts": census.counts(),
            "files": self._listed,
        }
        raw = json.dumps(manifest, sort_keys=True, indent=1, ensure_ascii=True).encode() + b"\n"
        name, digest = self._signer.verifier.name, sha256(raw).hexdigest()
        text = f"{verify.MANIFEST_HEAD}\n{name}\nsha256 {digest}\n"
        self._put("manifest.json", raw)
        self._put("manifest.note", self._signer.sign(text).encode())

    def _page(self, period: tuple[str, str], census: verify.Census, summary: Summary) -> bytes:
        cut = self._request.cut
        context = {
            "period_from": period[0][:19].replace("T", " "),
            "period_to": period[1][:19].replace("T", " "),
            "origin": self._signer.verifier.name,
            "key_id": self._signer.verifier.key_id.hex(),
            "start": cut.start,
            "end": cut.end,
            "end_at": stamp(cut.end.at)[:19].replace("T", " "),
            "start_at": stamp(cut.start.at)[:19].replace("T", " "),
            "is_over": cut.end.at >= self._request.period_to,
            "entries": cut.entries,
            "outside": cut.entries - census.in_period,
            "counts": census.counts(),
            **summary.as_context(),
        }
        return render_to_string("audit/bundle/report.html", context).encode()

    def _readme(self, period: tuple[str, str]) -> bytes:
        context = {"period": period, "origin": self._signer.verifier.name}
        return render_to_string("audit/bundle/README.txt", context).encode()

    def _add(self, name: str, content: bytes) -> None:
        self._list(name, content)
        self._put(name, content)

    def _list(self, name: str, content: bytes) -> None:
        self._listed[name] = {"bytes": len(content), "sha256": sha256(content).hexdigest()}

    def _put(self, name: str, content: bytes) -> None:
        with self._zip.open(_member(name), "w", force_zip64=True) as out:
            out.write(content)

    def _add_stream(self, name: str, source: IO[bytes]) -> None:
        source.seek(0)
        digest, total = sha256(), 0
        with self._zip.open(_member(name), "w", force_zip64=True) as out:
            while piece := source.read(1 << 20):
                out.write(piece)
                digest.update(piece)
                total += len(piece)
        self._listed[name] = {"bytes": total, "sha256": digest.hexdigest()}


def _member(name: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(name, date_time=_EPOCH)
    member.compress_type = zipfile.ZIP_DEFLATED
    member.create_system = 3
    member.external_attr = 0o644 << 16
    return member


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
