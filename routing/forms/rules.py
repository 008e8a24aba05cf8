"""One rule as a form: its name, its conditions as a tree, and what it does."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from django import forms
from django.http import QueryDict

from routing.engine.policy import RESERVED_IDS
from routing.engine.registry import Registry
from routing.forms.conditions import Conditions
from routing.forms.outcomes import OutcomeForm
from routing.services.documents import as_written

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")


class RuleForm(forms.Form):
    """The words around a rule."""

    id = forms.CharField(
        label="Id",
        max_length=63,
        help_text="Lower-case letters, digits, “-” and “_”. It stays the same for ever: counts and "
        "the trail refer to it.",
        widget=forms.TextInput(attrs={"spellcheck": "false", "autocapitalize": "none"}),
    )
    name = forms.CharField(label="Name", max_length=120, required=False)
    owner = forms.CharField(label="Owner", max_length=200, required=False)
    note = forms.CharField(
        label="Note",
        max_length=2000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Why the rule exists, and how its numbers were chosen.",
    )
    match = forms.ChoiceField(
        label="The rule matches when",
        choices=(
            ("all", "all conditions hold"),
            ("any", "at least one condition holds"),
            ("not", "the one condition does not hold"),
        ),
        widget=forms.RadioSelect,
    )

    def __init__(self, *args: Any, taken: Iterable[str] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._taken = frozenset(taken)

    def clean_id(self) -> str:
        rule_id: str = self.cleaned_data["id"]
        if not _ID.match(rule_id):
            raise forms.ValidationError("Use lower-case letters, digits, “-” and “_” only.")
        if rule_id in RESERVED_IDS:
            raise forms.ValidationError(f"“{rule_id}” is reserved.")
        if rule_id in self._taken:
            raise forms.ValidationError("Another rule has this id.")
        return rule_id


class RuleEditor:
    """The three forms of one rule. `act` is the button: save, or a step in the conditions."""

    def __init__(
        self,
        *,
        rule: Mapping[str, Any] | None,
        registry: Registry,
        backends: Iterable[Any],
        taken: Iterable[str],
        sent: QueryDict | None = None,
    ) -> None:
        self.rule: Mapping[str, Any] = rule or {}
        self.registry = registry
        backends = list(backends)
        self.act = sent.get("act", "save") if sent is not None else ""
        self.conditions = Conditions(registry, self.rule.get("when"), sent)
        saving = sent if self.act == "save" else None
        initial = {
            **{name: self.rule.get(name, "") for name in ("id", "name", "owner", "note")},
            "match": self.conditions.kind,
        }
        self.words = RuleForm(saving, initial=initial, taken=taken)
        self.outcome = OutcomeForm(
            saving, prefix="then", then=self.rule.get("then"), backends=backends
        )
        if sent is not None and saving is None:
            self._show_again(sent)
            verb, _, number = self.act.partition(":")
            self.conditions.step(verb, int(number) if number.isdigit() else None)

    def _show_again(self, sent: QueryDict) -> None:
        """What was typed so far, without judging it: the rule is not being saved."""
        for form in (self.words, self.outcome):
            for name, one in form.fields.items():
                typed = one.widget.value_from_datadict(sent, {}, form.add_prefix(name))
                form.initial[name] = typed

    @property
    def is_saving(self) -> bool:
        return self.act == "save"

    def is_valid(self) -> bool:
        # Each is asked, so that every error shows at once.
        results = [self.words.is_valid(), self.conditions.is_valid(), self.outcome.is_valid()]
        if self.conditions.kind_error:
            self.words.add_error("match", self.conditions.kind_error)
        return all(results)

    def built(self) -> dict[str, Any]:
        """The rule as the document holds it; what the form does not show stays."""
        cleaned = self.words.cleaned_data
        made = dict(self.rule)
        made["id"] = cleaned["id"]
        for name in ("name", "owner", "note"):
            if cleaned[name]:
                made[name] = as_written(self.rule.get(name), cleaned[name])
            else:
                made.pop(name, None)
        made["when"] = self.conditions.built()
        made["then"] = self.outcome.outcome()
        return made
