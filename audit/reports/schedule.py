"""Reports that nobody has to ask for: each month's, once the month is over.

Whether they are made is what the trail says last: ``report.schedule_changed`` is the switch itself.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from audit.actors import SYSTEM, Actor
from audit.ledger import record
from audit.models import ENDED, Event, JobState, Report
from audit.reports.services import request_report

SWITCH = "report.schedule_changed"


def switched() -> Event | None:
    """The act that decides now, or None when nobody ever switched."""
    return Event.objects.filter(kind=SWITCH).order_by("-at", "-id").first()


def is_on() -> bool:
    last = switched()
    return last is not None and bool(last.entry["details"].get("monthly"))


def switch_monthly(*, on: bool, by: Actor, reason: str) -> bool:
    """Switch monthly reports on or off; returns whether that changed anything."""
    before = is_on()
    if before == on:
        return False
    with transaction.atomic():
        record(
            SWITCH,
            by=by,
            object_type="log",
            object_id=settings.AUDIT_ORIGIN,
            reason=reason,
            before={"monthly": before},
            after={"monthly": on},
            details={"monthly": on},
        )
    return True


def last_month(now: datetime) -> tuple[datetime, datetime]:
    """The whole month, UTC, that ended last."""
    end = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    return (end - timedelta(days=1)).replace(day=1), end


def request_due(*, now: datetime | None = None) -> UUID | None:
    """Ask for last month's report when it is due and not there; safe to run at any time, twice."""
    last = switched()
    if last is None or not last.entry["details"].get("monthly"):
        return None
    begin, end = last_month(now or timezone.now())
    # A month that was over before anybody wanted reports is asked for by hand.
    if end <= last.at:
        return None
    wanted = Report.objects.filter(period_from=begin, period_to=end, is_scheduled=True)
    if wanted.exclude(state__in=[s for s in ENDED if s != JobState.READY]).exists():
        return None
    try:
        with transaction.atomic():
            report = request_report(
                period_from=begin,
                period_to=end,
                by=SYSTEM("schedule"),
                reason="The monthly report",
                is_scheduled=True,
            )
    except IntegrityError:
        return None
    return report.pk
