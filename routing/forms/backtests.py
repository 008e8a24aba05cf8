"""Which decisions a backtest reads; each window says how many and how long first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms

SAMPLES = (("", "every decision"), ("1000", "about 1,000"), ("10000", "about 10,000"))


class BacktestForm(forms.Form):
    days = forms.ChoiceField(label="Window", widget=forms.RadioSelect)
    sample = forms.ChoiceField(
        label="How many of them",
        required=False,
        choices=SAMPLES,
        help_text="A sample is drawn evenly over the window and is the same each time.",
    )

    def __init__(self, *args: Any, windows: Mapping[int, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["days"].choices = [(str(days), words) for days, words in windows.items()]

    def asked(self) -> dict[str, Any]:
        """What the service takes."""
        sample = self.cleaned_data["sample"]
        return {"days": int(self.cleaned_data["days"]), "sample": int(sample) if sample else None}
