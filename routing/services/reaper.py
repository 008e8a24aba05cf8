"""Gives every decision an end: one that has none by its deadline is ``outcome_unknown``."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction
from django.utils import timezone

import audit
from audit.actors import SYSTEM
from audit.errors import AlreadyRecorded
from routing.models import Decision
from routing.services import responses

# A terminal event is on its way within seconds of the deadline, or its process is gone.
GRACE = timedelta(seconds=15)


def reap(*, now: datetime | None = None) -> int:
    """Record ``decision.outcome_unknown`` for overdue decisions; safe to run late or twice."""
    now = now or timezone.now()
    overdue = Decision.objects.filter(outcome=Decision.Outcome.OPEN, deadline_at__lt=now - GRACE)
    reaped = 0
    for decision in overdue.order_by("deadline_at")[:1000]:
        try:
            with transaction.atomic():
                audit.record(
                    "decision.outcome_unknown",
                    by=SYSTEM("reaper"),
                    object_type="route",
                    object_id=decision.route,
                    decision_id=decision.pk,
                    result="failed",
                    details={
                        "route": decision.route,
                        "policy": decision.policy,
                        "error_code": "outcome_unknown",
                        "why": "The process that carried this request ended before it said how.",
                    },
                )
                responses.fail_unfinished(decision.pk)
        except AlreadyRecorded:
            # Its end is in the ledger and the list has not read it yet.
            continue
        reaped += 1
    return reaped
