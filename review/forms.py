"""The form of a decision: one per choice, so that each asks for exactly what it needs."""

from __future__ import annotations

from typing import Any

from django import forms

from review.models import CaseVerdict

MOST_CHARACTERS = 200_000
Kind = CaseVerdict.Kind


class VerdictForm(forms.Form):
    """What a reviewer says. The service has the last word; this only says it beside the field."""

    answer = forms.CharField(
        label="The answer that the client gets",
        max_length=MOST_CHARACTERS,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 8, "spellcheck": "true"}),
    )
    candidate_id = forms.UUIDField(widget=forms.HiddenInput, required=False)
    reason_code = forms.ChoiceField(
        label="Reason code", choices=[("", "Choose one"), *CaseVerdict.Reason.choices]
    )
    reason = forms.CharField(
        label="Reason, kept in the audit trail",
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": "Say why; it is kept in the audit trail."},
    )

    def __init__(self, *args: Any, kind: str, **kwargs: Any) -> None:
        super().__init__(*args, auto_id=f"{kind}_%s", **kwargs)
        self.kind = kind
        self.fields["reason_code"].error_messages["required"] = "Choose a reason code."
        self.fields["answer"].error_messages["required"] = "Write the answer."
        if kind != Kind.EDIT:
            del self.fields["answer"]
        if kind == Kind.APPROVE:
            del self.fields["reason_code"]
            self.fields["reason"].required = False
        else:
            del self.fields["candidate_id"]


class ReleaseForm(forms.Form):
    """Why a case is given back; a lead who takes it from somebody must say."""

    reason = forms.CharField(required=False, max_length=500)
