"""The form of one's own preferences."""

from __future__ import annotations

from django import forms

from screens.preferences import THEMES


class PreferencesForm(forms.Form):
    theme = forms.ChoiceField(
        label="Colours",
        choices=list(THEMES.items()),
        widget=forms.RadioSelect,
    )
    shortcuts_on = forms.BooleanField(
        label="Single-key shortcuts",
        required=False,
        help_text="Keys such as c for claim. Switch them off if you use speech input.",
    )
    live_paused = forms.BooleanField(
        label="Start with live updates paused",
        required=False,
        help_text="Lists then change only when you load them or press Resume.",
    )
