"""Prometheus metrics with closed label sets: no prompt, session, score or request id is a label.

Counting happens in this process's memory; ``scrape`` adds up what the workers of one address have.
docs/observability.md says what each of them means, and a test holds it to that.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

if TYPE_CHECKING:
    from routing.gateway.application import Gateway
    from routing.gateway.attempts import Attempt
    from routing.gateway.exchange import Exchange
    from routing.gateway.planning import Plan

_CLASSIFICATION_S = (0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.05, 0.25)
_OVERHEAD_S = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_TOTAL_S = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_BREAKER = ("closed", "half_open", "open")
# What a label says where there is nothing to say: an empty one would be no label.
NONE = "none"


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        # Finding a child by its labels costs more than counting with it, so found ones are kept.
        self._ended: dict[tuple[str, ...], tuple[Counter, Histogram, Histogram]] = {}
        self._tried: dict[tuple[str, ...], tuple[Counter, Histogram]] = {}
        self._used: dict[tuple[str, str], tuple[Counter, Counter, Counter]] = {}
        self._classified: dict[str, Histogram] = {}
        self._define_requests()
        self._define_attempts()
        self._define_recording()
        self._define_snapshot()

    def _define_requests(self) -> None:
        self._decisions = self._counter(
            "decisions",
            "Decisions by how they ended.",
            "route rule tier cause backend outcome",
        )
        self._refused = self._counter(
            "refused_requests", "Requests refused before a decision, by error code.", "code"
        )
        self._classification = self._histogram(
            "classification_seconds",
            "From the parsed request to its decision: signals, score, policy.",
            _CLASSIFICATION_S,
        )
        self._overhead = self._histogram(
            "overhead_seconds", "Time that the router itself added, recording too.", _OVERHEAD_S
        )
        self._total = self._histogram("request_seconds", "Whole time of a request.", _TOTAL_S)
        self._in_flight = self._gauge("in_flight", "Requests in flight.")
        self._held = self._gauge("held_requests", "Requests whose client waits for a person.")

    def _define_attempts(self) -> None:
        self._attempts = self._counter(
            "attempts", "Calls of backends by why and how they ended.", "backend kind result"
        )
        self._attempt_s = self._histogram(
            "attempt_seconds", "Whole time of one call of a backend.", _TOTAL_S, "backend"
        )
        self._tokens = self._counter(
            "tokens", "Tokens of all attempts, served or not.", "route backend direction"
        )
        self._cost = self._counter(
            "cost_usd", "Cost of all attempts in US dollars, served or not.", "route backend"
        )
        self._breaker = self._gauge(
            "breaker_state", "1 for the state that the backend's breaker is in.", "backend state"
        )
        self._retries_left = self._gauge(
            "retry_budget", "Retries that the backend's budget allows now.", "backend"
        )
        self._budget_left = self._gauge(
            "budget_left_percent", "Of the route's tightest budget, where it has one.", "route"
        )
        self._classifier_failures = self._counter(
            "classifier_failures", "Requests that the classifier failed to score."
        )

    def _define_recording(self) -> None:
        self._queue = self._gauge("record_queue", "Units not yet durable.")
        self._written = self._counter("recorded_events", "Events made durable.")
        self._batches = self._counter("record_batches", "Commits of the recorder.")
        self._record_failures = self._counter(
            "record_failures", "Commits that failed; their events were sent again."
        )
        self._can_record = self._gauge(
            "can_record", "1 while decisions can be recorded; at 0 requests get 503."
        )
        self._spans = self._counter("spans", "Spans of traces by what became of them.", "result")

    def _define_snapshot(self) -> None:
        self._revision = self._gauge("snapshot_revision", "Revision this replica runs.")
        self._age = self._gauge(
            "snapshot_age_seconds", "Since the database last confirmed the snapshot."
        )
        self._max_age = self._gauge(
            "snapshot_max_age_seconds", "The age at which this replica stops deciding."
        )
        self._refuses = self._gauge(
            "snapshot_refused",
            "1 while a newer snapshot is not valid and the previous one serves.",
        )
        self._snapshots_refused = self._counter(
            "snapshots_refused", "Snapshots that were not valid when they came."
        )

    def _counter(self, name: str, words: str, labels: str = "") -> Counter:
        return Counter(f"signalbox_{name}", words, labels.split(), registry=self.registry)

    def _gauge(self, name: str, words: str, labels: str = "") -> Gauge:
        return Gauge(f"signalbox_{name}", words, labels.split(), registry=self.registry)

    def _histogram(
        self, name: str, words: str, buckets: tuple[float, ...], labels: str = "route"
    ) -> Histogram:
        return Histogram(
            f"signalbox_{name}", words, labels.split(), buckets=buckets, registry=self.registry
        )

    # on the way of a request

    def classified(self, route: str, seconds: float) -> None:
        child = self._classified.get(route)
        if child is None:
            child = self._classified[route] = self._classification.labels(route)
        child.observe(seconds)

    def served(self, plan: Plan, outcome: str, x: Exchange) -> None:
        """Count a decided request at its end, whatever the end was."""
        x.outcome = outcome
        decision, route, carrier = plan.decision, plan.route.slug, x.carrier
        attempts = carrier.attempts if carrier else []
        backend = attempts[-1].backend if attempts else None
        key = (
            route,
            decision.rule,
            (backend.tier if backend else decision.tier) or NONE,
            carrier.cause if carrier else decision.cause,
            (backend.name if backend else decision.backend) or NONE,
            outcome,
        )
        found = self._ended.get(key)
        if found is None:
            found = self._ended[key] = (
                self._decisions.labels(*key),
                self._overhead.labels(route),
                self._total.labels(route),
            )
        ended, overhead, total = found
        ended.inc()
        overhead.observe(x.overhead_us() / 1_000_000)
        total.observe(x.elapsed_s())
        for attempt in attempts:
            self._tried_once(route, attempt)

    def _tried_once(self, route: str, attempt: Attempt) -> None:
        name = attempt.backend.name
        key = (name, attempt.kind, attempt.verdict or attempt.problem or "ok")
        found = self._tried.get(key)
        if found is None:
            found = self._tried[key] = self._attempts.labels(*key), self._attempt_s.labels(name)
        found[0].inc()
        found[1].observe(attempt.total_s)
        if attempt.usage is not None:
            used = self._used.get((route, name))
            if used is None:
                used = self._used[route, name] = (
                    self._tokens.labels(route, name, "input"),
                    self._tokens.labels(route, name, "output"),
                    self._cost.labels(route, name),
                )
            used[0].inc(attempt.usage.input_tokens)
            used[1].inc(attempt.usage.output_tokens)
            used[2].inc(float(attempt.cost_usd()))

    def refused(self, code: str) -> None:
        self._refused.labels(code).inc()

    # when somebody asks

    def read(self, gateway: Gateway) -> CollectorRegistry:
        """Take over what others keep themselves, and return everything of this process."""
        now = monotonic()
        recorder, replica = gateway.recorder, gateway.replica
        self._in_flight.set(gateway.in_flight)
        self._held.set(sum(len(waiting) for waiting in gateway.hold_events.values()))
        self._queue.set(recorder.depth)
        self._can_record.set(recorder.can_record)
        _raise_to(self._written, recorder.written)
        _raise_to(self._batches, recorder.batches)
        _raise_to(self._record_failures, recorder.failures)
        _raise_to(self._classifier_failures, replica.scoring.failures)
        _raise_to(self._snapshots_refused, replica.refused)
        snapshot = replica.snapshot
        self._revision.set(snapshot.revision if snapshot else -1)
        self._age.set(replica.age_s())
        self._max_age.set(replica.max_age_s)
        self._refuses.set(replica.refusal is not None)
        for name in snapshot.backends if snapshot else ():
            is_in = replica.breaker(name).state(now)
            for state in _BREAKER:
                self._breaker.labels(name, state).set(state == is_in)
            self._retries_left.labels(name).set(replica.retries(name).left)
        if snapshot is not None:
            for slug in snapshot.routes:
                if (left := replica.budgets.left_pct(snapshot, slug)) is not None:
                    self._budget_left.labels(slug).set(float(left))
        if gateway.tracing is not None:
            for result, number in gateway.tracing.counts().items():
                _raise_to(self._spans.labels(result), number)
        return self.registry


def _raise_to(counter: Counter, value: float) -> None:
    """A counter that somebody else keeps as a number of its own."""
    counter.inc(max(0.0, value - counter._value.get()))
