"""The import of a document, and the small forms of a version's life."""

from __future__ import annotations

from typing import Any

from django import forms

from routing.engine.registry import DATA_CLASSES
from routing.services.interchange import MOST_BYTES, Unreadable, read_document


class ImportForm(forms.Form):
    """A document as text or as a file; the file wins when both are given."""

    text = forms.CharField(
        label="YAML or JSON",
        required=False,
        strip=False,
        max_length=MOST_BYTES,
        widget=forms.Textarea(attrs={"rows": 14, "spellcheck": "false", "class": "mono"}),
    )
    file = forms.FileField(label="Or a file", required=False)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        sent = cleaned.get("file")
        text = cleaned.get("text") or ""
        if sent is not None:
            if sent.size > MOST_BYTES:
                raise forms.ValidationError(f"The file has more than {MOST_BYTES // 1024} KiB.")
            try:
                text = sent.read().decode("utf-8-sig")
            except UnicodeDecodeError:
                raise forms.ValidationError("The file is not UTF-8 text.") from None
        if not text.strip():
            raise forms.ValidationError("Paste a document, or choose a file.")
        try:
            cleaned["document"] = read_document(text)
        except Unreadable as problem:
            raise forms.ValidationError(problem.message) from None
        return cleaned


class ReasonForm(forms.Form):
    """Why: kept in the audit trail."""

    reason = forms.CharField(
        label="Reason, kept in the audit trail",
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class SubmitForm(forms.Form):
    summary = forms.CharField(
        label="What this version changes, in one sentence",
        max_length=300,
        help_text="The approver reads this first. Submitting freezes the version.",
    )


class VerdictForm(forms.Form):
    verdict = forms.ChoiceField(
        label="Your verdict",
        widget=forms.RadioSelect,
        choices=(
            ("approve", "Approve"),
            ("request_changes", "Request changes"),
            ("reject", "Reject"),
        ),
    )
    comment = forms.CharField(
        label="Comment, kept in the audit trail",
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 3}),
    )


class ScheduleForm(forms.Form):
    """When a version is to become active. Times are UTC, as everywhere in the product."""

    at = forms.DateTimeField(
        label="Activate at (UTC)",
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%dT%H:%M:%S"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
        help_text="It is checked again then, and suspended if anything stands against it.",
    )
    reason = forms.CharField(
        label="Reason, kept in the audit trail",
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
    )


class SimulateForm(forms.Form):
    """One request, as a caller would send it. Nothing is sent and nothing is stored."""

    prompt = forms.CharField(
        label="Prompt",
        max_length=20_000,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text="The last user turn. It is measured in memory and forgotten.",
    )
    data_class = forms.ChoiceField(
        label="Data class", choices=[(name, name) for name in DATA_CLASSES]
    )
    client = forms.CharField(label="Client", required=False, max_length=100)
    step = forms.CharField(label="Workflow step", required=False, max_length=64)
    has_tools = forms.BooleanField(label="Offers tools", required=False)
    wants_json = forms.BooleanField(label="Asks for a JSON answer", required=False)
    may_use_public = forms.BooleanField(
        label="The caller's key may use public backends", required=False
    )
