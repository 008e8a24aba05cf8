"""Records an act in the transaction of the change it belongs to: both happen, or neither does."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, time
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.db import connection, transaction

from audit.actors import Actor
from audit.errors import AlreadyRecorded, OutsideTransaction, UnfitValue
from audit.events import TERMINAL
from audit.sealing import SealedEvent, canonical, seal_event
from screens import request_id

_DIFF_VALUE: Final = 600
_DIFF_ENTRIES: Final = 60
_MAX_INTEGER: Final = 2**53 - 1

_INSERT: Final = """
WITH stored AS (
    INSERT INTO audit.event (id, decision_id, kind, at, body, leaf, actor, object_type, object_id,
                             request_id, result, reason)
    VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
    ON CONFLICT DO NOTHING
    RETURNING id
)
INSERT INTO audit.pending (event_id) SELECT id FROM stored RETURNING event_id
"""


def record(
    kind: str,
    *,
    by: Actor,
    object_type: str,
    object_id: object,
    reason: str = "",
    before: Mapping[str, object] | None = None,
    after: Mapping[str, object] | None = None,
    details: Mapping[str, object] | None = None,
    result: str = "ok",
    decision_id: UUID | None = None,
) -> UUID:
    """Add one event to the ledger in the current transaction and return its id.

    ``before`` and ``after`` are the state of the object: the entry keeps their digests and the
    fields that differ, long values only as digests. Put no secret and no prompt into any argument.
    Raises OutsideTransaction outside ``atomic``, UnknownKind, EntryTooLarge, and AlreadyRecorded
    for a second outcome of a decision.
    """
    if not connection.in_atomic_block:
        raise OutsideTransaction(f"{kind} must be recorded in the transaction of its change")
    extra: dict[str, object] = {"details": plain(details or {})}
    if before is not None or after is not None:
        extra |= _change(before, after)
    # A refused second outcome must give its number back, even when the caller goes on.
    with transaction.atomic(savepoint=kind in TERMINAL), connection.cursor() as cursor:
        cursor.execute("SELECT writer, n FROM audit.next_number()")
        writer, number = cursor.fetchone()
        event = seal_event(
            kind,
            origin=settings.AUDIT_ORIGIN,
            writer=(writer, number),
            actor=by,
            thing=(object_type, str(object_id)),
            event_id=None,
            decision_id=decision_id,
            extra=extra,
            corr={"request_id": request_id.current()},
            result=result,
            reason=reason.strip(),
            at=None,
        )
        _store(cursor, event)
    return event.id


def _store(cursor: Any, event: SealedEvent) -> None:
    cursor.execute(_INSERT, tuple(event))
    if cursor.fetchone() is None:
        raise AlreadyRecorded


def digest(state: Mapping[str, object]) -> str:
    """``sha256:`` and the hash of the state's canonical form."""
    return "sha256:" + sha256(canonical(plain(state))).hexdigest()


def _change(
    before: Mapping[str, object] | None, after: Mapping[str, object] | None
) -> dict[str, object]:
    old, new = plain(before or {}), plain(after or {})
    fields = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    change: dict[str, object] = {
        "diff": [
            {"field": key, "before": _bounded(old.get(key)), "after": _bounded(new.get(key))}
            for key in fields[:_DIFF_ENTRIES]
        ]
    }
    if len(fields) > _DIFF_ENTRIES:
        change["diff_left_out"] = len(fields) - _DIFF_ENTRIES
    if before is not None:
        change["before_digest"] = digest(old)
    if after is not None:
        change["after_digest"] = digest(new)
    return change


def _bounded(value: object) -> object:
    encoded = canonical({"value": value})
    if len(encoded) <= _DIFF_VALUE:
        return value
    return {"digest": "sha256:" + sha256(encoded[9:-1]).hexdigest(), "bytes": len(encoded) - 10}


def plain(value: Any) -> Any:
    """The same value in what an entry may hold: text, whole numbers, booleans, null, lists."""
    if isinstance(value, Enum):
        return plain(value.value)
    if value is None or isinstance(value, bool | str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, int):
        return value if abs(value) <= _MAX_INTEGER else str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else str(value)
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, datetime):
        from audit.notes import stamp

        return stamp(value)
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, frozenset | set):
        return sorted(plain(item) for item in value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    raise UnfitValue(f"{type(value).__name__} cannot be recorded")
