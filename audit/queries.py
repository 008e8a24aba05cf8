"""Reads the trail: searched and paged by keyset, one event with its proof, the log's health."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from itertools import groupby
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import BooleanField, Q, QuerySet
from django.db.models.expressions import RawSQL

from audit import anchors, merkle
from audit.doctor import lag_of
from audit.errors import LedgerFault
from audit.events import OBJECTS, kinds_of
from audit.ids import terminal_id
from audit.models import Checkpoint, Event, Leaf, SigningKey, Verification
from audit.sequencer import NODE_BITS

PER_PAGE: Final = 50
# The indexes by object and about a decision leave the two events of every decision out, and their
# condition is written the same way so that the planner can use them.
_NOT_BULK: Final = "substr(id::text, 15, 1) = '7' AND kind <> 'decision.made'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What the trail is searched by; every field is one parameter of the URL."""

    actor: str = ""
    kind: str = ""
    group: str = ""
    object_type: str = ""
    object_id: str = ""
    request_id: str = ""
    decision_id: str = ""
    result: str = ""
    text: str = ""
    since: str = ""
    until: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Filters:
        names = [item.name for item in fields(cls)]
        return cls(
            **{name: query.get(name, "").replace("\x00", "").strip()[:200] for name in names}
        )

    def set_ones(self) -> dict[str, str]:
        return {
            item.name: getattr(self, item.name) for item in fields(self) if getattr(self, item.name)
        }

    def query(self, *, without: str = "", **changes: str) -> str:
        """The query string of these filters, less one or with changes."""
        chosen = {**self.set_ones(), **changes}
        chosen.pop(without, None)
        return urlencode(chosen)


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page, newest first. ``older`` is the cursor of the next one, or ""."""

    events: list[Event]
    older: str

    @property
    def by_request(self) -> list[tuple[str, list[Event]]]:
        """Neighbours of one request together; events without a request each alone."""
        grouped = groupby(self.events, key=lambda event: event.request_id or str(event.id))
        return [(key, list(events)) for key, events in grouped]


def _moment(text: str) -> datetime | None:
    """A date or a time of the URL, read as UTC; nonsense is no filter."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def matching(filters: Filters) -> QuerySet[Event]:
    """The events that the filters let through, without an order."""
    events = Event.objects.all()
    for name in ("actor", "kind", "request_id", "result"):
        if value := getattr(filters, name):
            events = events.filter(**{name: value})
    if filters.group:
        events = events.filter(kind__in=kinds_of(filters.group))
    if filters.object_type or filters.object_id:
        # An id alone is looked for under every known type: the index begins with the type.
        types = [filters.object_type] if filters.object_type else list(OBJECTS)
        events = events.filter(object_type__in=types)
        events = events.extra(where=[_NOT_BULK])  # noqa: S610 - a constant
        if filters.object_id:
            events = events.filter(object_id=filters.object_id)
    if filters.decision_id:
        decision = _uuid(filters.decision_id)
        found = events_of_decision(decision) if decision else []
        events = events.filter(pk__in=[item.pk for item in found])
    if filters.text:
        events = events.filter(
            RawSQL(
                "reason <> '' AND to_tsvector('simple', reason) @@ plainto_tsquery('simple', %s)",
                (filters.text,),
                output_field=BooleanField(),
            )
        )
    if since := _moment(filters.since):
        events = events.filter(at__gte=since)
    if until := _moment(filters.until):
        events = events.filter(at__lt=until)
    return events


def last_acts(number: int) -> list[Event]:
    """The newest events that are no request's own: those have their own list."""
    acts = Event.objects.extra(where=[_NOT_BULK])  # noqa: S610 - a constant
    return list(acts.exclude(kind__startswith="decision.").order_by("-at", "-id")[:number])


def trail(filters: Filters, cursor: str = "", *, per_page: int = PER_PAGE) -> Page:
    """One page of the trail. Keyset: as fast on the last page as on the first."""
    found = list(newest(filters, cursor, number=per_page + 1))
    older = _write_cursor(found[per_page - 1]) if len(found) > per_page else ""
    return Page(events=found[:per_page], older=older)


def newest(filters: Filters, cursor: str = "", *, number: int) -> QuerySet[Event]:
    """The newest that match, before the cursor."""
    # A group is many kinds: the newest of each from its index, then the newest of those. Asked for
    # at once, the whole group would be read and sorted.
    kinds = [] if filters.kind or not filters.group else kinds_of(filters.group)
    events = matching(replace(filters, group="") if kinds else filters)
    if place := _read_cursor(cursor):
        at, event_id = place
        events = events.filter(Q(at__lt=at) | Q(at=at, id__lt=event_id), at__lte=at)
    if not kinds:
        return events.order_by("-at", "-id")[:number]
    of_each = [events.filter(kind=kind).order_by("-at", "-id")[:number] for kind in kinds]
    together = of_each[0].union(*of_each[1:], all=True) if len(of_each) > 1 else of_each[0]
    return together.order_by("-at", "-id")[:number] if len(of_each) > 1 else together


def _write_cursor(event: Event) -> str:
    text = f"{event.at.isoformat()} {event.id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_cursor(cursor: str) -> tuple[datetime, UUID] | None:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        at, event_id = text.split(" ")
        return datetime.fromisoformat(at), UUID(event_id)
    except (ValueError, binascii.Error):
        return None


def event(event_id: UUID) -> Event | None:
    return Event.objects.filter(pk=event_id).first()


def events_of_decision(decision_id: UUID) -> list[Event]:
    """Everything recorded about one decision, oldest first."""
    own = list(Event.objects.filter(pk__in=[decision_id, terminal_id(decision_id)]))
    about = list(Event.objects.filter(decision_id=decision_id).extra(where=[_NOT_BULK])[:1000])  # noqa: S610 - a constant
    return sorted({item.pk: item for item in [*own, *about]}.values(), key=lambda e: (e.at, e.pk))


@dataclass(frozen=True, slots=True, kw_only=True)
class InclusionProof:
    """Proves one event under a signed checkpoint. ``as_text`` is a C2SP .tlog-proof file."""

    seq: int
    leaf: bytes
    path: list[bytes]
    checkpoint: Checkpoint

    def as_text(self) -> str:
        lines = ["c2sp.org/tlog-proof@v1", f"index {self.seq}"]
        lines += [base64.b64encode(step).decode() for step in self.path]
        return "\n".join(lines) + "\n\n" + self.checkpoint.note

    def holds(self) -> bool:
        try:
            merkle.verify_inclusion(
                leaf=self.leaf,
                index=self.seq,
                size=self.checkpoint.size,
                proof=self.path,
                root=bytes(self.checkpoint.root),
            )
        except merkle.ProofError:
            return False
        return True


def inclusion_proof(event_id: UUID) -> InclusionProof | None:
    """The proof under the newest checkpoint, or None while the event waits for the sequencer."""
    place = Leaf.objects.filter(event_id=event_id).first()
    head = Checkpoint.objects.order_by("-size").first()
    if place is None or head is None or place.seq >= head.size:
        return None
    with connection.cursor() as cursor:
        path = merkle.inclusion_proof(
            place.seq, head.size, lambda start, end: subtree(cursor, start, end)
        )
    return InclusionProof(seq=place.seq, leaf=bytes(place.leaf), path=path, checkpoint=head)


def subtree(cursor: Any, start: int, end: int) -> bytes:
    """The root of [start, end) from at most a few hundred stored hashes a step, at any size."""
    width = end - start
    if width < 1 << NODE_BITS:
        return merkle.root_of(_hashes(cursor, start, end))
    if width & (width - 1):
        middle = start + merkle.split(width)
        return merkle.node_hash(subtree(cursor, start, middle), subtree(cursor, middle, end))
    level = (width.bit_length() - 1) // NODE_BITS
    span = 1 << NODE_BITS * level
    cursor.execute(
        "SELECT hash FROM audit.node WHERE level = %s AND n >= %s AND n < %s ORDER BY n",
        (level, start // span, end // span),
    )
    return merkle.root_of(bytes(row[0]) for row in cursor.fetchall())


def _hashes(cursor: Any, start: int, end: int) -> Iterator[bytes]:
    cursor.execute(
        "SELECT leaf FROM audit.leaf WHERE seq >= %s AND seq < %s ORDER BY seq", (start, end)
    )
    return (bytes(row[0]) for row in cursor.fetchall())


@dataclass(frozen=True, slots=True, kw_only=True)
class Health:
    """How the log is, in a handful of cheap queries."""

    checkpoint: Checkpoint | None
    waiting: int
    lag: timedelta
    anchor: anchors.Anchor | None
    anchor_problem: str
    anchored: Event | None
    keys: list[SigningKey]
    verification: Verification | None
    running: Verification | None

    @property
    def is_behind(self) -> bool:
        return self.lag > timedelta(seconds=30)

    @property
    def since_anchor(self) -> int:
        size = self.checkpoint.size if self.checkpoint else 0
        return size - (self.anchor.size if self.anchor else 0)


def health() -> Health:
    with connection.cursor() as cursor:
        lag, waiting = lag_of(cursor)
    anchor, problem = None, ""
    try:
        anchor = anchors.last(Path(settings.AUDIT_ANCHOR_FILE))
    except (LedgerFault, OSError) as fault:
        problem = str(fault)
    ended = Verification.objects.exclude(is_ok=None)
    return Health(
        checkpoint=Checkpoint.objects.order_by("-size").first(),
        waiting=waiting,
        lag=lag,
        anchor=anchor,
        anchor_problem=problem,
        anchored=Event.objects.filter(kind="log.checkpoint_anchored").order_by("-at").first(),
        keys=list(SigningKey.objects.order_by("-from_size")),
        verification=ended.first(),
        running=Verification.objects.filter(state__in=["waiting", "running"]).first(),
    )
