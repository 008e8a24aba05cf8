"""The forms of this room: the period of a report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.utils import timezone


class ReportForm(forms.Form):
    """A half-open period in whole days, UTC; people give the last day that is included."""

    first_day = forms.DateField(
        label="First day",
        help_text="From 00:00 UTC of this day.",
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
    )
    last_day = forms.DateField(
        label="Last day",
        help_text="Up to the end of this day, UTC.",
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
    )
    seed = forms.CharField(
        label="Seed of the sample",
        max_length=64,
        required=False,
        help_text="Words of the auditor's own. Without them the sample is drawn by the end root.",
    )
    reason = forms.CharField(
        label="What it is for",
        max_length=300,
        help_text="Kept in the trail beside your name.",
    )

    @staticmethod
    def suggestion() -> dict[str, Any]:
        """The last 30 days: what an auditor most often asks for first."""
        today = timezone.now().date()
        return {"first_day": today - timedelta(days=29), "last_day": today}

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        first, last = cleaned.get("first_day"), cleaned.get("last_day")
        if first and last and first > last:
            self.add_error("last_day", "The last day must not lie before the first.")
        if first and first > timezone.now().date():
            self.add_error("first_day", "This day has not begun yet.")
        return cleaned

    def period(self) -> tuple[datetime, datetime]:
        first, last = self.cleaned_data["first_day"], self.cleaned_data["last_day"]
        midnight = datetime.min.time()
        return (
            datetime.combine(first, midnight, UTC),
            datetime.combine(last + timedelta(days=1), midnight, UTC),
        )
