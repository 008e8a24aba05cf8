"""Keeps each hold rule to its share of a route's traffic, over this process's last requests."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from decimal import Decimal

WINDOW = 1000


class HoldCaps:
    def __init__(self, window: int = WINDOW) -> None:
        self._window = window
        self._recent: dict[str, deque[str]] = {}
        self._held: dict[str, Counter[str]] = {}

    def note(self, route: str, held_by: str | None) -> None:
        """Count one decided request; ``held_by`` names the rule that held it, if one did."""
        recent = self._recent.setdefault(route, deque())
        held = self._held.setdefault(route, Counter())
        recent.append(held_by or "")
        if held_by:
            held[held_by] += 1
        if len(recent) > self._window and (gone := recent.popleft()):
            held[gone] -= 1

    def used_up(self, route: str, caps: Mapping[str, Decimal]) -> frozenset[str]:
        """The rules that may not hold one more request now. A first hold is always permitted."""
        held = self._held.get(route)
        if not caps or not held:
            return frozenset()
        total = len(self._recent[route]) + 1
        return frozenset(
            rule
            for rule, cap_pct in caps.items()
            if held[rule] and (held[rule] + 1) * 100 > cap_pct * total
        )
