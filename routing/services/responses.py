"""Stored responses: seen and cancelled by the key that made them, and erased after their time."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

import audit
from audit import payloads
from audit.actors import SYSTEM, Actor
from audit.errors import PayloadGone
from routing.models import Hold, StoredResponse, WebhookEvent
from routing.services import holds, webhook_outbox

State = StoredResponse.State
# A hold without a stored response can be fetched this long after it was due.
_FETCHED_FOR = timedelta(hours=24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """``body`` is the stored response object; ``hold`` what a person has made of it."""

    decision_id: uuid.UUID
    state: str
    body: bytes | None
    model: str
    created_s: int
    hold: holds.Answer | None
    safe_text: str


def find(*, decision_id: uuid.UUID, client_id: str) -> Found | None:
    """The response, or None where there is none that this key may see."""
    now = timezone.now()
    stored = StoredResponse.objects.filter(
        pk=decision_id, client_id=client_id, expires_at__gt=now
    ).first()
    hold = None
    if stored is None or stored.state == State.HELD:
        held_by = (stored and stored.held_by) or decision_id
        hold = Hold.objects.filter(
            pk=held_by, client_id=client_id, deadline_at__gt=now - _FETCHED_FOR
        ).first()
    if stored is None and hold is None:
        return None
    return Found(
        decision_id=decision_id,
        state=stored.state if stored else State.HELD,
        body=_text(stored.payload) if stored else None,
        model=hold.route if hold else "",
        created_s=int((stored.created_at if stored else hold.opened_at).timestamp()),  # type: ignore[union-attr]
        hold=holds.state_of(hold) if hold else None,
        safe_text=hold.safe_text if hold else "",
    )


def _text(payload_id: uuid.UUID) -> bytes | None:
    try:
        return payloads.open_payload(payload_id)
    except PayloadGone:
        return None


@transaction.atomic
def cancel_response(*, decision_id: uuid.UUID, client_id: str, client: str) -> Found:
    """Cancel what still runs or waits; what has ended is returned as it is. Safe to repeat.

    A hold on which other kept responses wait goes on for them: only this one is let go.
    """
    now = timezone.now()
    stopped = StoredResponse.objects.filter(
        pk=decision_id, client_id=client_id, state__in=(State.IN_PROGRESS, State.HELD)
    )
    # Locked before it is looked at: a response that joins meanwhile is seen, or sees the end.
    hold = Hold.objects.select_for_update().filter(pk=decision_id, client_id=client_id).first()
    is_shared = (
        StoredResponse.objects.filter(held_by=decision_id, state=State.HELD)
        .exclude(pk=decision_id)
        .exists()
    )
    waiting = 0
    if hold is not None and not is_shared:
        # Whoever asks the same again asks anew: nobody works on this case any more.
        waiting = Hold.objects.filter(pk=decision_id, state=Hold.State.WAITING).update(
            state=Hold.State.CANCELLED, answered_at=now, repeats_until=None
        )
    changed = waiting
    if waiting or hold is None or (is_shared and hold.state == Hold.State.WAITING):
        changed += stopped.update(state=State.CANCELLED, finished_at=now)
    if changed:
        audit.record(
            "response.cancelled",
            by=Actor(kind="api_key", id=client_id, name=client, roles=()),
            object_type="decision",
            object_id=str(decision_id),
            decision_id=decision_id,
        )
        webhook_outbox.tell_response(
            decision_id=decision_id, client_id=client_id, event=WebhookEvent.CANCELLED, at=now
        )
        # Wakes the replica that carries it.
        holds.notify(decision_id)
    found = find(decision_id=decision_id, client_id=client_id)
    if found is None:
        raise LookupError("a response that was found a moment ago is gone")
    return found


@transaction.atomic
def attach(decision_id: uuid.UUID, *, held_by: uuid.UUID) -> None:
    """A held response waits on another hold than its terminal event says."""
    waiting = StoredResponse.objects.filter(pk=decision_id, state=State.HELD)
    if waiting.update(held_by=held_by):
        audit.record(
            "response.held_anew",
            by=SYSTEM("router"),
            object_type="decision",
            object_id=str(decision_id),
            decision_id=decision_id,
            details={"hold": str(held_by)},
        )


def is_cancelled(decision_id: uuid.UUID) -> bool:
    return StoredResponse.objects.filter(pk=decision_id, state=State.CANCELLED).exists()


def fail_unfinished(decision_id: uuid.UUID) -> None:
    """The response of a decision whose process is gone; called where that is recorded."""
    StoredResponse.objects.filter(pk=decision_id, state=State.IN_PROGRESS).update(
        state=State.FAILED, finished_at=timezone.now()
    )


def erase_expired(*, now: datetime | None = None) -> int:
    """Erase what nobody may fetch any more, text and key; safe to run twice."""
    now = now or timezone.now()
    due = StoredResponse.objects.filter(expires_at__lte=now).order_by("expires_at")
    gone = 0
    for decision_id in list(due.values_list("pk", flat=True)[:1000]):
        with transaction.atomic():
            payloads.erase(
                decision_id=decision_id,
                by=SYSTEM("reaper"),
                reason="A background response is kept for a day after it was due.",
                kind="response",
            )
            gone += StoredResponse.objects.filter(pk=decision_id).delete()[0]
    return gone
