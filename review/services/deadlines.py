"""What time does to cases: opens what was missed, ends what is due, takes lost claims back.

Safe to run late, twice, or in two places at once: each case is changed in a transaction of its own
under its row's lock, and a case that somebody else works on at this moment is left for next time.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from review import rules
from review.models import Case, CaseCandidate
from review.queries import eligible
from review.services.cases import due_at, open_case
from review.services.reminders import STAGES, remind
from review.services.replays import end_replay
from review.services.sealing import untold_first
from review.services.transitions import SWEEPER, lose_lease, move, record
from routing.models import Hold
from routing.services import holds

log = logging.getLogger(__name__)

# The router ends its own holds; a moment's grace keeps the two from racing for nothing.
GRACE = timedelta(seconds=2)
# A replay that has not come back by then never will: its worker is gone.
REPLAY_LOST = timedelta(minutes=3)
_MOST = 500


def sweep(*, now: datetime | None = None) -> dict[str, int]:
    """Open, end and take back whatever is due, and count it. One bad case stops no other."""
    now = now or timezone.now()
    alive = Case.objects.filter(state__in=rules.ALIVE)
    ended = Q(due_at__lt=now - GRACE) | Q(
        hold__state__in=(Hold.State.EXPIRED, Hold.State.CANCELLED)
    )
    unwaited = alive.filter(priority=Case.Priority.LIVE, hold__delivery=Hold.Delivery.STORED)
    lost = alive.filter(
        state=Case.State.REPLAYING,
        candidates__state=CaseCandidate.State.MAKING,
        candidates__asked_at__lt=now - REPLAY_LOST,
    )
    unreminded = alive.filter(due_at__gt=now, reminded_percent__lt=STAGES[-1]).filter(
        opened_at__lt=now - (F("due_at") - F("opened_at")) * (STAGES[0] / 100)
    )
    return {
        "opened": _each(_holds_without_case(), lambda pk: open_case(decision_id=pk) is not None),
        "reprioritised": _each(_ids(unwaited), _reprioritise),
        "replays_lost": _each(_ids(lost), lambda pk: _lose_replay(pk, now)),
        "reminded": _each(_ids(unreminded), lambda pk: remind(case_id=pk, now=now)),
        "ended": _each(_ids(alive.filter(ended)), lambda pk: _settle(pk, now)),
        "leases_lost": _each(
            _ids(alive.filter(state=Case.State.CLAIMED, lease_expires_at__lte=now)),
            lambda pk: _take_back(pk, now),
        ),
    }


def _ids(cases: QuerySet[Case]) -> Iterable[uuid.UUID]:
    return cases.order_by("due_at").values_list("pk", flat=True)[:_MOST]


def _each(ids: Iterable[uuid.UUID], act: Callable[[uuid.UUID], bool]) -> int:
    done = 0
    for identity in list(ids):
        try:
            done += act(identity)
        except Exception:
            log.exception("the sweep could not end this one", extra={"case_or_hold": str(identity)})
    return done


def _holds_without_case() -> Iterable[uuid.UUID]:
    waiting = Hold.objects.filter(state=Hold.State.WAITING, case__isnull=True)
    return waiting.values_list("pk", flat=True)[:_MOST]


def _locked(case_id: uuid.UUID) -> Case | None:
    return (
        Case.objects.select_for_update(of=("self",), skip_locked=True)
        .select_related("hold", "claimed_by")
        .filter(pk=case_id, state__in=rules.ALIVE)
        .first()
    )


@transaction.atomic
def _settle(case_id: uuid.UUID, now: datetime) -> bool:
    """End a case whose time has passed, with what its rule gives the client."""
    case = _locked(case_id)
    if case is None:
        return False
    hold = case.hold
    if hold is None:
        return _expire(case, now, disposition=None)
    if hold.state == Hold.State.WAITING:
        given = rules.disposition_at_end(priority=case.priority, on_timeout=hold.on_timeout)
        holds.expire_hold(decision_id=hold.pk, disposition=given)
        hold.refresh_from_db()
    if hold.state == Hold.State.CANCELLED:
        return _cancel(case, now)
    return _expire(case, now, disposition=hold.disposition)


def _expire(case: Case, now: datetime, *, disposition: str | None) -> bool:
    if not move(case, "expire", ended_at=now):
        return False
    record("review.expired", case, SWEEPER, disposition=disposition, **untold_first(case))
    return True


def _cancel(case: Case, now: datetime) -> bool:
    if not move(case, "cancel", ended_at=now):
        return False
    record("review.cancelled", case, SWEEPER, **untold_first(case))
    return True


@transaction.atomic
def _reprioritise(case_id: uuid.UUID) -> bool:
    """Nobody waits on a connection any more: the case goes where its risk puts it."""
    case = _locked(case_id)
    if case is None or case.hold is None:
        return False
    priority = rules.priority_of(
        is_waited_for=False,
        is_high_risk=case.is_high_risk or eligible.is_restricted(case.data_class),
    )
    due = due_at(case.hold, priority)
    if not move(case, "reprioritise", priority=priority, due_at=due):
        return False
    record("review.reprioritised", case, SWEEPER, priority=priority, due_at=due)
    return True


@transaction.atomic
def _lose_replay(case_id: uuid.UUID, now: datetime) -> bool:
    case = _locked(case_id)
    return case is not None and end_replay(
        case=case, number=case.replays, problem="It did not come back in time.", now=now
    )


@transaction.atomic
def _take_back(case_id: uuid.UUID, now: datetime) -> bool:
    case = _locked(case_id)
    return case is not None and case.lease_is_over(now) and lose_lease(case)
