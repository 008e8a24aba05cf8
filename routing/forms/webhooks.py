"""Forms of webhooks. They check the shape; routing.services.webhooks checks the sense."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms

from accounts.models import ApiKey
from routing.models import WebhookEvent

_OVERLAPS = (("0", "none"), ("1", "one hour"), ("24", "one day"), ("168", "seven days"))


def _reason() -> forms.CharField:
    return forms.CharField(
        label="Reason, kept in the audit trail",
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class EndpointForm(forms.Form):
    """A new one names its application; a change does not."""

    client_id = forms.ChoiceField(label="Application")
    url = forms.CharField(
        label="Address",
        max_length=500,
        help_text="https://. It gets ids, states and times, never a prompt or an answer.",
    )
    events = forms.MultipleChoiceField(
        label="Events",
        choices=WebhookEvent.choices,
        widget=forms.CheckboxSelectMultiple,
        help_text="review.case_due comes at 50 % and 80 % of the time that a case has.",
    )
    description = forms.CharField(label="Description", max_length=200, required=False)

    def __init__(self, *args: Any, is_new: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if is_new:
            usable = ApiKey.objects.filter(revoked_at__isnull=True)
            self.fields["client_id"].choices = [  # type: ignore[attr-defined]
                (key.public_id, f"{key.name} ({key.public_id})") for key in usable
            ]
        else:
            del self.fields["client_id"]
        self.fields["reason"] = _reason()


class RotateSecretForm(forms.Form):
    overlap = forms.ChoiceField(
        label="Both secrets sign for", choices=_OVERLAPS, initial="24", required=True
    )
    reason = _reason()

    def overlap_of(self) -> timedelta:
        return timedelta(hours=int(self.cleaned_data["overlap"]))
