"""The form of a backend. It checks the shape; routing.services.registry checks the sense."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings

from routing.models import Backend
from routing.models.backends import Boundary, Tier
from routing.services.registry import CAPABILITIES, FIELDS

_CAPABILITY_WORDS = {
    "tools": "calls tools",
    "images": "reads images",
    "json": "answers in JSON on request",
    "stream": "streams",
    "logprobs": "gives log-probabilities",
    "embeddings": "makes embeddings",
}


class BackendForm(forms.Form):
    """What may be changed later too; `field_order` is the order of the page."""

    description = forms.CharField(label="What it is", max_length=300, required=False)
    owner = forms.CharField(
        label="Owner", max_length=100, help_text="The team to call when it is down."
    )
    tier = forms.ChoiceField(label="Tier", choices=Tier.choices, widget=forms.RadioSelect)
    boundary = forms.ChoiceField(
        label="Boundary",
        choices=[("private", "private, inside the company"), ("public", "public API")],
        initial=Boundary.PRIVATE,
        widget=forms.RadioSelect,
        help_text="A public backend receives nothing without a sign-off for the data class.",
    )
    region = forms.CharField(
        label="Region",
        max_length=60,
        required=False,
        help_text="Where it runs: eu-central, on site.",
    )
    base_url = forms.URLField(
        label="Address",
        max_length=300,
        assume_scheme="https",
        help_text="Up to and with /v1. Link-local and metadata addresses are always refused.",
        widget=forms.URLInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    upstream_model = forms.CharField(label="Model, as the backend names it", max_length=200)
    secret_ref = forms.CharField(
        label="Secret, by reference",
        max_length=300,
        required=False,
        help_text="env:NAME or file:/path. Or store it encrypted, from the backend's page.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    data_classes = forms.MultipleChoiceField(
        label="Data classes it may receive",
        choices=[(name, name) for name in settings.DATA_CLASSES],
        widget=forms.CheckboxSelectMultiple,
    )
    capabilities = forms.MultipleChoiceField(
        label="What it can do",
        required=False,
        choices=[(name, _CAPABILITY_WORDS[name]) for name in CAPABILITIES],
        widget=forms.CheckboxSelectMultiple,
    )
    context_window = forms.IntegerField(
        label="Context window, in tokens", min_value=1, max_value=100_000_000, initial=8192
    )
    max_output_tokens = forms.IntegerField(
        label="Longest answer, in tokens", min_value=1, max_value=10_000_000, initial=1024
    )
    max_in_flight = forms.IntegerField(
        label="Requests at the same time", min_value=1, max_value=100_000, initial=64
    )
    input_usd_per_mtok = forms.DecimalField(
        label="Price in, USD per million tokens", min_value=0, max_digits=12, decimal_places=6
    )
    output_usd_per_mtok = forms.DecimalField(
        label="Price out, USD per million tokens",
        min_value=0,
        max_digits=12,
        decimal_places=6,
        help_text="A changed price begins a new price list; costs already recorded stay.",
    )
    processor = forms.CharField(
        label="Processor",
        max_length=120,
        required=False,
        help_text="Of a public backend: the company. A sign-off is asked for with these six known; "
        "when one of them, the address or the region changes, its sign-offs end.",
    )
    processor_country = forms.CharField(label="Its country", max_length=60, required=False)
    processor_contract = forms.CharField(label="Contract", max_length=120, required=False)
    processor_contact = forms.CharField(label="Contact there", max_length=120, required=False)
    processor_retention = forms.CharField(
        label="How long it keeps what it gets", max_length=200, required=False
    )
    processor_subprocessors = forms.CharField(
        label="Its sub-processors", max_length=300, required=False
    )
    reason = forms.CharField(
        label="Reason, kept in the audit trail",
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    @classmethod
    def of(cls, backend: Backend) -> BackendForm:
        return cls(initial={name: getattr(backend, name) for name in FIELDS})

    def facts(self) -> dict[str, Any]:
        return dict(self.cleaned_data)


class RegisterForm(BackendForm):
    name = forms.SlugField(
        label="Name",
        max_length=64,
        help_text="Lower case, digits and dashes. Policies name it, so it cannot be changed later.",
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )
    field_order = ("name",)
