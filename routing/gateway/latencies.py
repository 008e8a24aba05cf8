"""How long each backend's good answers took lately, in this process: for hops that may not fit."""

from __future__ import annotations

from collections import deque

_KEPT = 200
_FEWEST = 5
_STALE_AFTER = 16


class Latencies:
    def __init__(self) -> None:
        self._recent: dict[str, deque[float]] = {}
        # Sorted at most every so many answers: it is asked for at every hop.
        self._sorted: dict[str, tuple[int, list[float]]] = {}
        self._noted = 0

    def note(self, backend: str, seconds: float) -> None:
        recent = self._recent.get(backend)
        if recent is None:
            recent = self._recent[backend] = deque(maxlen=_KEPT)
        recent.append(seconds)
        self._noted += 1

    def quantile(self, backend: str, share: float) -> float | None:
        """Seconds within which ``share`` of the recent answers came; None while too few did."""
        recent = self._recent.get(backend, ())
        if len(recent) < _FEWEST:
            return None
        at, ordered = self._sorted.get(backend, (-_STALE_AFTER, []))
        if self._noted - at >= _STALE_AFTER:
            ordered = sorted(recent)
            self._sorted[backend] = (self._noted, ordered)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
