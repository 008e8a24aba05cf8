"""The form of a waiver."""

from __future__ import annotations

from django import forms

from routing.engine.checks import NAMES
from routing.engine.gate import NEVER_WAIVED


class WaiveForm(forms.Form):
    """Which check, until when, and why."""

    check = forms.ChoiceField(
        label="Check whose evidence is missing",
        choices=[(name, title) for name, title in NAMES.items() if name not in NEVER_WAIVED],
    )
    until = forms.DateTimeField(
        label="Until (UTC)",
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )
    reason = forms.CharField(
        label="Reason, shown for ever", max_length=500, widget=forms.Textarea(attrs={"rows": 2})
    )
