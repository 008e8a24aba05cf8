"""The form of a budget. It checks the shape; routing.services.budgets checks the sense."""

from __future__ import annotations

from typing import Any

from django import forms

from routing.models import Budget
from routing.models.budgets import LIMITS

_WORDS = {
    "requests_per_minute": "Requests a minute",
    "tokens_per_minute": "Tokens a minute",
    "requests_day": "Requests a day",
    "requests_month": "Requests a month",
    "tokens_day": "Tokens a day",
    "tokens_month": "Tokens a month",
    "usd_day": "Dollars a day",
    "usd_month": "Dollars a month",
}


class BudgetForm(forms.Form):
    """One field for each limit; an empty one is no limit."""

    def __init__(self, *args: Any, scope: str, budget: Budget | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name in LIMITS:
            if scope == Budget.Scope.KEY and name == "requests_per_minute":
                # A key has this limit among its rights.
                continue
            self.fields[name] = self._field(name, getattr(budget, name, None))
        self.fields["reason"] = forms.CharField(
            label="Reason, kept in the audit trail",
            max_length=500,
            widget=forms.Textarea(attrs={"rows": 2}),
        )

    @staticmethod
    def _field(name: str, value: Any) -> forms.Field:
        if name.startswith("usd"):
            shown = None if value is None else format(value.normalize(), "f")
            return forms.DecimalField(
                label=_WORDS[name],
                required=False,
                min_value=0,
                max_digits=14,
                decimal_places=4,
                initial=shown,
            )
        return forms.IntegerField(
            label=_WORDS[name],
            required=False,
            min_value=1 if name.endswith("minute") else 0,
            initial=value,
        )

    def limits(self) -> dict[str, Any]:
        return {name: value for name, value in self.cleaned_data.items() if name in LIMITS}
