"""Who wants to hear that the ledger grew: projections such as the list of decisions.

A follower is a callable without arguments that reads on from its own position, in one
transaction with what it writes, and returns how many entries it took. It is called by the
sequencer after its rounds; a failing one stops nobody else.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

log = logging.getLogger(__name__)

Follow = Callable[[], int]

_followers: list[Follow] = []


def register(follow: Follow) -> Follow:
    """Add a follower; registering it twice is the same as once."""
    if follow not in _followers:
        _followers.append(follow)
    return follow


def registered() -> tuple[Follow, ...]:
    return tuple(_followers)


def follow_all(*, rounds: int = 50) -> int:
    """Let every follower read until it has nothing left, at most ``rounds`` times each."""
    total = 0
    for follow in _followers:
        try:
            for _ in range(rounds):
                taken = follow()
                total += taken
                if not taken:
                    break
        except Exception:
            log.exception("The follower %s.%s failed.", follow.__module__, follow.__qualname__)
    return total
