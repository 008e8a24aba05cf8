"""Traces of requests for whoever collects them; off unless OTEL_EXPORTER_OTLP_ENDPOINT is set.

A request only notes times and ids; a thread makes spans of them and sends them in batches. The
queue is bounded: what does not fit is dropped and counted, and never waited for.
"""

from __future__ import annotations

import logging
import os
import re
import secrets
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import time_ns
from typing import TYPE_CHECKING, Any

from routing.gateway import span_names as names

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.sdk.trace.export import SpanExporter

    from routing.gateway.attempts import Attempt
    from routing.gateway.exchange import Exchange

log = logging.getLogger(__name__)

CAPACITY = 2048
BATCH = 256
EVERY_S = 2.0
_PARENT = re.compile(rb"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})\Z")
_NOTHING = re.compile(r"0+\Z")


@dataclass(frozen=True, slots=True)
class Trace:
    """The ids of one request: of its trace, its own span, and the caller's span if there is one."""

    trace_id: str
    span_id: str
    parent_id: str
    is_sampled: bool

    def header(self, span_id: str) -> bytes:
        """`traceparent` for a call that the span makes."""
        return f"00-{self.trace_id}-{span_id}-{'01' if self.is_sampled else '00'}".encode()


def new_span_id() -> str:
    return secrets.token_hex(8)


def trace_of(given: bytes | None, *, share: float) -> Trace:
    """Go on with the caller's trace, or begin one; a share of those that begin here is kept."""
    found = _PARENT.match(given or b"")
    if found:
        trace_id, parent_id = found[1].decode(), found[2].decode()
        if not _NOTHING.match(trace_id) and not _NOTHING.match(parent_id):
            return Trace(trace_id, new_span_id(), parent_id, bool(int(found[3], 16) & 1))
    is_kept = share >= 1 or secrets.randbelow(1_000_000) < share * 1_000_000
    return Trace(secrets.token_hex(16), new_span_id(), "", is_kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """One span as a request leaves it: plain values, times in seconds of the monotonic clock."""

    name: str
    span_id: str
    parent_id: str
    began: float
    ended: float
    attributes: Mapping[str, str | int | float]
    kind: str = "internal"
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NotedTrace:
    trace_id: str
    # The wall clock's nanoseconds at zero of the monotonic one.
    zero_ns: int
    spans: Sequence[Noted]


class Tracing:
    def __init__(
        self, exporter: SpanExporter, *, share: float = 1.0, capacity: int = CAPACITY
    ) -> None:
        from opentelemetry.sdk.resources import Resource

        self._exporter = exporter
        self._share = share
        self._capacity = capacity
        self._queue: deque[NotedTrace] = deque()
        self._wake = threading.Event()
        self._is_stopping = False
        self._exported = self._dropped = self._failed = 0
        self._resource = Resource.create({"service.name": "signalbox"})
        self._thread = threading.Thread(target=self._run, name="traces", daemon=True)

    @classmethod
    def from_environment(cls) -> Tracing | None:
        """None where no endpoint is named; then not even the library is loaded."""
        if not (
            os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
            or os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
        ):
            return None
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        share = float(os.environ.get("OTEL_TRACES_SAMPLER_ARG") or 1.0)
        return cls(OTLPSpanExporter(), share=min(1.0, max(0.0, share)))

    def start(self) -> None:
        self._thread.start()

    def stop(self, timeout_s: float = 5.0) -> None:
        """Send what is noted, as far as that takes no longer than this."""
        self._is_stopping = True
        self._wake.set()
        self._thread.join(timeout_s)

    def counts(self) -> dict[str, int]:
        """Spans that were sent, that did not fit, and whose sending failed."""
        return {"exported": self._exported, "dropped": self._dropped, "failed": self._failed}

    def begin(self, x: Exchange) -> None:
        x.trace = trace_of(x.headers.get(b"traceparent"), share=self._share)

    def finish(self, x: Exchange) -> None:
        """Note the spans of a request that has ended; never waits."""
        if x.trace is None or not x.trace.is_sampled:
            return
        spans = spans_of(x)
        if len(self._queue) >= self._capacity:
            self._dropped += len(spans)
            return
        now = x.elapsed_s() + x.started
        zero_ns = time_ns() - round(now * 1e9)
        self._queue.append(NotedTrace(trace_id=x.trace.trace_id, zero_ns=zero_ns, spans=spans))
        if len(self._queue) >= BATCH:
            self._wake.set()

    # in the thread

    def _run(self) -> None:
        while True:
            self._wake.wait(EVERY_S)
            self._wake.clear()
            while self._queue:
                noted = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
                self._send([span for one in noted for span in self._made(one)])
            if self._is_stopping:
                self._exporter.shutdown()
                return

    def _send(self, spans: Sequence[ReadableSpan]) -> None:
        from opentelemetry.sdk.trace.export import SpanExportResult

        try:
            is_sent = self._exporter.export(spans) is SpanExportResult.SUCCESS
        except Exception:
            log.exception("Traces could not be sent.")
            is_sent = False
        if is_sent:
            self._exported += len(spans)
        else:
            self._failed += len(spans)

    def _made(self, noted: NotedTrace) -> list[ReadableSpan]:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

        kinds = {kind.name.lower(): kind for kind in SpanKind}
        scope = InstrumentationScope("signalbox", schema_url=names.SCHEMA_URL)

        def context(span_id: str, *, is_remote: bool) -> SpanContext:
            return SpanContext(
                int(noted.trace_id, 16), int(span_id, 16), is_remote, TraceFlags(TraceFlags.SAMPLED)
            )

        return [
            ReadableSpan(
                name=span.name,
                context=context(span.span_id, is_remote=False),
                parent=context(span.parent_id, is_remote=place == 0) if span.parent_id else None,
                resource=self._resource,
                attributes=dict(span.attributes),
                kind=kinds[span.kind],
                status=Status(StatusCode.ERROR) if span.error else Status(),
                start_time=noted.zero_ns + round(span.began * 1e9),
                end_time=noted.zero_ns + round(span.ended * 1e9),
                instrumentation_scope=scope,
            )
            for place, span in enumerate(noted.spans)
        ]


def spans_of(x: Exchange) -> list[Noted]:
    """The request, its classification, decision and record, and every attempt: the parent first."""
    trace = x.trace
    if trace is None:
        return []
    ended = x.started + x.elapsed_s()
    spans = [_request(x, trace, ended)]

    def inside(name: str, began: float, until: float) -> None:
        spans.append(
            Noted(
                name=name,
                span_id=new_span_id(),
                parent_id=trace.span_id,
                began=began,
                ended=max(began, until),
                attributes={},
            )
        )

    if x.measured_at:
        inside(names.CLASSIFY, x.parsed_at, x.measured_at)
    if x.decided_at:
        inside(names.DECIDE, x.measured_at, x.decided_at)
    if x.carrier is not None:
        made = x.carrier.made
        inside(names.RECORD, made.put_at, made.durable_at or ended)
        spans += [_attempt(attempt, trace, x, ended) for attempt in x.carrier.attempts]
    return spans


def _request(x: Exchange, trace: Trace, ended: float) -> Noted:
    operation = names.OPERATIONS.get(x.path, "chat")
    said: dict[str, Any] = {
        names.METHOD: x.method,
        names.PATH: x.path,
        names.STATUS: x.status,
        names.OPERATION: operation,
        names.PROVIDER: names.OURSELVES,
        names.REQUEST_ID: x.request_id,
        names.DECISION_ID: x.decision_id or "",
        names.OUTCOME: x.outcome,
        names.ERROR_TYPE: x.error_code,
    }
    model = ""
    if x.carrier is not None:
        plan, attempts = x.carrier.plan, x.carrier.attempts
        decision, model = plan.decision, plan.route.slug
        said |= {
            names.REQUEST_MODEL: model,
            names.ROUTE: model,
            names.POLICY: plan.route.policy_label,
            names.RULE: decision.rule,
            names.CAUSE: x.carrier.cause,
            names.DATA_CLASS: decision.data_class,
            names.TIER: decision.tier or "",
        }
        if attempts:
            said |= _used(attempts[-1]) | {
                names.BACKEND: attempts[-1].backend.name,
                names.TIER: attempts[-1].backend.tier,
                names.RESPONSE_MODEL: attempts[-1].backend.upstream_model,
            }
    return Noted(
        name=f"{operation} {model}".strip(),
        span_id=trace.span_id,
        parent_id=trace.parent_id,
        began=x.started,
        ended=ended,
        attributes={name: value for name, value in said.items() if value not in ("", 0)},
        kind="server",
        error=x.error_code if x.status >= 500 else "",
    )


def _used(attempt: Attempt) -> dict[str, int]:
    if attempt.usage is None:
        return {}
    return {
        names.INPUT_TOKENS: attempt.usage.input_tokens,
        names.OUTPUT_TOKENS: attempt.usage.output_tokens,
    }


def _attempt(attempt: Attempt, trace: Trace, x: Exchange, ended: float) -> Noted:
    backend = attempt.backend
    operation = names.OPERATIONS.get(x.path, "chat")
    said: dict[str, Any] = {
        names.OPERATION: operation,
        names.PROVIDER: names.BACKENDS,
        names.REQUEST_MODEL: backend.upstream_model,
        names.BACKEND: backend.name,
        names.TIER: backend.tier,
        names.BOUNDARY: backend.boundary,
        names.ATTEMPT_NUMBER: attempt.number,
        names.ATTEMPT_KIND: attempt.kind,
        names.STATUS: attempt.status or 0,
        names.ERROR_TYPE: attempt.problem or "",
        **_used(attempt),
    }
    return Noted(
        name=f"{operation} {backend.upstream_model}",
        span_id=attempt.span_id or new_span_id(),
        parent_id=trace.span_id,
        began=attempt.started,
        ended=attempt.started + attempt.total_s if attempt.total_s else ended,
        attributes={name: value for name, value in said.items() if value not in ("", 0)},
        kind="client",
        error=attempt.problem or "",
    )
