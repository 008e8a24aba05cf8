"""What the overview says of held requests: how many wait, and how many are due soon."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Count, Min, Q
from django.urls import reverse
from django.utils import timezone

from review.models import Case
from screens.attention import Need, provide
from screens.templatetags.signalbox import in_words

DUE_SOON = timedelta(minutes=15)
_OPEN = (Case.State.PENDING, Case.State.CLAIMED)


@provide("review.view")
def waiting_cases(user: Any) -> list[Need]:
    """One need for the open cases; urgent when one of them is due soon."""
    now = timezone.now()
    seen = Case.objects.filter(state__in=_OPEN).aggregate(
        open=Count("pk"), soon=Count("pk", filter=Q(due_at__lt=now + DUE_SOON)), first=Min("due_at")
    )
    if not seen["open"]:
        return []
    noun = "request waits" if seen["open"] == 1 else "requests wait"
    left_s = (seen["first"] - now).total_seconds()
    due = f"the first is due in {in_words(left_s)}" if left_s > 0 else "the first is overdue"
    return [
        Need(
            sentence=f"{seen['open']} held {noun} for a reviewer; {due}.",
            url=reverse("review-queue"),
            act="Open the review queue",
            tone="bad" if seen["soon"] else "warn",
        )
    ]
