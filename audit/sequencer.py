"""Gives committed events their place in the tree and signs its head, after the fact.

One transaction a round: pending events become leaves, the frontier grows, a checkpoint is signed.
A crash leaves the last round or none of it; a second sequencer finds the lock taken. It decides
nothing about what was recorded and must never sign a history that contradicts an anchor.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import psycopg

from audit import anchors, keys
from audit.errors import ForkRefused, LedgerBroken
from audit.merkle import Frontier, root_of
from audit.notes import Checkpoint, Signer

BATCH: Final = 5000
LOCK: Final = (727182837, 1)
# A leaf table answers for 256 entries at once; above that a stored node does.
NODE_BITS: Final = 8
NODE_SPAN: Final = 1 << NODE_BITS

Connection = psycopg.Connection[Any]


def sequence_once(
    conn: Connection, *, signer: Signer | None = None, anchor_file: Path | None = None
) -> int:
    """Sequence one batch of pending events and sign the new head; return how many there were.

    0 when nothing is pending or another sequencer works now. With ``anchor_file`` it refuses to
    sign a history that the newest anchor contradicts (ForkRefused). The first round of an empty
    ledger signs the empty tree, so that every later period has a start.
    """
    signing = signer or keys.signer_made_when_missing()[0]
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", LOCK)
        if not _one(cursor)[0]:
            return 0
        frontier = _head(cursor)
        if anchor_file is not None:
            refuse_fork(cursor, frontier, anchors.last(anchor_file))
        if frontier is None:
            frontier = _begin(cursor, signing)
        taken = _take(cursor)
        if not taken:
            return 0
        first = frontier.size
        with cursor.copy(
            "COPY audit.leaf (seq, event_id, leaf) FROM STDIN (FORMAT BINARY)"
        ) as copy:
            copy.set_types(["int8", "uuid", "bytea"])
            for offset, (event_id, leaf) in enumerate(taken):
                copy.write_row((first + offset, event_id, leaf))
                frontier.append(leaf)
        _store_nodes(cursor, first, frontier.size)
        _sign(cursor, frontier, signing)
        return len(taken)


def _one(cursor: psycopg.Cursor[Any]) -> Any:
    row = cursor.fetchone()
    if row is None:
        raise LedgerBroken("a query that must have an answer had none")
    return row


def _head(cursor: psycopg.Cursor[Any]) -> Frontier | None:
    cursor.execute("SELECT size, frontier, root FROM audit.checkpoint ORDER BY size DESC LIMIT 1")
    row = cursor.fetchone()
    cursor.execute("SELECT max(seq) FROM audit.leaf")
    leaves = 0 if (top := _one(cursor)[0]) is None else top + 1
    if row is None:
        if leaves:
            raise LedgerBroken(f"there are {leaves} entries and no checkpoint")
        return None
    frontier = Frontier.from_bytes(row[0], bytes(row[1]))
    if frontier.root() != bytes(row[2]):
        raise LedgerBroken(f"the frontier of checkpoint {row[0]} does not give its root")
    if leaves != frontier.size:
        raise LedgerBroken(f"there are {leaves} entries under a checkpoint of {frontier.size}")
    return frontier


def refuse_fork(
    cursor: psycopg.Cursor[Any], head: Frontier | None, anchor: anchors.Anchor | None
) -> None:
    """Raise ForkRefused when the database is not a continuation of the newest anchor."""
    if anchor is None:
        return
    size = head.size if head else 0
    if size < anchor.size:
        raise ForkRefused(
            f"the database ends at {size} entries, but a checkpoint of {anchor.size} is anchored "
            "outside: it was restored from an older backup. Restore a newer one, or start a new "
            "log origin."
        )
    cursor.execute("SELECT root FROM audit.checkpoint WHERE size = %s", (anchor.size,))
    row = cursor.fetchone()
    if row is None or bytes(row[0]) != anchor.root:
        raise ForkRefused(
            f"the database's history differs from the checkpoint of {anchor.size} entries that "
            "is anchored outside"
        )


def _begin(cursor: psycopg.Cursor[Any], signer: Signer) -> Frontier:
    empty = Frontier()
    _sign(cursor, empty, signer)
    return empty


def register_key(conn: Connection, signer: Signer) -> bool:
    """Put the public key on record; True when it was not there yet."""
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute(
            """INSERT INTO audit.key (name, vkey, from_size)
               SELECT %s, %s, COALESCE((SELECT max(size) FROM audit.checkpoint), 0)
               ON CONFLICT DO NOTHING""",
            (signer.verifier.name, str(signer.verifier)),
        )
        return cursor.rowcount == 1


def _take(cursor: psycopg.Cursor[Any]) -> list[tuple[Any, bytes]]:
    cursor.execute(
        """WITH taken AS (
               DELETE FROM audit.pending WHERE event_id IN (
                   SELECT event_id FROM audit.pending ORDER BY event_id LIMIT %s)
               RETURNING event_id)
           SELECT t.event_id, e.leaf FROM taken t
           LEFT JOIN audit.event e ON e.id = t.event_id ORDER BY t.event_id""",
        (BATCH,),
    )
    taken = cursor.fetchall()
    for event_id, leaf in taken:
        if leaf is None:
            raise LedgerBroken(f"the event {event_id} was removed before it was sequenced")
    return taken


def _store_nodes(cursor: psycopg.Cursor[Any], before: int, after: int) -> None:
    """Keep the roots of the subtrees of 256, 65 536, ... entries that are complete now."""
    level = 1
    while (span := 1 << NODE_BITS * level) <= after:
        fresh = range(before // span, after // span)
        rows = [(level, n, root_of(_children(cursor, level, n))) for n in fresh]
        if rows:
            cursor.executemany("INSERT INTO audit.node (level, n, hash) VALUES (%s, %s, %s)", rows)
        level += 1


def _children(cursor: psycopg.Cursor[Any], level: int, n: int) -> Sequence[bytes]:
    first, end = n * NODE_SPAN, (n + 1) * NODE_SPAN
    if level == 1:
        cursor.execute(
            "SELECT leaf FROM audit.leaf WHERE seq >= %s AND seq < %s ORDER BY seq", (first, end)
        )
    else:
        cursor.execute(
            "SELECT hash FROM audit.node WHERE level = %s AND n >= %s AND n < %s ORDER BY n",
            (level - 1, first, end),
        )
    children = [bytes(row[0]) for row in cursor]
    if len(children) != NODE_SPAN:
        raise LedgerBroken(f"the entries from {first} to {end} are not complete")
    return children


def _sign(cursor: psycopg.Cursor[Any], frontier: Frontier, signer: Signer) -> None:
    at = datetime.now(UTC)
    checkpoint = Checkpoint(
        origin=signer.verifier.name, size=frontier.size, root=frontier.root(), at=at
    )
    cursor.execute(
        """INSERT INTO audit.checkpoint (size, root, frontier, note, at)
           VALUES (%s, %s, %s, %s, %s)""",
        (
            frontier.size,
            checkpoint.root,
            frontier.to_bytes(),
            signer.sign(checkpoint.text()),
            at,
        ),
    )


def newest_note(conn: Connection) -> tuple[int, str] | None:
    """(size, signed note) of the newest checkpoint."""
    with conn.transaction(), conn.cursor() as cursor:
        cursor.execute("SELECT size, note FROM audit.checkpoint ORDER BY size DESC LIMIT 1")
        return cursor.fetchone()
