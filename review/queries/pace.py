"""What is known of a person's pace: haste, pauses, and how long they have worked."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

from review import pace
from review.models import Case, CaseVerdict, HastyVerdict, ReviewerPause

# Two hours of work and the rest before them; older acts cannot belong to a stint that matters.
_LOOK_BACK = timedelta(seconds=2 * pace.BREAK_NEEDED_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """What one reviewer is told of their own pace."""

    pause: ReviewerPause | None
    worked_minutes: int
    is_break_due: bool
    rest_until: datetime | None


def pace_of(person: Any, now: datetime) -> Pace:
    running, now_s = stint(person, now), now.timestamp()
    until = running.rest_until()
    return Pace(
        pause=open_pause(person),
        worked_minutes=int(running.worked_s(now_s) // 60),
        is_break_due=running.is_break_due(now_s),
        rest_until=datetime.fromtimestamp(until, tz=UTC) if until and until > now_s else None,
    )


def open_pause(person: Any) -> ReviewerPause | None:
    return ReviewerPause.objects.filter(person=person, lifted_at=None).first()


def open_pauses() -> dict[int, ReviewerPause]:
    """By person's key."""
    return {one.person_id: one for one in ReviewerPause.objects.filter(lifted_at=None)}


def hasty_since_lift(person: Any) -> list[datetime]:
    """What a lead has looked at counts no more."""
    last = ReviewerPause.objects.filter(person=person, lifted_at__isnull=False).first()
    found = HastyVerdict.objects.filter(by=person)
    if last is not None:
        found = found.filter(at__gt=last.lifted_at)
    return list(found.order_by("-at").values_list("at", flat=True)[: pace.HASTY_CASES])


def stint(person: Any, now: datetime) -> pace.Stint:
    since = now - _LOOK_BACK
    decided = CaseVerdict.objects.filter(by=person, at__gt=since, at__lte=now)
    held = Case.objects.filter(claimed_by=person, claimed_at__gt=since, claimed_at__lte=now)
    acts = chain(
        decided.values_list("at", flat=True).iterator(),
        held.values_list("claimed_at", flat=True).iterator(),
    )
    return pace.stint_of((at.timestamp() for at in acts), now_s=now.timestamp())
