"""Scores a request behind a breaker of its own: a classifier that fails is left alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from time import monotonic

from routing.engine import classifier
from routing.engine.classifier import Classifier, Scored
from routing.engine.signals import RequestText
from routing.engine.types import SignalValue
from routing.gateway.breaker import Breaker

log = logging.getLogger(__name__)

# Some hundred times what it takes: only a broken artefact or a stopped machine is so slow.
TOO_SLOW_S = 0.25

Score = Callable[[Classifier, RequestText, Mapping[str, SignalValue]], Scored | None]


class Scoring:
    def __init__(self, score: Score = classifier.score) -> None:
        self._score = score
        self.failures = 0
        self._breakers: dict[str, Breaker] = {}

    def breaker(self, label: str) -> Breaker:
        found = self._breakers.get(label)
        if found is None:
            found = self._breakers[label] = Breaker()
        return found

    def score(
        self, scorer: Classifier, text: RequestText, measured: Mapping[str, SignalValue]
    ) -> tuple[Scored | None, bool]:
        """Return (the score or None where there is nothing to score, whether the scorer failed)."""
        breaker, started = self.breaker(scorer.label), monotonic()
        if not breaker.enter(started):
            return None, True
        try:
            scored = self._score(scorer, text, measured)
        except Exception:
            # Whatever an artefact trips over: the policy says how to decide without a score.
            log.exception("The classifier %s failed.", scorer.label)
            self.failures += 1
            breaker.failed(monotonic(), is_connect_error=True)
            return None, True
        now = monotonic()
        if now - started > TOO_SLOW_S:
            self.failures += 1
            breaker.failed(now, is_connect_error=False)
        else:
            breaker.succeeded(now)
        return scored, False
