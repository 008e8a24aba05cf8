"""Hands out what a search of the trail found, as CSV or JSON Lines; each export is recorded."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import IO, Final, Literal

from django.conf import settings
from django.db import transaction

from audit.actors import Actor
from audit.ledger import record
from audit.models import Checkpoint, Event
from audit.queries import Filters, matching
from audit.reports import verify
from screens.errors import Invalid

Format = Literal["csv", "jsonl"]

# Beyond this a report is the right form: it proves that nothing is missing.
MOST: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    file: IO[bytes]
    name: str
    content_type: str
    count: int
    digest: str


def export_trail(*, filters: Filters, form: Format, by: Actor, reason: str = "") -> Export:
    """Write the found events, newest first, and record who took how many of them.

    JSON Lines holds the exact bytes that were hashed; CSV cells are escaped against formulas.
    """
    events = matching(filters).order_by("-at", "-id")
    if len(events.values_list("pk", flat=True)[: MOST + 1]) > MOST:
        raise Invalid(
            f"More than {MOST:,} entries match.",
            code="export_too_large",
            what_next="Narrow the filters, or make a report: it also proves that none is missing.",
        )
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the response closes it
    digest, count = sha256(), 0
    for line in _lines(events.iterator(chunk_size=1000), form):
        file.write(line)
        digest.update(line)
        count += 1
    count -= form == "csv"
    file.seek(0)
    _record(filters, form, count, digest.hexdigest(), by, reason)
    return Export(
        file=file,
        name=f"audit-trail.{form}",
        content_type="text/csv; charset=utf-8" if form == "csv" else "application/x-ndjson",
        count=count,
        digest="sha256:" + digest.hexdigest(),
    )


def _lines(events: Iterable[Event], form: Format) -> Iterator[bytes]:
    if form == "jsonl":
        for event in events:
            yield bytes(event.body) + b"\n"
        return
    yield _line(("at", "kind", "words", "actor", "object_type", "object_id", "result",
                           "reason", "request_id", "decision_id", "id", "leaf_hash"))  # fmt: skip
    for event in events:
        yield _csv(event)


def _line(cells: tuple[object, ...]) -> bytes:
    line: bytes = verify.csv_line(cells)  # type: ignore[no-untyped-call]
    return line


def _csv(event: Event) -> bytes:
    return _line(
        (
            event.entry["at"], event.kind, event.words, event.actor, event.object_type,
            event.object_id, event.result, event.reason, event.request_id,
            event.decision_id or "", event.id, bytes(event.leaf).hex(),
        )
    )  # fmt: skip


def _record(
    filters: Filters, form: Format, count: int, digest: str, by: Actor, reason: str
) -> None:
    head = Checkpoint.objects.order_by("-size").first()
    with transaction.atomic():
        record(
            "trail.exported",
            by=by,
            object_type="log",
            object_id=settings.AUDIT_ORIGIN,
            reason=reason,
            details={
                "format": form,
                "count": count,
                "filters": filters.set_ones(),
                "digest": "sha256:" + digest,
                "checkpoint_size": head.size if head else 0,
            },
        )
