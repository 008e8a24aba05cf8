"""Says that a case is still open when half of its time, and when most of it, has passed.

Safe to run twice: a stage is passed by a conditional update, and its message has an id of its own.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Final

from django.db import transaction

from review import rules
from review.models import Case
from review.services.transitions import SWEEPER, record
from routing.models import WebhookEvent
from routing.services import webhook_outbox

STAGES: Final = (50, 80)


def stage_of(case: Case, now: datetime) -> int:
    """The last stage that the case has reached, in percent of its time; 0 before the first."""
    whole = (case.due_at - case.opened_at).total_seconds()
    passed = 100 * (now - case.opened_at).total_seconds() / whole if whole > 0 else 0
    return max((stage for stage in STAGES if passed >= stage), default=0)


@transaction.atomic
def remind(*, case_id: uuid.UUID, now: datetime) -> bool:
    """Tell the case's application once for each stage; a stage that was missed is left out."""
    case = Case.objects.select_related("hold").filter(pk=case_id, state__in=rules.ALIVE).first()
    if case is None or case.due_at <= now:
        return False
    stage = stage_of(case, now)
    passed = Case.objects.filter(
        pk=case_id, reminded_percent__lt=stage, state__in=rules.ALIVE
    ).update(reminded_percent=stage)
    if passed != 1:
        return False
    record("review.case_due", case, SWEEPER, percent=stage)
    if case.hold is not None and case.hold.client_id:
        webhook_outbox.tell(
            webhook_outbox.Message(
                event=WebhookEvent.CASE_DUE,
                client_id=case.hold.client_id,
                decision_id=case.decision_id,
                at=now,
                stage=str(stage),
                facts={
                    "case_id": str(case.pk),
                    "percent": stage,
                    "due_at": case.due_at.isoformat(timespec="seconds"),
                },
            )
        )
    return True
