"""One breaker per backend and process: opens on failures, lets one probe through, closes again.

It counts what the backend did, never what the caller did wrong. Time is given, so it is testable.
"""

from __future__ import annotations

import random
from collections import deque

_WINDOW_S = 30.0
_MINIMUM_CALLS = 20
_FAILURE_SHARE = 0.5
_CONNECT_ERRORS_IN_A_ROW = 5
_FIRST_OPEN_S = 15.0
_LONGEST_OPEN_S = 300.0


class Breaker:
    def __init__(self) -> None:
        self._calls: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._connect_errors = 0
        self._open_until = 0.0
        self._open_for = _FIRST_OPEN_S
        self._is_probing = False

    def is_open(self, now: float) -> bool:
        """True while calls are refused. After the cooldown one caller at a time may probe."""
        if self._open_until == 0.0:
            return False
        return now < self._open_until or self._is_probing

    def state(self, now: float) -> str:
        if self._open_until == 0.0:
            return "closed"
        return "open" if now < self._open_until else "half_open"

    def started(self, now: float) -> None:
        if self._open_until and now >= self._open_until:
            self._is_probing = True

    def succeeded(self, now: float) -> None:
        self._connect_errors = 0
        if self._open_until:
            self._close()
        self._note(now, failed=False)

    def failed(self, now: float, *, is_connect_error: bool) -> None:
        self._connect_errors = self._connect_errors + 1 if is_connect_error else 0
        self._note(now, failed=True)
        if self._open_until:
            # A late failure extends the cooldown; a failed probe doubles it.
            if self._is_probing:
                self._open_for = min(self._open_for * 2, _LONGEST_OPEN_S)
            self._open(now)
        elif self._connect_errors >= _CONNECT_ERRORS_IN_A_ROW or (
            len(self._calls) >= _MINIMUM_CALLS
            and self._failures >= _FAILURE_SHARE * len(self._calls)
        ):
            self._open(now)

    def abandoned(self) -> None:
        """A probe ended without a verdict (the client left): let another caller try."""
        self._is_probing = False

    def _open(self, now: float) -> None:
        self._is_probing = False
        jitter = 1 + random.random() * 0.2  # noqa: S311  (spreads probes, protects nothing)
        self._open_until = max(self._open_until, now + self._open_for * jitter)

    def _close(self) -> None:
        self._is_probing = False
        self._open_until = 0.0
        self._open_for = _FIRST_OPEN_S
        self._calls.clear()
        self._failures = 0

    def _note(self, now: float, *, failed: bool) -> None:
        self._calls.append((now, failed))
        self._failures += failed
        while self._calls and self._calls[0][0] < now - _WINDOW_S:
            self._failures -= self._calls.popleft()[1]
