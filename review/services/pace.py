"""Keeps reviewers from releasing what they have not read, and from reading for too long.

``now`` is for tests.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction
from django.utils import timezone

import audit
from accounts.models import User
from audit.actors import SYSTEM, Actor
from review import pace
from review.errors import BreakNeeded, NotRead, ReviewPaused, TooSoon
from review.models import Case, HastyVerdict, ReviewerPause
from review.queries import pace as queries
from review.services.transitions import record
from screens.access import require
from screens.errors import Conflict, Invalid, NotAllowed


def note_shown(case: Case, texts: dict[str, Any], now: datetime) -> None:
    """Note from when an answer may go out: the first showing of this draft to its holder counts."""
    shown = UUID(str(texts["candidate_id"])) if "candidate_id" in texts else None
    if case.release_from is not None and case.shown_candidate == shown:
        return
    words = sum(len(str(texts.get(part, "")).split()) for part in ("request", "candidate"))
    is_live = case.priority == Case.Priority.LIVE
    live_s = (case.due_at - case.opened_at).total_seconds() if is_live else None
    wait = pace.dwell_s(words=words, factor=settings.REVIEW_DWELL_PERCENT / 100, live_s=live_s)
    case.release_from, case.shown_candidate = now + timedelta(seconds=wait), shown
    Case.objects.filter(pk=case.pk, claimed_by=case.claimed_by).update(
        release_from=case.release_from, shown_candidate=shown
    )


def check_read(case: Case, by: User, kind: str, now: datetime) -> None:
    """Raise NotRead or TooSoon; what was too soon stays recorded although nothing is decided."""
    if kind not in pace.RELEASING or not settings.REVIEW_DWELL_PERCENT:
        return
    if case.release_from is None:
        raise NotRead
    left = (case.release_from - now).total_seconds()
    if left <= 0:
        return
    _note_haste(case, by, round(1000 * left), now)
    raise TooSoon(left)


@transaction.atomic
def _note_haste(case: Case, by: User, early_ms: int, now: datetime) -> None:
    _, is_first = HastyVerdict.objects.get_or_create(
        case=case, by=by, defaults={"early_ms": early_ms, "at": now}
    )
    if not is_first:
        return
    record("review.too_soon", case, Actor.of(by), early_ms=early_ms)
    times = [at.timestamp() for at in queries.hasty_since_lift(by)]
    if not pace.is_hasty(times, now_s=now.timestamp()):
        return
    figures = {
        "cases": sum(now.timestamp() - at <= pace.HASTY_WITHIN_S for at in times),
        "within_s": pace.HASTY_WITHIN_S,
    }
    _, is_new = ReviewerPause.objects.get_or_create(
        person=by,
        lifted_at=None,
        defaults={"why": ReviewerPause.Why.HASTY, "figures": figures, "since": now},
    )
    if is_new:
        audit.record(
            "reviewer.paused",
            by=SYSTEM("review"),
            object_type="person",
            object_id=by.get_username(),
            details={"why": ReviewerPause.Why.HASTY, **figures},
        )


def check_pace(by: User, now: datetime | None = None) -> None:
    """Raise ReviewPaused or BreakNeeded where this person may claim nothing now."""
    now = now or timezone.now()
    found = queries.pace_of(by, now)
    if found.pause is not None:
        raise ReviewPaused(found.pause.get_why_display(), **found.pause.figures)
    if until := found.rest_until:
        raise BreakNeeded(until)


@transaction.atomic
def lift_pause(*, person: User, by: User, reason: str) -> ReviewerPause:
    """A lead lets a paused reviewer claim again, with a reason, and never themselves."""
    require(by, "review.lead")
    if person.pk == by.pk:
        raise NotAllowed(
            "Nobody lifts a pause of their own.",
            code="own_pause",
            what_next="Ask another lead reviewer.",
        )
    if not reason.strip():
        raise Invalid("Say why; it is kept in the audit trail.", code="reason_missing")
    pause = ReviewerPause.objects.select_for_update().filter(person=person, lifted_at=None).first()
    if pause is None:
        raise Conflict(f"{person} is not paused.", code="not_paused")
    pause.lifted_at, pause.lifted_by, pause.lift_reason = timezone.now(), by, reason.strip()
    pause.save()
    audit.record(
        "reviewer.resumed",
        by=Actor.of(by),
        object_type="person",
        object_id=person.get_username(),
        reason=reason.strip(),
        details={"paused_since": pause.since},
    )
    return pause
