"""The form that starts a training, and the one that tries a prompt."""

from __future__ import annotations

from typing import Any

from django import forms

from routing.models.classifiers import NAME
from routing.services.classifiers import MOST_BYTES


class TrainingForm(forms.Form):
    name = forms.CharField(
        label="Name",
        max_length=60,
        validators=[NAME],
        help_text="Lower-case letters, digits and hyphens. A name that exists gets a new version.",
    )
    file = forms.FileField(
        label="Eval set",
        help_text="One JSON object a line: id, group, prompt, small_model, large_model, "
        "small_score and large_score from 0 to 1. It is deleted when the training ends.",
    )
    ngrams = forms.ChoiceField(
        label="What it may weigh",
        widget=forms.RadioSelect,
        initial="never",
        choices=(
            ("never", "47 named features: every weight can be read and discussed"),
            ("if_better", "features, and up to 1,000 word n-grams where they prove better"),
        ),
    )
    seed = forms.IntegerField(
        label="Seed", initial=0, min_value=0, max_value=2**31, help_text="The same gives the same."
    )

    def clean_file(self) -> Any:
        sent = self.cleaned_data["file"]
        if sent.size > MOST_BYTES:
            raise forms.ValidationError(f"The file has more than {MOST_BYTES // 2**20} MiB.")
        return sent

    def asked(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        return {
            "name": cleaned["name"],
            "evalset": cleaned["file"].read(),
            "ngrams": cleaned["ngrams"],
            "seed": cleaned["seed"],
        }


class TryForm(forms.Form):
    prompt = forms.CharField(
        label="Prompt",
        max_length=8_000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="It is scored here and now, and not stored.",
    )
