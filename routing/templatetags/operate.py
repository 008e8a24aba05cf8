"""What the templates of the operate screens share: stopped traffic, outcomes, filters."""

from __future__ import annotations

from typing import Any

from django import template

from routing.queries.switches import engaged_switches

register = template.Library()


@register.inclusion_tag("routing/switch_banner.html", takes_context=True)
def stopped_traffic(context: Any) -> dict[str, Any]:
    """A banner on every operate page while a kill switch is engaged."""
    engaged = context.get("engaged_switches")
    if engaged is None:
        engaged = engaged_switches()
    return {"switches": engaged[:5], "may": context.get("may")}


@register.filter
def outcome_tone(outcome: str) -> str:
    """The tone of an outcome; one in progress is neutral, not a warning."""
    from screens.templatetags.signalbox import tone

    return {"open": "neutral", "aborted": "neutral", "outcome_unknown": "bad"}.get(
        outcome, tone(outcome)
    )


@register.filter
def ms(microseconds: Any) -> float | None:
    """Microseconds as milliseconds, for the filter duration_ms; what is not there stays nothing."""
    return microseconds / 1000 if isinstance(microseconds, int | float) else None


@register.simple_tag
def narrowed(filters: Any, name: str, value: object) -> str:
    """The query string of the list with one more filter: click a value to filter by it."""
    return str(filters.query(**{name: str(value)}))


@register.filter
def need_word(tone: str) -> str:
    """The word beside the colour of a need."""
    return {"bad": "now", "warn": "soon"}.get(tone, "to know")
