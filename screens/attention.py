"""What needs a person now: each room says it for itself, the overview only asks.

A provider is a callable of the user that returns Needs, the empty list for none. It runs whenever
the overview is drawn, so it must be one or two cheap queries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from screens.access import may


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """One sentence, how serious it is (bad, warn or accent), and where to go."""

    sentence: str
    url: str
    act: str
    tone: str = "warn"


Provider = Callable[[Any], list[Need]]

_providers: dict[Provider, str] = {}


def provide(permission: str) -> Callable[[Provider], Provider]:
    """Register a provider for people who have `permission`; twice is the same as once."""

    def register(provider: Provider) -> Provider:
        _providers[provider] = permission
        return provider

    return register


def needs_of(user: Any) -> list[Need]:
    """Everything this person should look at, the most serious first."""
    found: list[Need] = []
    for provider, permission in _providers.items():
        if may(user, permission):
            found += provider(user)
    order = {"bad": 0, "warn": 1}
    return sorted(found, key=lambda need: order.get(need.tone, 2))
