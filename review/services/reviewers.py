"""What a reviewer may take. A lead or an administrator says so, and never of themselves."""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F

import audit
from accounts.models import User
from audit.actors import Actor
from review.errors import ReviewerChanged
from review.models import Reviewer
from review.queries import eligible
from screens.access import may, require
from screens.errors import Invalid, NotAllowed

MOST_QUEUES = 50


@transaction.atomic
def change_reviewer(
    *,
    person: User,
    queues: Iterable[str],
    clearance: str,
    version: int,
    by: User,
    reason: str,
) -> Reviewer:
    """Set the queues (none means all) and the clearance of a reviewer; ``version`` is what was
    seen, 0 for defaults. Raises ReviewerChanged when somebody was quicker.
    """
    if not may(by, "accounts.manage_people"):
        require(by, "review.lead")
    if person.pk == by.pk:
        raise NotAllowed(
            "Nobody says of themselves what they may take.",
            code="own_clearance",
            what_next="Ask another lead reviewer or an administrator.",
        )
    if not may(person, "review.decide"):
        raise Invalid(f"{person} is no reviewer.", code="not_a_reviewer")
    wanted = sorted({name.strip() for name in queues if name.strip()})
    if len(wanted) > MOST_QUEUES or any(len(name) > 64 for name in wanted):
        raise Invalid(f"Name at most {MOST_QUEUES} queues of 64 characters each.")
    if clearance not in settings.DATA_CLASSES:
        raise Invalid("There is no such data class.", code="unknown_data_class")
    if not reason.strip():
        raise Invalid("Say why; it is kept in the audit trail.", code="reason_missing")
    before = eligible.reviewer_of(person)
    _write(before, person, wanted, clearance, version)
    audit.record(
        "reviewer.changed",
        by=Actor.of(by),
        object_type="person",
        object_id=person.get_username(),
        reason=reason,
        details={
            "before": {"queues": before.queues, "clearance": before.clearance},
            "after": {"queues": wanted, "clearance": clearance},
        },
    )
    return Reviewer.objects.get(person=person)


def _write(before: Reviewer, person: User, queues: list[str], clearance: str, version: int) -> None:
    if before.version != version:
        raise ReviewerChanged
    if version:
        changed = Reviewer.objects.filter(person=person, version=version).update(
            queues=queues, clearance=clearance, version=F("version") + 1
        )
        if changed != 1:
            raise ReviewerChanged
        return
    try:
        with transaction.atomic():
            Reviewer.objects.create(person=person, queues=queues, clearance=clearance)
    except IntegrityError:
        raise ReviewerChanged from None
