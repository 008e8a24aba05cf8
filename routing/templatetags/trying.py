"""What the pages of a version show of trying it out: saved examples and the last backtest."""

from __future__ import annotations

from typing import Any

from django import template

from routing.models import PolicyVersion, Route, SavedExample
from routing.queries import backtests

register = template.Library()


@register.simple_tag
def saved_examples(route: Route) -> list[SavedExample]:
    return list(route.examples.select_related("author"))


@register.inclusion_tag("routing/backtest_card.html")
def last_backtest(version: PolicyVersion) -> dict[str, Any]:
    """The newest result of this version, for its author and its approver alike."""
    found = backtests.latest(version)
    return {
        "version": version,
        "backtest": found,
        "page": backtests.run_page(found) if found else None,
    }
