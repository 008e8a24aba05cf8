"""The form of a decision: one per choice, so that each asks for exactly what it needs."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings

from review.models import CaseVerdict

MOST_CHARACTERS = 200_000
Kind = CaseVerdict.Kind
_TO_EVAL_SET = (CaseVerdict.Flag.ADD_TO_EVAL_SET.value, "Add it to the eval set")
_CHANGES = [one for one in CaseVerdict.Flag.choices if one[0] != _TO_EVAL_SET[0]]


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

    # Lists and no boxes: Enter in a box would send the form.
    should_change = forms.ChoiceField(
        label="What should change",
        choices=[("", "Nothing"), *_CHANGES],
        required=False,
    )
    eval_set = forms.ChoiceField(
        label="Eval set",
        choices=[("", "Leave it out"), _TO_EVAL_SET],
        required=False,
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
        elif kind == Kind.CHOOSE:
            self.fields["candidate_id"] = forms.UUIDField(label="Which answer", widget=forms.Select)
            self.order_fields(["candidate_id", "reason_code", "reason"])
        else:
            del self.fields["candidate_id"]

    def clean(self) -> dict[str, Any]:
        given: dict[str, Any] = super().clean() or self.cleaned_data
        chosen = [given.pop(name, "") for name in ("should_change", "eval_set")]
        return {**given, "flags": [flag for flag in chosen if flag]}

    def offer(self, others: list[tuple[str, str]]) -> None:
        """Name the answers that may be chosen; the first is no suggestion, so none is chosen."""
        numbered = [(one, f"Answer {n}, by {by}") for n, (one, by) in enumerate(others, start=1)]
        widget: Any = self.fields["candidate_id"].widget
        widget.choices = [("", "Choose one"), *numbered]


class ReasonForm(forms.Form):
    """Why a case is raised to the leads."""

    reason_code = forms.ChoiceField(
        label="Reason code", choices=[("", "Choose one"), *CaseVerdict.Reason.choices]
    )
    reason = forms.CharField(
        label="Reason, kept in the audit trail",
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 2}),
    )

    def __init__(self, *args: Any, act: str = "escalate", **kwargs: Any) -> None:
        super().__init__(*args, auto_id=f"{act}_%s", **kwargs)


class ReplayForm(ReasonForm):
    """Which backend answers again, and why."""

    backend = forms.CharField(max_length=64)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, act="replay", **kwargs)


class ReviewerForm(forms.Form):
    """What a reviewer may take; the service has the last word."""

    clearance = forms.ChoiceField(
        label="Cleared up to", choices=[(name, name) for name in settings.DATA_CLASSES]
    )
    queues = forms.CharField(
        label="Queues",
        required=False,
        max_length=4000,
        help_text="Names, separated by commas. Empty means every queue.",
    )
    reason = forms.CharField(label="Reason, kept in the audit trail", max_length=500)
    version = forms.IntegerField(min_value=0, widget=forms.HiddenInput)

    def names(self) -> list[str]:
        return [name.strip() for name in self.cleaned_data["queues"].split(",") if name.strip()]


class ReleaseForm(forms.Form):
    """Why a case is given back; a lead who takes it from somebody must say."""

    reason = forms.CharField(required=False, max_length=500)


class LiftForm(forms.Form):
    """Why a paused reviewer may claim again."""

    reason = forms.CharField(label="Reason, kept in the audit trail", max_length=500)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, auto_id="lift_%s", **kwargs)
