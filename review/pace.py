"""How long reading takes, when a person has read too little or too long. PURE: values in and out.

Figures of review fatigue and their sources are in docs/review.md. Seconds everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

# Verdicts that let a text out: only these have to wait for it to be read. Refusing and the safe
# default release nothing that a reader could have missed.
RELEASING = frozenset({"approve", "edit", "choose"})

LEAST_S, MOST_S, WORDS_A_SECOND, START_S = 3.0, 45.0, 8.0, 3.0
# A client that waits must not lose its answer to the clock that protects it.
MOST_OF_A_LIVE_HOLD = 1 / 3

# A case counts once, however often its button was pressed.
HASTY_CASES, HASTY_WITHIN_S = 3, 3600

REST_S, BREAK_DUE_S, BREAK_NEEDED_S = 600, 3600, 7200


def dwell_s(*, words: int, factor: float = 1.0, live_s: float | None = None) -> float:
    """How long a text of so many words must have been shown before an answer may go out.

    ``live_s`` is the whole time of a hold whose client waits on its connection.
    """
    wanted = min(MOST_S, max(LEAST_S, START_S + words / WORDS_A_SECOND)) * factor
    return wanted if live_s is None else min(wanted, live_s * MOST_OF_A_LIVE_HOLD)


def is_hasty(hasty_at: Iterable[float], *, now_s: float) -> bool:
    """Whether so many cases were to be released unread of late that claiming stops."""
    return sum(now_s - at <= HASTY_WITHIN_S for at in hasty_at) >= HASTY_CASES


class Stint(NamedTuple):
    """Work without a rest: when it began and its last act; both None after a rest."""

    since: float | None
    last: float | None

    def worked_s(self, now_s: float) -> float:
        return 0.0 if self.since is None else now_s - self.since

    def is_break_due(self, now_s: float) -> bool:
        return self.worked_s(now_s) >= BREAK_DUE_S

    def rest_until(self) -> float | None:
        """When work may go on, where so much was done that a rest must come first."""
        if self.since is None or self.last is None or self.last - self.since < BREAK_NEEDED_S:
            return None
        return self.last + REST_S


def stint_of(acts: Iterable[float], *, now_s: float) -> Stint:
    """The stint that still runs: acts with less than a rest between them, up to now."""
    since = last = None
    edge = now_s
    for at in sorted(acts, reverse=True):
        if edge - at >= REST_S:
            break
        since, last, edge = at, last if last is not None else at, at
    return Stint(since, last)
