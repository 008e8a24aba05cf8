"""One breaker per backend and process: opens on failures, lets one probe through, closes again.

It counts what the backend did, never what the caller did wrong, and a call that began before the
breaker opened neither closes it nor doubles its wait. Time is given, so it is testable.
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
_SHED_S = 1.0
_LONGEST_SHED_S = 60.0
_RETRY_SHARE = 0.1
_MOST_RETRIES_SAVED = 10.0


class Breaker:
    def __init__(self) -> None:
        self._calls: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._connect_errors = 0
        self._open_until = 0.0
        self._open_for = _FIRST_OPEN_S
        self._is_probing = False
        self._probe_at = 0.0
        self._shed_until = 0.0

    def is_open(self, now: float) -> bool:
        """True while calls are refused. After the cooldown one caller at a time may probe."""
        if now < self._shed_until:
            return True
        if self._open_until == 0.0:
            return False
        return now < self._open_until or self._has_probe(now)

    def opens_in(self, now: float) -> float:
        """Seconds until another caller may try; 0 while it is not open."""
        if not self.is_open(now):
            return 0.0
        return max(self._open_until - now, self._shed_until - now, 1.0)

    def state(self, now: float) -> str:
        if self._open_until == 0.0:
            return "closed"
        return "open" if now < self._open_until else "half_open"

    def enter(self, now: float, *, is_retry: bool = False) -> bool:
        """Ask to call now; between the decision and here another one may have become the probe.

        A retry has waited as the backend asked, so shedding does not stop it.
        """
        if now < self._shed_until and not is_retry:
            return False
        if self._open_until == 0.0:
            return True
        if now < self._open_until or self._has_probe(now):
            return False
        self.started(now)
        return True

    def started(self, now: float) -> None:
        if self._open_until and now >= self._open_until:
            self._is_probing, self._probe_at = True, now

    def succeeded(self, now: float, *, started: float | None = None) -> None:
        self._connect_errors = 0
        if self._open_until and self._is_probes(started):
            self._close()
        self._note(now, failed=False)

    def failed(self, now: float, *, is_connect_error: bool, started: float | None = None) -> None:
        self._connect_errors = self._connect_errors + 1 if is_connect_error else 0
        self._note(now, failed=True)
        if self._open_until:
            # A late failure extends the cooldown; a failed probe doubles it.
            if self._is_probing and self._is_probes(started):
                self._open_for = min(self._open_for * 2, _LONGEST_OPEN_S)
                self._is_probing = False
            self._open(now)
        elif self._connect_errors >= _CONNECT_ERRORS_IN_A_ROW or (
            len(self._calls) >= _MINIMUM_CALLS
            and self._failures >= _FAILURE_SHARE * len(self._calls)
        ):
            self._open(now)

    def shed(self, now: float, retry_after_s: float | None) -> None:
        """The backend says that it is too busy: new requests go elsewhere for a moment."""
        wait = min(retry_after_s or _SHED_S, _LONGEST_SHED_S)
        self._shed_until = max(self._shed_until, now + wait)

    def abandoned(self, *, started: float | None = None) -> None:
        """A probe ended without a verdict (the client left): let another caller try."""
        if self._is_probes(started):
            self._is_probing = False

    def _has_probe(self, now: float) -> bool:
        # A probe that never reported back must not keep a backend out for good.
        return self._is_probing and now - self._probe_at < _LONGEST_OPEN_S

    def _is_probes(self, started: float | None) -> bool:
        return started is None or (self._is_probing and started >= self._probe_at)

    def _open(self, now: float) -> None:
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


class RetryBudget:
    """Keeps retries to a tenth of a backend's calls, with a few saved for a quiet beginning."""

    def __init__(self) -> None:
        self._saved = _MOST_RETRIES_SAVED

    @property
    def left(self) -> int:
        return int(self._saved)

    def called(self) -> None:
        self._saved = min(_MOST_RETRIES_SAVED, self._saved + _RETRY_SHARE)

    def take(self) -> bool:
        if self._saved < 1:
            return False
        self._saved -= 1
        return True
