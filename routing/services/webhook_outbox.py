"""What is to be sent: a row in the transaction of the change, or derived from the ledger.

What the live recorder ends is read from the ledger by ``follow``; what people and time end is
written where it happens. An id is made of what it says, so the same thing twice is one message.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from audit.events import TERMINAL
from audit.models import Leaf
from routing.models import (
    Hold,
    Projection,
    StoredResponse,
    WebhookDelivery,
    WebhookEndpoint,
    WebhookEvent,
)
from routing.services.budgets import line_of

NAME: Final = "webhooks"
BATCH: Final = 1000
_SPACE: Final = uuid.UUID("5a1c2f6e-8f0b-5c3d-9a47-7d2e61b0c4f9")
_STATES: Final = {
    StoredResponse.State.COMPLETED: WebhookEvent.COMPLETED,
    StoredResponse.State.FAILED: WebhookEvent.FAILED,
    StoredResponse.State.CANCELLED: WebhookEvent.CANCELLED,
}
_CUT_SHORT: Final = frozenset({"length", "content_filter"})

_ENTRIES = """
    SELECT e.kind, e.at, e.decision_id FROM audit.leaf l JOIN audit.event e ON e.id = l.event_id
    WHERE l.seq > %s AND l.seq <= %s AND e.kind = ANY(%s) ORDER BY l.seq
"""
_REPORTS = """
    SELECT e.body FROM audit.leaf l JOIN audit.event e ON e.id = l.event_id
    WHERE l.seq > %s AND l.seq <= %s AND e.kind = 'report.generated' ORDER BY l.seq
"""
_BODY = "SELECT body FROM audit.event WHERE decision_id = %s AND kind = 'decision.completed'"


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """``stage`` tells two messages of one kind about one decision apart."""

    event: str
    client_id: str
    decision_id: uuid.UUID
    at: datetime
    stage: str = ""
    facts: dict[str, Any] = field(default_factory=dict)


def tell(message: Message) -> int:
    """Put a message into the outbox of every address that wants it; call it in a transaction."""
    wanting = [one for one in _active() if message.event in one.events]
    if not wanting:
        return 0
    line = line_of(message.client_id)[0]
    # What happened before an address was known is not told to it.
    rows = [
        _row(one, message)
        for one in wanting
        if one.client_line == line and one.created_at <= message.at
    ]
    WebhookDelivery.objects.bulk_create(rows, ignore_conflicts=True)
    return len(rows)


def tell_response(*, decision_id: uuid.UUID, client_id: str, event: str, at: datetime) -> int:
    """That a response ended: its id and where to fetch it, never what it says."""
    return tell(Message(event=event, client_id=client_id, decision_id=decision_id, at=at))


def tell_hold_ended(*, hold: Hold) -> int:
    """That a person or time ended a hold, for everyone who does not wait on its connection."""
    if hold.state == Hold.State.WAITING or hold.answered_at is None:
        return 0
    told = {
        one.decision_id: one.client_id
        for one in StoredResponse.objects.filter(held_by=hold.pk, state=StoredResponse.State.HELD)
    }
    if hold.delivery == Hold.Delivery.STORED:
        told.setdefault(hold.pk, hold.client_id)
    event = _event_of(hold)
    return sum(
        tell_response(decision_id=pk, client_id=client_id, event=event, at=hold.answered_at)
        for pk, client_id in told.items()
    )


def _event_of(hold: Hold) -> str:
    if hold.state == Hold.State.CANCELLED:
        return WebhookEvent.CANCELLED
    is_refused = hold.disposition == Hold.Disposition.REFUSE
    return WebhookEvent.FAILED if is_refused else WebhookEvent.COMPLETED


def _active() -> list[WebhookEndpoint]:
    return list(WebhookEndpoint.objects.filter(state=WebhookEndpoint.State.ACTIVE))


def _row(endpoint: WebhookEndpoint, message: Message) -> WebhookDelivery:
    parts = (endpoint.pk, message.event, message.decision_id, message.stage)
    identity = uuid.uuid5(_SPACE, "/".join(map(str, parts)))
    return delivery(
        endpoint, identity, message.event, message.at, facts_of(message), message.decision_id
    )


def delivery(
    endpoint: WebhookEndpoint,
    identity: uuid.UUID,
    event: str,
    at: datetime,
    facts: dict[str, Any],
    decision_id: uuid.UUID | None = None,
) -> WebhookDelivery:
    """A row that is due at once; its body has the fields of Standard Webhooks and of OpenAI's."""
    now = timezone.now()
    body = {
        "id": f"msg_{identity.hex}",
        "object": "event",
        "type": event,
        "timestamp": at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "created_at": int(at.timestamp()),
        "data": facts,
    }
    return WebhookDelivery(
        id=identity,
        endpoint=endpoint,
        event=event,
        decision_id=decision_id,
        body=orjson.dumps(body).decode(),
        created_at=now,
        next_try_at=now,
    )


def facts_of(message: Message) -> dict[str, Any]:
    response = f"resp_{message.decision_id.hex}"
    base = settings.SIGNALBOX_URL.rstrip("/")
    facts: dict[str, Any] = {
        "id": response,
        "decision_id": str(message.decision_id),
        "url": f"{base}/v1/responses/{response}",
    }
    if message.event.startswith("response."):
        facts["status"] = message.event.removeprefix("response.")
    return facts | message.facts


@transaction.atomic
def follow() -> int:
    """Read on in the ledger for background responses that ended; returns how many were read."""
    Projection.objects.get_or_create(name=NAME)
    place = Projection.objects.select_for_update().get(name=NAME)
    head = Leaf.objects.aggregate(last=Max("seq"))["last"]
    if head is None or head <= place.position:
        return 0
    # Without an address nobody is to be told, and whatever comes later is told only of later.
    is_heard = bool(_active())
    until = min(place.position + BATCH, head) if is_heard else head
    if is_heard:
        _tell_ended(_ended_between(place.position, until))
        _tell_reports(place.position, until)
    taken = until - place.position
    place.position = until
    place.save(update_fields=["position"])
    return int(taken)


def _ended_between(after: int, until: int) -> dict[uuid.UUID, datetime]:
    with connection.cursor() as cursor:
        cursor.execute(_ENTRIES, (after, until, sorted(TERMINAL)))
        return {decision_id: at for _, at, decision_id in cursor.fetchall() if decision_id}


def _tell_ended(ended: dict[uuid.UUID, datetime]) -> None:
    for stored in _stored(ended):
        at = ended[stored.decision_id]
        if stored.state == StoredResponse.State.HELD:
            # Its hold may have ended before the response said that it waits on it.
            hold = Hold.objects.filter(pk=stored.held_by or stored.decision_id).first()
            if hold is not None:
                tell_hold_ended(hold=hold)
            continue
        event = _STATES.get(StoredResponse.State(stored.state))
        if event == WebhookEvent.COMPLETED and _was_cut_short(stored.decision_id):
            event = WebhookEvent.INCOMPLETE
        if event is not None:
            tell_response(
                decision_id=stored.decision_id, client_id=stored.client_id, event=event, at=at
            )


def _tell_reports(after: int, until: int) -> None:
    """A scheduled report is of the installation, not of one application: who listens is told."""
    wanting = [one for one in _active() if WebhookEvent.REPORT_READY in one.events]
    if not wanting:
        return
    rows = [
        _report_row(one, entry)
        for entry in _reports_between(after, until)
        if entry["details"].get("is_scheduled")
        for one in wanting
        if one.created_at <= datetime.fromisoformat(entry["at"])
    ]
    WebhookDelivery.objects.bulk_create(rows, ignore_conflicts=True)


def _reports_between(after: int, until: int) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(_REPORTS, (after, until))
        return [orjson.loads(bytes(row[0])) for row in cursor.fetchall()]


def _report_row(endpoint: WebhookEndpoint, entry: dict[str, Any]) -> WebhookDelivery:
    report, details = entry["object"]["id"], entry["details"]
    identity = uuid.uuid5(_SPACE, f"{endpoint.pk}/{WebhookEvent.REPORT_READY}/{report}")
    facts = {name: details[name] for name in ("period_from", "period_to", "entries", "digest")}
    facts |= {"id": report, "url": f"{settings.SIGNALBOX_URL.rstrip('/')}/reports/{report}/"}
    at = datetime.fromisoformat(entry["at"])
    return delivery(endpoint, identity, WebhookEvent.REPORT_READY, at, facts)


def _stored(ended: Iterable[uuid.UUID]) -> Iterable[StoredResponse]:
    return StoredResponse.objects.filter(pk__in=list(ended)).order_by("created_at")


def _was_cut_short(decision_id: uuid.UUID) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(_BODY, (decision_id,))
        row = cursor.fetchone()
    details = orjson.loads(bytes(row[0])).get("details", {}) if row else {}
    return details.get("finish_reason") in _CUT_SHORT
