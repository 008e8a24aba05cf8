"""The form that stops traffic: what, the word that shows it is meant, and why."""

from __future__ import annotations

from typing import Any

from django import forms

from routing.models import Backend, KillSwitch, Route

WORD = "stop"


class EngageForm(forms.Form):
    scope = forms.ChoiceField(
        label="What to stop",
        choices=[
            (KillSwitch.Scope.PUBLIC, "all public traffic: nothing leaves the company"),
            (KillSwitch.Scope.BACKEND, "one backend"),
            (KillSwitch.Scope.ROUTE, "one route: its requests get the safe default or a refusal"),
        ],
        widget=forms.RadioSelect,
    )
    target = forms.ChoiceField(
        label="Which backend or route",
        required=False,
        help_text="Not needed for all public traffic.",
    )
    reason = forms.CharField(
        label="Reason, kept in the audit trail",
        max_length=500,
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    typed = forms.CharField(
        label=f"Type {WORD} to confirm",
        max_length=64,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        backends = Backend.objects.order_by("name").values_list("name", flat=True)
        routes = Route.objects.values_list("slug", flat=True)
        self.fields["target"].choices = [  # type: ignore[attr-defined]
            ("", "none"),
            ("Backends", [(name, name) for name in backends]),
            ("Routes", [(slug, slug) for slug in routes]),
        ]

    def clean_typed(self) -> str:
        typed = str(self.cleaned_data["typed"]).strip()
        if typed.lower() != WORD:
            raise forms.ValidationError(f"Type the word {WORD}, so that this is no accident.")
        return typed

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        scope, target = cleaned.get("scope"), cleaned.get("target")
        if scope == KillSwitch.Scope.PUBLIC:
            cleaned["target"] = ""
        elif scope and not target and "target" not in self.errors:
            self.add_error("target", "Choose which one.")
        return cleaned

    def facts(self) -> dict[str, Any]:
        return {name: self.cleaned_data[name] for name in ("scope", "target", "reason")}
