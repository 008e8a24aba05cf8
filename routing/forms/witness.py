"""A request given by its signals instead of a prompt: what the analysis shows as a witness."""

from __future__ import annotations

import json
from typing import Any

from django import forms

from routing.engine.registry import Registry
from routing.services.witness import read_signals


class WitnessForm(forms.Form):
    """`registry` is that of the version: only signals that it knows can be given."""

    signals = forms.CharField(
        label="Signals",
        max_length=4_000,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false", "class": "mono"}),
        help_text="One JSON object of signal names and values. What is left out is absent.",
    )
    failed = forms.BooleanField(label="The classifier failed", required=False)

    def __init__(self, *args: Any, registry: Registry, **more: Any) -> None:
        super().__init__(*args, **more)
        self._registry = registry

    def clean_signals(self) -> dict[str, Any]:
        try:
            given = json.loads(self.cleaned_data["signals"])
        except ValueError:
            raise forms.ValidationError("This is not JSON.") from None
        if not isinstance(given, dict):
            raise forms.ValidationError("Write one JSON object: names and values in braces.")
        admitted = read_signals(given, self._registry)
        if left := [name for name in given if name not in admitted]:
            raise forms.ValidationError(
                f"{left[0][:80]} is no signal of this version, or does not take this value."
            )
        return dict(admitted)
