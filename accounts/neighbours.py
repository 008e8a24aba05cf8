"""What higher rooms tell accounts, which may not import them: route names, use of a key, budget."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

RouteSlugs = Callable[[], Sequence[str]]
LastUsed = Callable[[Sequence[str]], Mapping[str, datetime]]
# What the card of a budget shows; accounts only hands it to the template.
StandingOf = Callable[[str], object | None]


@dataclass(slots=True)
class _Told:
    route_slugs: RouteSlugs = tuple
    last_used: LastUsed = lambda public_ids: {}
    standing_of: StandingOf = lambda public_id: None


_told = _Told()


def tell(*, route_slugs: RouteSlugs, last_used: LastUsed, standing_of: StandingOf) -> None:
    """Called by the wiring. `last_used` maps public ids of keys to their newest decision."""
    _told.route_slugs = route_slugs
    _told.last_used = last_used
    _told.standing_of = standing_of


def route_slugs() -> Sequence[str]:
    return _told.route_slugs()


def last_used(public_ids: Sequence[str]) -> Mapping[str, datetime]:
    return _told.last_used(public_ids)


def standing_of(public_id: str) -> object | None:
    return _told.standing_of(public_id)
