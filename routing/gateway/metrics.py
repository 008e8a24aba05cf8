"""Prometheus metrics with closed label sets: no prompt, session, score or request id is a label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from routing.gateway.exchange import Exchange
    from routing.gateway.planning import Plan
    from routing.gateway.recorder import Recorder
    from routing.gateway.replica import Replica

_OVERHEAD_BUCKETS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)
_TOTAL_BUCKETS = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._series: dict[tuple[str | None, ...], tuple[Counter, Histogram, Histogram]] = {}
        self._decisions = Counter(
            "signalbox_decisions",
            "Decisions by how they ended.",
            ("route", "rule", "tier", "cause", "backend", "outcome"),
            registry=self.registry,
        )
        self._refused = Counter(
            "signalbox_refused_requests",
            "Requests refused before a decision, by error code.",
            ("code",),
            registry=self.registry,
        )
        self._overhead = Histogram(
            "signalbox_overhead_seconds",
            "Time that the router itself added.",
            ("route",),
            buckets=_OVERHEAD_BUCKETS,
            registry=self.registry,
        )
        self._total = Histogram(
            "signalbox_request_seconds",
            "Whole time of a request.",
            ("route",),
            buckets=_TOTAL_BUCKETS,
            registry=self.registry,
        )
        self._in_flight = Gauge(
            "signalbox_in_flight", "Requests in flight.", registry=self.registry
        )
        self._queue = Gauge(
            "signalbox_record_queue", "Events not yet durable.", registry=self.registry
        )
        self._written = Gauge(
            "signalbox_recorded_events", "Events made durable.", registry=self.registry
        )
        self._batches = Gauge(
            "signalbox_record_batches", "Commits of the recorder.", registry=self.registry
        )
        self._can_record = Gauge(
            "signalbox_can_record",
            "1 while decisions can be recorded; at 0 requests get 503 audit_unavailable.",
            registry=self.registry,
        )
        self._revision = Gauge(
            "signalbox_snapshot_revision", "Revision this replica runs.", registry=self.registry
        )
        self._age = Gauge(
            "signalbox_snapshot_age_seconds",
            "Since the database last confirmed the snapshot.",
            registry=self.registry,
        )
        self._max_age = Gauge(
            "signalbox_snapshot_max_age_seconds",
            "The age at which this replica stops deciding.",
            registry=self.registry,
        )
        self._refuses = Gauge(
            "signalbox_snapshot_refused",
            "1 while a newer snapshot is not valid and the previous one serves.",
            registry=self.registry,
        )

    def served(self, plan: Plan, outcome: str, x: Exchange) -> None:
        decision, route = plan.decision, plan.route.slug
        self._decisions.labels(
            route,
            decision.rule,
            decision.tier or "",
            decision.cause,
            decision.backend or "",
            outcome,
        ).inc()
        self._overhead.labels(route).observe(x.overhead_us() / 1_000_000)
        self._total.labels(route).observe(x.elapsed_s())

    def refused(self, code: str) -> None:
        self._refused.labels(code).inc()

    def text(self, *, recorder: Recorder, replica: Replica, in_flight: int) -> bytes:
        self._in_flight.set(in_flight)
        self._queue.set(recorder.depth)
        self._written.set(recorder.written)
        self._batches.set(recorder.batches)
        self._can_record.set(recorder.can_record)
        self._revision.set(replica.snapshot.revision if replica.snapshot else -1)
        self._age.set(replica.age_s())
        self._max_age.set(replica.max_age_s)
        self._refuses.set(replica.refusal is not None)
        return generate_latest(self.registry)
