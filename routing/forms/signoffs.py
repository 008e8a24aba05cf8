"""The request for a sign-off. It checks the shape; routing.services.signoffs checks the sense."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django import forms
from django.utils import timezone

from routing.models import Backend


def _day(label: str, help_text: str) -> forms.DateField:
    return forms.DateField(
        label=label, help_text=help_text, widget=forms.DateInput(attrs={"type": "date"})
    )


class SignOffForm(forms.Form):
    data_class = forms.ChoiceField(
        label="Data class",
        help_text="One request for each class; the classes below are not included.",
    )
    purpose = forms.CharField(
        label="Purpose",
        max_length=200,
        help_text="What the data is sent for, as the records of processing say it.",
    )
    risk_reference = forms.CharField(
        label="Risk assessment",
        max_length=100,
        help_text="Its number or address, so that approvers can read it.",
    )
    conditions = forms.CharField(
        label="Conditions",
        required=False,
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="What has to hold meanwhile. People see to it; the router sees to the rest.",
    )
    valid_from = _day("Valid from", "The beginning of this day, UTC; today means at once.")
    valid_to = _day("Valid to", "The end of this day, UTC. A year at most.")

    def __init__(self, *args: Any, backend: Backend, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["data_class"]
        if isinstance(field, forms.ChoiceField):
            field.choices = [(name, name) for name in backend.data_classes]
        today = timezone.now().date()
        self.fields["valid_from"].initial = today.isoformat()
        self.fields["valid_to"].initial = (today + timedelta(days=180)).isoformat()

    def facts(self) -> dict[str, Any]:
        given = dict(self.cleaned_data)
        now = timezone.now()
        first: date = given["valid_from"]
        last: date = given["valid_to"]
        begins = datetime.combine(first, time(), UTC)
        given["valid_from"] = now if first == now.date() else begins
        given["valid_to"] = datetime.combine(last + timedelta(days=1), time(), UTC)
        return given


class SecretForm(forms.Form):
    secret = forms.CharField(
        label="Secret",
        max_length=2000,
        help_text="It is encrypted at once and never shown again, only its fingerprint.",
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    reason = forms.CharField(
        label="Reason, kept in the audit trail",
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
    )
