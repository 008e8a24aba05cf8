"""The parts of a policy beside its rules, each as a form that leaves the rest of it untouched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

from django import forms

from routing.engine.registry import INT, Registry
from routing.engine.sections import MAX_HOPS
from routing.forms.comparisons import OPERATOR_WORDS
from routing.forms.outcomes import backend_choices
from routing.services.documents import (
    Document,
    thresholds_of,
    with_numbers,
    with_section,
)


def mapping_of(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    return dict(value) if isinstance(value, Mapping) else {}


class ThresholdsForm(forms.Form):
    """Every number that a condition compares with, on one page."""

    def __init__(self, *args: Any, document: Document, registry: Registry, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.document = document
        self.thresholds = thresholds_of(document)
        for place, one in enumerate(self.thresholds):
            signal = registry.get(one.signal)
            words = signal.words if signal else one.signal
            whole = signal is not None and signal.kind == INT
            kind = forms.IntegerField if whole else forms.DecimalField
            self.fields[f"number_{place}"] = kind(
                label=f"{words} {OPERATOR_WORDS[one.operator]} {one.part}".strip(),
                initial=int(one.number) if whole else one.number,
                min_value=signal.low if signal else None,
                max_value=signal.high if signal else None,
                widget=forms.NumberInput(attrs={"step": "1" if whole else "any"}),
            )

    @property
    def groups(self) -> list[tuple[str, list[forms.BoundField]]]:
        """The fields by rule, in the policy's order."""
        found: dict[str, list[forms.BoundField]] = {}
        for place, one in enumerate(self.thresholds):
            found.setdefault(one.rule, []).append(self[f"number_{place}"])
        return list(found.items())

    def built(self) -> Document:
        numbers = {}
        for place, one in enumerate(self.thresholds):
            number = Decimal(self.cleaned_data[f"number_{place}"])
            if number != one.number:
                numbers[one.steps] = number
        return with_numbers(self.document, numbers)


class FallbacksForm(forms.Form):
    """Which backend comes next after a failure: per backend, and for two kinds of failure."""

    def __init__(
        self, *args: Any, document: Document, backends: Iterable[Any], **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.document = document
        self.stored = mapping_of(document, "fallbacks")
        self.failure = mapping_of(self.stored, "failure")
        backends = list(backends)
        used = [*self.failure, *[name for chain in self.failure.values() for name in chain]]
        used += [*self.stored.get("context_window", []), *self.stored.get("content_policy", [])]
        self.choices = backend_choices(backends, used)
        self.names = [name for name, _ in self.choices]
        for place, name in enumerate(self.names):
            self._add_chain(f"failure_{place}", name, self.failure.get(name, []))
        for kind in ("context_window", "content_policy"):
            self._add_chain(kind, kind.replace("_", " "), self.stored.get(kind, []))

    def _add_chain(self, key: str, label: str, chain: list[str]) -> None:
        for place in range(MAX_HOPS):
            self.fields[f"{key}_{place}"] = forms.ChoiceField(
                label=f"{label}: choice {place + 1}",
                required=False,
                choices=[("", "–"), *self.choices],  # noqa: RUF001
                initial=chain[place] if place < len(chain) else "",
            )

    def _fields_of(self, key: str) -> list[forms.BoundField]:
        return [self[f"{key}_{place}"] for place in range(MAX_HOPS)]

    @property
    def failure_rows(self) -> list[tuple[str, list[forms.BoundField]]]:
        return [(name, self._fields_of(f"failure_{p}")) for p, name in enumerate(self.names)]

    @property
    def other_rows(self) -> list[tuple[str, str, list[forms.BoundField]]]:
        return [
            (
                "Prompt too long",
                "after a backend says that the request exceeds its context window",
                self._fields_of("context_window"),
            ),
            (
                "Content refused",
                "after a backend refuses by its own content policy; empty: nobody else is asked",
                self._fields_of("content_policy"),
            ),
        ]

    def _chain(self, key: str) -> list[str]:
        values = (self.cleaned_data.get(f"{key}_{place}") for place in range(MAX_HOPS))
        return [value for value in values if value]

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        keys = [f"failure_{place}" for place in range(len(self.names))]
        for key in (*keys, "context_window", "content_policy"):
            chain = self._chain(key)
            if len(set(chain)) != len(chain):
                self.add_error(f"{key}_0", "A chain lists each backend once.")
        for place, name in enumerate(self.names):
            if name in self._chain(f"failure_{place}"):
                self.add_error(f"failure_{place}_0", "A backend is no fallback of itself.")
        return cleaned

    def built(self) -> Document:
        made = dict(self.stored)
        failure: dict[str, list[str]] = {}
        for place, name in enumerate(self.names):
            chain = self._chain(f"failure_{place}")
            if chain or name in self.failure:
                failure[name] = chain
        if failure or "failure" in made:
            made["failure"] = failure
        for kind in ("context_window", "content_policy"):
            chain = self._chain(kind)
            if chain or kind in made:
                made[kind] = chain
        return with_section(self.document, "fallbacks", made)
