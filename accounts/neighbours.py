"""What higher rooms tell accounts, which may not import them: route names, and use of a key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

RouteSlugs = Callable[[], Sequence[str]]
LastUsed = Callable[[Sequence[str]], Mapping[str, datetime]]


@dataclass(slots=True)
class _Told:
    route_slugs: RouteSlugs = tuple
    last_used: LastUsed = lambda public_ids: {}


_told = _Told()


def tell(*, route_slugs: RouteSlugs, last_used: LastUsed) -> None:
    """Called by the wiring. `last_used` maps public ids of keys to their newest decision."""
    _told.route_slugs = route_slugs
    _told.last_used = last_used


def route_slugs() -> Sequence[str]:
    return _told.route_slugs()


def last_used(public_ids: Sequence[str]) -> Mapping[str, datetime]:
    return _told.last_used(public_ids)
