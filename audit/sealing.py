"""Turns an event into its exact stored bytes and their leaf hash. Hot path of the live API.

The bytes are RFC 8785: orjson with sorted keys writes the same for everything an entry may hold,
and the rest (floats, large numbers, keys whose order would differ) is refused or goes a slow way.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any, Final, NamedTuple
from uuid import UUID

import orjson
import rfc8785
from psycopg.types.json import Json

from audit.actors import Actor
from audit.errors import EntryTooLarge, UnfitValue, UnknownKind
from audit.events import KINDS, MADE, TERMINAL
from audit.ids import terminal_id, uuid7

__all__ = ["BATCH_SQL", "STORED_SQL", "SealedEvent", "Writer", "terminal_id", "uuid7"]

VERSION: Final = 1
MAX_BODY: Final = 65_535
_OPTIONS: Final = orjson.OPT_SORT_KEYS | orjson.OPT_STRICT_INTEGER | orjson.OPT_PASSTHROUGH_DATETIME
# Beyond the basic plane UTF-8 and UTF-16 sort keys differently: only then canonicalise slowly.
# Five searches for one byte take a twentieth of one search for five.
_ASTRAL: Final = (b"\xf0", b"\xf1", b"\xf2", b"\xf3", b"\xf4")


class NoFloats(dict[str, Any]):
    """A part whose maker promises that it holds no float: it is not looked through again."""


_PLAIN_KINDS: Final = frozenset({str, int, bool, type(None), orjson.Fragment, NoFloats})

# Two parameters, by batch_parameters(): the bodies in one string of bytes, since text inside of
# JSON would be written and read twice, and the rest as JSON. Returns the ids that were stored now;
# an id that does not come back was there before (a retry, or somebody else's terminal event):
# compare its leaf with STORED_SQL.
BATCH_SQL: Final = """
WITH stored AS (
    INSERT INTO audit.event (id, decision_id, kind, at, body, leaf, actor, object_type, object_id,
                             request_id, result, reason)
    SELECT id, decision_id, kind, at, substr(%s::bytea, first, size), decode(leaf, 'hex'), actor,
           object_type, object_id, request_id, result, reason
    FROM json_to_recordset(%s::json) AS r(
        id uuid, decision_id uuid, kind text, at timestamptz, first int, size int, leaf text,
        actor text, object_type text, object_id text, request_id text, result text, reason text)
    ON CONFLICT DO NOTHING
    RETURNING id
), waiting AS (
    INSERT INTO audit.pending (event_id) SELECT id FROM stored
)
SELECT id FROM stored
"""
WITHHELD: Final = "log.event_withheld"
STORED_SQL: Final = "SELECT id, leaf FROM audit.event WHERE id = ANY(%s)"


class SealedEvent(NamedTuple):
    """An event that will not change any more: its bytes, its leaf hash and its search columns."""

    id: UUID
    decision_id: UUID | None
    kind: str
    at: datetime
    body: bytes
    leaf: bytes
    actor: str
    object_type: str
    object_id: str
    request_id: str
    result: str
    reason: str


class Writer:
    """Numbers the events of one process densely, so that a missing one is noticed.

    Not thread-safe. Seal and queue an event without awaiting in between, and send queued events in
    that order: then whatever a crash loses is the end of this writer's numbers and no hole. When
    events are given up for good, call ``restart`` and seal again what is still wanted.
    """

    __slots__ = ("_n", "id", "origin")

    def __init__(self, origin: str = "", *, name: str = "gateway") -> None:
        if not origin:
            from django.conf import settings

            origin = settings.AUDIT_ORIGIN
        self.origin = origin
        self.id = ""
        self.restart(name)

    def restart(self, name: str = "") -> None:
        """Begin again at 1 under a new id."""
        prefix = name or self.id.rpartition("-")[0]
        self.id = f"{prefix}-{secrets.token_hex(8)}"
        self._n = 0

    def seal(
        self,
        kind: str,
        *,
        actor: Actor,
        object: tuple[str, str],  # noqa: A002 - the glossary of the entry
        event_id: UUID | None = None,
        decision_id: UUID | None = None,
        details: Mapping[str, object] | None = None,
        corr: Mapping[str, str] | None = None,
        result: str = "ok",
        reason: str = "",
        at: datetime | None = None,
    ) -> SealedEvent:
        """Seal one event. ``object`` is (type, id); ``corr`` may hold request_id and trace_id.

        Without ``event_id`` it follows from the kind: the decision's own id, its terminal id, or a
        new one. Raises UnknownKind, UnfitValue or EntryTooLarge, and then no number is used.
        """
        sealed = seal_event(
            kind,
            origin=self.origin,
            writer=(self.id, self._n + 1),
            actor=actor,
            thing=object,
            event_id=event_id,
            decision_id=decision_id,
            extra={"details": details or {}},
            corr=corr or {},
            result=result,
            reason=reason,
            at=at,
        )
        self._n += 1
        return sealed


def seal_event(
    kind: str,
    *,
    origin: str,
    writer: tuple[str, int],
    actor: Actor,
    thing: tuple[str, str],
    event_id: UUID | None,
    decision_id: UUID | None,
    extra: Mapping[str, object],
    corr: Mapping[str, str],
    result: str,
    reason: str,
    at: datetime | None,
) -> SealedEvent:
    """The one place where an entry gets its form. ``extra``: details, digests and diff."""
    if kind not in KINDS:
        raise UnknownKind(f"{kind} is not in audit.events.KINDS")
    moment = datetime.now(UTC) if at is None else at.astimezone(UTC)
    identity = event_id or _identity(kind, decision_id, moment)
    request_id = corr.get("request_id", "")
    body: dict[str, object] = {
        "v": VERSION,
        "id": identity,
        "kind": kind,
        "at": moment.isoformat(timespec="microseconds")[:26] + "Z",
        "log": origin,
        "writer": {"id": writer[0], "n": writer[1]},
        "actor": {
            "kind": actor.kind,
            "id": actor.id,
            "name": actor.name,
            "roles": list(actor.roles),
            **({"via": actor.via} if actor.via else {}),
        },
        "object": {"type": thing[0], "id": thing[1]},
        "corr": {"request_id": request_id, "trace_id": corr.get("trace_id", "")},
        "result": result,
        "reason": reason,
        **extra,
    }
    if decision_id is not None:
        body["decision_id"] = decision_id
    # Only what callers give can hold a float; the rest was written above. A walk costs a fifth of
    # a search for numbers with a point in the bytes, and unlike it finds NaN.
    _refuse_floats(extra)
    encoded = _encode(body)
    if len(encoded) > MAX_BODY:
        raise EntryTooLarge(f"{kind} has {len(encoded)} bytes, an entry has at most {MAX_BODY}")
    return SealedEvent(
        identity,
        decision_id,
        kind,
        moment,
        encoded,
        sha256(b"\x00" + encoded).digest(),
        column(actor.name),
        thing[0],
        column(thing[1]),
        column(request_id),
        result,
        column(reason),
    )


def _identity(kind: str, decision_id: UUID | None, moment: datetime) -> UUID:
    if kind == MADE or kind in TERMINAL:
        if decision_id is None:
            raise UnfitValue(f"{kind} needs a decision")
        return decision_id if kind == MADE else terminal_id(decision_id)
    return uuid7(int(moment.timestamp() * 1_000_000))


def canonical(value: Mapping[str, object]) -> bytes:
    """RFC 8785 bytes; raise UnfitValue for what has no such form here. Decimals become strings."""
    _refuse_floats(value)
    return _encode(value)


def _encode(value: Mapping[str, object] | list[Any]) -> bytes:
    try:
        encoded = orjson.dumps(value, _plain, _OPTIONS)
    except (TypeError, ValueError, RecursionError) as problem:
        raise UnfitValue(str(problem)) from problem
    if not encoded.isascii() and any(map(encoded.__contains__, _ASTRAL)):
        return rfc8785.dumps(orjson.loads(encoded))
    return encoded


def column(text: str) -> str:
    """Text as a search column can hold it: PostgreSQL has no NUL. The entry keeps the original."""
    return text.replace("\x00", "\ufffd") if "\x00" in text else text


def _plain(value: object) -> str | list[Any]:
    if isinstance(value, Decimal):
        return format(value, "f") if value.is_finite() else str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"
    if isinstance(value, frozenset | set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no canonical form")


def fixed(value: list[Any] | dict[str, Any]) -> orjson.Fragment:
    """A part that many entries share, written once: its bytes go into each of them as they are."""
    _refuse_floats(value)
    return orjson.Fragment(_encode(value))


def _refuse_floats(value: object) -> None:
    # orjson would write them, in a form that differs from RFC 8785 (1.0 against 1).
    kind = type(value)
    if kind is dict:
        for item in value.values():  # type: ignore[attr-defined]
            if type(item) not in _PLAIN_KINDS:
                _refuse_floats(item)
    elif kind is list or kind is tuple:
        for item in value:  # type: ignore[attr-defined]
            if type(item) not in _PLAIN_KINDS:
                _refuse_floats(item)
    elif kind in _PLAIN_KINDS:
        return
    elif isinstance(value, float):
        raise UnfitValue("an entry holds no floats: give a Decimal or a string")
    elif isinstance(value, Mapping):
        _refuse_floats(dict(value))


def withheld(event: SealedEvent, why: str) -> SealedEvent:
    """What takes the writer's number of an event that cannot be stored: ``late`` or ``refused``.

    Its id follows from the event, so that writing it twice stores it once. The lost entry's leaf
    stays: whoever kept the entry can show what it was.
    """
    body = orjson.loads(event.body)
    writer = body["writer"]
    identity = uuid7(int(event.at.timestamp() * 1_000_000), tail=event.leaf)
    return seal_event(
        WITHHELD,
        origin=body["log"],
        writer=(writer["id"], writer["n"]),
        actor=Actor("system", "recorder", "recorder"),
        thing=("decision", str(event.decision_id)) if event.decision_id else ("log", body["log"]),
        event_id=identity,
        decision_id=event.decision_id,
        extra={"details": {"kind": event.kind, "why": why, "leaf": event.leaf.hex()}},
        corr={"request_id": body["corr"]["request_id"]},
        result="failed",
        reason="",
        at=event.at,
    )


def batch_parameters(events: Sequence[SealedEvent]) -> tuple[bytes, Json]:
    """The two parameters of BATCH_SQL."""
    rows, first = [], 1
    for event in events:
        size = len(event.body)
        rows.append(
            {
                "id": event.id,
                "decision_id": event.decision_id,
                "kind": event.kind,
                "at": event.at,
                "first": first,
                "size": size,
                "leaf": event.leaf.hex(),
                "actor": event.actor,
                "object_type": event.object_type,
                "object_id": event.object_id,
                "request_id": event.request_id,
                "result": event.result,
                "reason": event.reason,
            }
        )
        first += size
    return b"".join([event.body for event in events]), Json(rows, orjson.dumps)
