"""Recomputes the whole ledger from the database and names the first entry that is broken.

Trusts nothing stored beside the bodies: hashes, order, columns, roots, signatures, numbers and
anchors are all derived again. What it cannot see is said in docs/audit.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson
from django.conf import settings
from django.db import connection

from audit import anchors
from audit.events import MADE
from audit.gaps import Gaps
from audit.merkle import Frontier
from audit.models import SigningKey
from audit.notes import Checkpoint, NoteError, Verifier
from audit.sealing import column

BATCH: Final = 5000
MOST_FINDINGS: Final = 20
# The reaper ends overdue decisions within seconds; after this long something is wrong.
GRACE: Final = timedelta(seconds=60)
NO_DEADLINE: Final = timedelta(minutes=15)

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    sentence: str
    seq: int | None = None
    event_id: UUID | None = None


@dataclass(slots=True, kw_only=True)
class Result:
    """What was counted, and what is broken, in the order of the ledger."""

    size: int = 0
    root: str = ""
    checkpoints: int = 0
    anchors: int = 0
    pending: int = 0
    writers: int = 0
    accepted: int = 0
    decisions: int = 0
    terminal: int = 0
    open: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def is_ok(self) -> bool:
        return not self.findings

    @property
    def sentence(self) -> str:
        if self.findings:
            return self.findings[0].sentence
        return f"{self.size} entries and {self.checkpoints} checkpoints agree; nothing is missing."

    def broken(self, sentence: str, *, seq: int | None = None, event_id: Any = None) -> None:
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(sentence=sentence, seq=seq, event_id=event_id))


def check(
    *,
    verifiers: Sequence[Verifier] | None = None,
    anchor_file: Path | None = None,
    progress: Progress | None = None,
    now: datetime | None = None,
) -> Result:
    """Check everything. ``verifiers``: the keys to believe; default: those in the ledger.

    Bounded memory at any size. ``progress(done, total)`` may raise to stop the work.
    """
    result = Result()
    keys = list(verifiers) if verifiers is not None else _known_keys()
    file = anchor_file or Path(settings.AUDIT_ANCHOR_FILE)
    with connection.cursor() as cursor:
        walk = _Walk(cursor, result, keys, file)
        walk.run(progress)
        _check_unsequenced(cursor, result, walk)
        for sentence in walk.gaps.findings():
            result.broken(sentence)
        result.writers = walk.gaps.writers
        _check_decisions(cursor, result, now or datetime.now(UTC))
    return result


def _known_keys() -> list[Verifier]:
    return [Verifier.parse(key.vkey) for key in SigningKey.objects.order_by("from_size")]


class _Walk:
    """One pass over the leaves in order, with the checkpoints and anchors beside them."""

    def __init__(
        self, cursor: Any, result: Result, verifiers: Sequence[Verifier], anchor_file: Path
    ) -> None:
        self.cursor = cursor
        self.result = result
        self.verifiers = verifiers
        self.gaps = Gaps()
        self.frontier = Frontier()
        self.good_until = 0
        self.is_rooted = True
        self.anchors = {anchor.size: anchor for anchor in anchors.read(anchor_file)}
        result.anchors = len(self.anchors)

    def run(self, progress: Progress | None) -> None:
        self.cursor.execute(
            "SELECT COALESCE((SELECT max(size) FROM audit.checkpoint), 0),"
            " COALESCE((SELECT max(seq) + 1 FROM audit.leaf), 0)"
        )
        signed, stored = self.cursor.fetchone()
        size = self.result.size = max(signed, stored)
        self._check_checkpoints(self._checkpoints(-1, 0))
        for start in range(0, size, BATCH):
            end = min(start + BATCH, size)
            checkpoints = self._checkpoints(start, end)
            for row in self._rows(start, end):
                self._check_entry(row)
                if self.frontier.size in checkpoints or self.frontier.size in self.anchors:
                    self._check_root(checkpoints.get(self.frontier.size))
            self._check_checkpoints(checkpoints)
            if progress:
                progress(end, size)
        self.result.root = self.frontier.root().hex()
        self._check_ends(signed, stored)

    def _rows(self, start: int, end: int) -> Iterator[tuple[Any, ...]]:
        self.cursor.execute(
            """SELECT s.seq, l.event_id, l.leaf, e.body, e.leaf, e.decision_id, e.kind, e.at,
                      e.actor, e.object_type, e.object_id, e.request_id, e.result, e.reason
               FROM generate_series(%s::bigint, %s::bigint) AS s(seq)
               LEFT JOIN audit.leaf l ON l.seq = s.seq
               LEFT JOIN audit.event e ON e.id = l.event_id ORDER BY s.seq""",
            (start, end - 1),
        )
        yield from self.cursor.fetchall()

    def _checkpoints(self, after: int, until: int) -> dict[int, tuple[bytes, str]]:
        self.cursor.execute(
            "SELECT size, root, note FROM audit.checkpoint WHERE size > %s AND size <= %s",
            (after, until),
        )
        return {size: (bytes(root), note) for size, root, note in self.cursor.fetchall()}

    def _check_entry(self, row: tuple[Any, ...]) -> None:
        seq, event_id, leaf, body, event_leaf = row[:5]
        if event_id is None:
            self.result.broken(f"entry {seq} is missing from the tree", seq=seq)
            # Without it no later root can be computed; a stand-in keeps the positions right.
            self.is_rooted = False
            self.frontier.append(bytes(32))
            return
        self.frontier.append(bytes(leaf))
        if body is None:
            self.result.broken(
                f"the event of entry {seq} was deleted ({event_id})", seq=seq, event_id=event_id
            )
            return
        hashed = sha256(b"\x00" + bytes(body)).digest()
        if hashed != bytes(leaf) or hashed != bytes(event_leaf):
            self.result.broken(
                f"the content of entry {seq} was changed ({event_id})", seq=seq, event_id=event_id
            )
            return
        entry = orjson.loads(bytes(body))
        self.gaps.saw(entry["writer"]["id"], entry["writer"]["n"])
        if wrong := wrong_columns(entry, event_id, row[5:]):
            self.result.broken(
                f"the column {wrong} of entry {seq} differs from its content ({event_id})",
                seq=seq,
                event_id=event_id,
            )

    def _check_root(self, checkpoint: tuple[bytes, str] | None) -> None:
        if not self.is_rooted:
            return
        size, root = self.frontier.size, self.frontier.root()
        anchor = self.anchors.get(size)
        stored_differs = checkpoint is not None and checkpoint[0] != root
        if stored_differs or (anchor is not None and anchor.root != root):
            what = "checkpoint" if stored_differs else "checkpoint held outside"
            self.is_rooted = False
            self.result.broken(
                f"one of the entries {self.good_until} to {size - 1} was changed, removed, added "
                f"or moved: they do not give the root of the {what} of {size} entries",
                seq=self.good_until,
            )
            return
        self.good_until = size

    def _check_checkpoints(self, checkpoints: dict[int, tuple[bytes, str]]) -> None:
        for size in sorted(checkpoints):
            root, note = checkpoints[size]
            self.result.checkpoints += 1
            try:
                opened = Checkpoint.open(note, self.verifiers, origin=settings.AUDIT_ORIGIN)
            except NoteError as problem:
                self.result.broken(f"the checkpoint of {size} entries is not good: {problem}")
                continue
            if opened.size != size or opened.root != root:
                self.result.broken(
                    f"the signed text of the checkpoint of {size} entries says something else"
                )

    def _check_ends(self, signed: int, stored: int) -> None:
        if stored > signed:
            self.result.broken(
                f"entries {signed} to {stored - 1} are under no checkpoint", seq=signed
            )
        for size, anchor in sorted(self.anchors.items()):
            if size > max(signed, stored):
                self.result.broken(
                    f"the ledger ends at {signed} entries, but a checkpoint of {size} is held "
                    "outside: it was rolled back",
                    seq=signed,
                )
                return
            try:
                Checkpoint.open(anchor.note, self.verifiers, origin=settings.AUDIT_ORIGIN)
            except NoteError as problem:
                self.result.broken(
                    f"the checkpoint of {size} entries that is held outside is not signed by a key "
                    f"of this ledger: {problem}"
                )
                return


def wrong_columns(entry: dict[str, Any], event_id: UUID, columns: Sequence[Any]) -> str:
    """The first search column that does not say what the entry says, or ""."""
    decision_id, kind, at, *texts = columns
    expected = (
        column(entry["actor"]["name"]),
        entry["object"]["type"],
        column(entry["object"]["id"]),
        column(entry["corr"]["request_id"]),
        entry["result"],
        column(entry["reason"]),
    )
    pairs = [
        ("id", str(event_id), entry["id"]),
        ("decision_id", str(decision_id) if decision_id else None, entry.get("decision_id")),
        ("kind", kind, entry["kind"]),
        ("at", at, datetime.fromisoformat(entry["at"])),
    ]
    names = ("actor", "object_type", "object_id", "request_id", "result", "reason")
    pairs += list(zip(names, texts, expected, strict=True))
    return next((name for name, stored, said in pairs if stored != said), "")


def _check_unsequenced(cursor: Any, result: Result, walk: _Walk) -> None:
    """Events beyond the head: each must be waiting, and none may be waiting without its event."""
    cursor.execute(
        """SELECT e.id, e.body, l.seq IS NULL AND p.event_id IS NULL
           FROM audit.event e LEFT JOIN audit.leaf l ON l.event_id = e.id
           LEFT JOIN audit.pending p ON p.event_id = e.id
           WHERE l.seq IS NULL OR l.seq >= %s ORDER BY e.id""",
        (result.size,),
    )
    for event_id, body, is_lost in cursor.fetchall():
        entry = orjson.loads(bytes(body))
        walk.gaps.saw(entry["writer"]["id"], entry["writer"]["n"])
        if is_lost:
            result.broken(
                f"the event {event_id} ({entry['kind']}) has no place in the tree and does not "
                "wait for one",
                event_id=event_id,
            )
    cursor.execute(
        """SELECT count(*), min(p.event_id::text) FILTER (WHERE e.id IS NULL)
           FROM audit.pending p LEFT JOIN audit.event e ON e.id = p.event_id"""
    )
    result.pending, orphan = cursor.fetchone()
    if orphan:
        result.broken(f"the event {orphan} was removed before it was sequenced", event_id=orphan)


_MADE_WITHOUT_END = """
    SELECT m.id, m.at, m.body FROM audit.event m
    LEFT JOIN audit.event t ON t.id = overlay(m.id::text PLACING '8' FROM 15)::uuid
    WHERE m.kind = 'decision.made' AND t.id IS NULL ORDER BY m.id
"""
_END_WITHOUT_MADE = """
    SELECT t.id, t.kind FROM audit.event t LEFT JOIN audit.event m ON m.id = t.decision_id
    WHERE substr(t.id::text, 15, 1) = '8' AND m.id IS NULL ORDER BY t.id
"""
_ABOUT_UNKNOWN = """
    SELECT count(DISTINCT x.decision_id) FROM audit.event x
    LEFT JOIN audit.event m ON m.id = x.decision_id
    WHERE x.decision_id IS NOT NULL AND substr(x.id::text, 15, 1) = '7'
      AND x.kind <> 'decision.made' AND m.id IS NULL
"""


def _check_decisions(cursor: Any, result: Result, now: datetime) -> None:
    """accepted = decisions = outcomes, but for those still inside their deadline."""
    cursor.execute(
        "SELECT count(*) FILTER (WHERE kind = %s),"
        " count(*) FILTER (WHERE substr(id::text, 15, 1) = '8') FROM audit.event",
        (MADE,),
    )
    result.decisions, result.terminal = cursor.fetchone()
    cursor.execute(_MADE_WITHOUT_END)
    for decision_id, at, body in cursor.fetchall():
        said = orjson.loads(bytes(body))["details"].get("deadline_at")
        deadline = datetime.fromisoformat(said) if said else at + NO_DEADLINE
        if deadline + GRACE > now:
            result.open += 1
        else:
            result.broken(
                f"the decision {decision_id} has no outcome, and its deadline was "
                f"{deadline:%Y-%m-%d %H:%M:%S} UTC",
                event_id=decision_id,
            )
    cursor.execute(_END_WITHOUT_MADE)
    orphans = cursor.fetchall()
    for event_id, kind in orphans:
        result.broken(f"{kind} ({event_id}) belongs to no decision", event_id=event_id)
    cursor.execute(_ABOUT_UNKNOWN)
    unknown = cursor.fetchone()[0]
    result.accepted = result.decisions + len(orphans) + unknown
    if unknown:
        result.broken(f"{unknown} decisions are mentioned whose decision.made is not there")
