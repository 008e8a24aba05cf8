"""Forms of keys, people and sign-in. They check the shape; the services check the sense."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from typing import Any

from django import forms
from django.conf import settings
from django.utils import timezone

from accounts import neighbours
from screens.access import PERMISSIONS, ROLES


class ReasonForm(forms.Form):
    reason = forms.CharField(
        label="Reason, kept in the audit trail",
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class KeyForm(forms.Form):
    name = forms.CharField(
        label="Name of the application",
        max_length=100,
        help_text="It stands in every decision: claims-portal, not key 2.",
    )
    owner = forms.CharField(
        label="Owner", max_length=100, help_text="The team to call when this key misbehaves."
    )
    routes = forms.MultipleChoiceField(
        label="Routes it may call",
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text="None chosen means every route, also those that are added later.",
    )
    default_route = forms.ChoiceField(
        label="Default route",
        required=False,
        help_text="Used when the application asks for the model auto, or names a backend.",
    )
    data_class_ceiling = forms.ChoiceField(
        label="Highest data class it may send",
        choices=[(name, name) for name in settings.DATA_CLASSES],
        initial="confidential",
    )
    boundary_ceiling = forms.ChoiceField(
        label="How far its requests may go",
        choices=[("private", "private backends only"), ("public", "public backends too")],
        widget=forms.RadioSelect,
        initial="private",
        help_text="Public still needs a sign-off for the data class.",
    )
    may_pin = forms.BooleanField(
        label="May name a backend itself",
        required=False,
        help_text="For tests and migrations; the policy's rules do not choose then.",
    )
    requests_per_minute = forms.IntegerField(
        label="Requests per minute", min_value=1, max_value=1_000_000, initial=600
    )
    expires_on = forms.DateField(
        label="Last day",
        # The browser reads only this form of a date, whatever it then shows.
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        help_text="At most a year from today. Rotate it before then.",
    )
    reason = forms.CharField(
        label="Reason, kept in the audit trail",
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        slugs = [(slug, slug) for slug in neighbours.route_slugs()]
        self.fields["routes"].choices = slugs  # type: ignore[attr-defined]
        self.fields["default_route"].choices = [("", "none"), *slugs]  # type: ignore[attr-defined]
        self.fields["expires_on"].initial = (timezone.now() + timedelta(days=90)).date()

    def facts(self) -> dict[str, Any]:
        """The fields of `create_key`, the last day as its last moment in UTC."""
        facts = dict(self.cleaned_data)
        last_day = facts.pop("expires_on")
        facts["expires_at"] = datetime.combine(last_day, time(23, 59, 59), tzinfo=UTC)
        return facts


class TokenForm(forms.Form):
    name = forms.CharField(
        label="Name",
        max_length=100,
        help_text="The program that will use it: policy pipeline, not token 2.",
    )
    scopes = forms.MultipleChoiceField(
        label="What it may do",
        widget=forms.CheckboxSelectMultiple,
        help_text="Never more than you may at that moment; a right that you lose, it loses too.",
    )
    expires_on = forms.DateField(
        label="Last day",
        widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}),
        help_text="At most a year from today.",
    )
    reason = forms.CharField(
        label="Reason, kept in the audit trail",
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, *args: Any, scopes: list[str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        offered = [(code, PERMISSIONS[code]) for code in scopes]
        self.fields["scopes"].choices = offered  # type: ignore[attr-defined]
        self.fields["expires_on"].initial = (timezone.now() + timedelta(days=90)).date()

    def facts(self) -> dict[str, Any]:
        """The fields of `create_token`, the last day as its last moment in UTC."""
        facts = dict(self.cleaned_data)
        last_day = facts.pop("expires_on")
        facts["expires_at"] = datetime.combine(last_day, time(23, 59, 59), tzinfo=UTC)
        return facts


OVERLAPS = {
    "0": "none, the old key ends now",
    "3600": "one hour",
    "86400": "one day",
    "604800": "one week",
    "2592000": "30 days",
}


class RotateForm(ReasonForm):
    overlap = forms.ChoiceField(
        label="How long the old key still works",
        choices=list(OVERLAPS.items()),
        initial="86400",
    )
    field_order = ("overlap", "reason")

    def overlap_of(self) -> timedelta:
        return timedelta(seconds=int(self.cleaned_data["overlap"]))


class RolesForm(ReasonForm):
    roles = forms.MultipleChoiceField(
        label="Roles",
        required=False,
        choices=[(role.slug, role.name) for role in ROLES.values()],
        widget=forms.CheckboxSelectMultiple,
    )
    field_order = ("roles", "reason")


class PersonForm(RolesForm):
    username = forms.RegexField(
        r"^[\w.@+-]+$",
        label="Sign-in name",
        max_length=150,
        help_text="Letters, digits and @ . + - _ only. It cannot be changed later.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "autocapitalize": "none"}),
    )
    full_name = forms.CharField(label="Full name", max_length=150)
    job = forms.CharField(label="Job", max_length=150, required=False)
    password = forms.CharField(
        label="First password",
        strip=False,
        max_length=256,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least 12 characters. Tell it in person; the person changes it afterwards.",
    )
    field_order = ("username", "full_name", "job", "password", "roles", "reason")


class PasswordForm(ReasonForm):
    password = forms.CharField(
        label="New password",
        strip=False,
        max_length=256,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least 12 characters. All sessions of this person end.",
    )
    field_order = ("password", "reason")


class OwnPasswordForm(forms.Form):
    old = forms.CharField(
        label="Present password",
        strip=False,
        max_length=256,
        widget=forms.PasswordInput(attrs={"autocomplete": "current-password"}),
    )
    new = forms.CharField(
        label="New password",
        strip=False,
        max_length=256,
        widget=forms.PasswordInput(attrs={"autocomplete": "new-password"}),
        help_text="At least 12 characters, not your name and not a common password.",
    )
