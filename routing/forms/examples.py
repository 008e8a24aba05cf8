"""A simple test that the policy carries, as a form."""

from __future__ import annotations

from typing import Any

from django import forms

from routing.engine.registry import BOOL, INT, NUMBER, Registry
from routing.forms.comparisons import number_of
from routing.services.documents import Document, rules_of, with_section


class TestForm(forms.Form):
    """One simple test: given a few signals, expect a rule, an outcome or a tier."""

    GIVEN = (
        "data_class",
        "topic",
        "gain",
        "score",
        "unfamiliar",
        "prompt_tokens",
        "language",
        "has_code",
    )

    name = forms.CharField(label="Name", max_length=200)
    expect_rule = forms.ChoiceField(label="Expect the rule", required=False)
    expect_outcome = forms.ChoiceField(
        label="Expect the outcome",
        required=False,
        choices=(
            ("", "any"),
            ("route", "route"),
            ("escalate", "escalate"),
            ("hold", "hold"),
            ("safe_default", "safe default"),
            ("refuse", "refuse"),
        ),
    )
    expect_tier = forms.ChoiceField(
        label="Expect the tier",
        required=False,
        choices=(("", "any"), ("slm", "SLM"), ("llm", "LLM")),
    )

    def __init__(self, *args: Any, document: Document, registry: Registry, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.document, self.registry = document, registry
        rules = [(str(rule.get("id")), str(rule.get("id"))) for rule in rules_of(document)]
        self.fields["expect_rule"].choices = [("", "any"), *rules, ("default", "default")]
        for name in self.GIVEN:
            self.fields[f"given_{name}"] = self._given_field(name)

    def _given_field(self, name: str) -> forms.Field:
        signal = self.registry.signals[name]
        label = signal.words.capitalize()
        values = ("true", "false") if signal.kind == BOOL else signal.values
        if values:
            choices = [("", "not known"), *[(value, value) for value in values]]
            return forms.ChoiceField(label=label, required=False, choices=choices)
        mode = "decimal" if signal.kind in (INT, NUMBER) else "text"
        return forms.CharField(
            label=label,
            required=False,
            max_length=100,
            widget=forms.TextInput(attrs={"inputmode": mode, "placeholder": "not known"}),
        )

    @property
    def given_fields(self) -> list[forms.BoundField]:
        return [self[f"given_{name}"] for name in self.GIVEN]

    @property
    def expect_fields(self) -> list[forms.BoundField]:
        return [self["expect_rule"], self["expect_outcome"], self["expect_tier"]]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        given: dict[str, Any] = {}
        for name in self.GIVEN:
            text = cleaned.get(f"given_{name}")
            if not text:
                continue
            signal = self.registry.signals[name]
            try:
                given[name] = self._typed(signal.kind, text)
            except ValueError as error:
                self.add_error(f"given_{name}", f"{error}.")
                continue
            if signal.admit(given[name]) is None:
                self.add_error(f"given_{name}", f"This is no value of {signal.words}.")
        expect = {
            key: cleaned[f"expect_{key}"]
            for key in ("rule", "outcome", "tier")
            if cleaned.get(f"expect_{key}")
        }
        if not expect and not self.errors:
            self.add_error("expect_rule", "A test expects something.")
        return {**cleaned, "given": given, "expect": expect}

    def _typed(self, kind: str, text: str) -> Any:
        if kind == BOOL:
            return text == "true"
        return number_of(text) if kind in (INT, NUMBER) else text

    def built(self) -> Document:
        cleaned = self.cleaned_data
        one = {"name": cleaned["name"], "given": cleaned["given"], "expect": cleaned["expect"]}
        tests = [*(self.document.get("tests") or []), one]
        return with_section(self.document, "tests", tests)
