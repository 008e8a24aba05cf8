"""What operators' tools read: metrics that add up over workers, traces of one request, one id."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes

from routing.gateway import scrape, span_names
from routing.gateway.metrics import Metrics
from routing.gateway.tracing import Tracing, trace_of
from tests.faults.upstream import Upstream, answer, completion
from tests.routing.gateway.conftest import START

PAGE = Path("docs/observability.md").read_text()
CALLER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Kept(SpanExporter):
    def __init__(self) -> None:
        self.spans: list[ReadableSpan] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.spans += spans
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None:
        pass


def value(text: str, name: str, **labels: str) -> float:
    """The sum of the samples whose labels are among those asked for."""
    found = 0.0
    for line in text.splitlines():
        match = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
        if match:
            have = dict(re.findall(r'(\w+)="([^"]*)"', match[1] or ""))
            if labels.items() <= have.items():
                found += float(match[2])
    return found


# metrics


async def test_decision_attempts_tokens_and_cost_are_counted(start: START) -> None:
    live = await start(small=Upstream(answer(b"{}", status=500)), large=Upstream())
    await live.ask()
    text = (await live.client.get("/metrics")).text

    assert value(text, "signalbox_decisions_total", route="support", outcome="served") == 1
    assert value(text, "signalbox_decisions_total", backend="large", tier="llm") == 1
    assert value(text, "signalbox_attempts_total", backend="small", result="status") == 1
    assert value(text, "signalbox_attempts_total", kind="fallback", result="ok") == 1
    assert value(text, "signalbox_tokens_total", backend="large", direction="input") == 9
    assert value(text, "signalbox_cost_usd_total", backend="large") == pytest.approx(13e-6)
    assert value(text, "signalbox_classification_seconds_count", route="support") == 1
    assert value(text, "signalbox_overhead_seconds_count", route="support") == 1
    assert value(text, "signalbox_recorded_events_total") == 2
    assert value(text, "signalbox_breaker_state", backend="small", state="closed") == 1
    overhead = value(text, "signalbox_overhead_seconds_sum")
    assert 0 < value(text, "signalbox_classification_seconds_sum") < overhead


async def test_no_label_comes_from_what_a_caller_wrote(start: START) -> None:
    live = await start(small=Upstream(), large=Upstream())
    await live.say("canary-3311", session="canary-3312", metadata={"canary-3313": "x"})
    await live.client.post("/v1/chat/completions", json={"model": "canary-3314", "messages": []})
    assert "canary" not in (await live.client.get("/metrics")).text


def test_every_metric_is_documented_with_its_labels() -> None:
    told = {
        name: {label.strip() for label in labels.split(",") if label.strip()}
        for name, labels in re.findall(r"^\| `(signalbox_\w+)` \|([^|]*)\|", PAGE, re.M)
    }
    known = {}
    for one in Metrics().registry._collector_to_names:
        suffix = "_total" if one._type == "counter" else ""
        own = {"worker"} if one._type == "gauge" else set()
        known[one._name + suffix] = {*one._labelnames} | own
    assert told == known


def worker(folder: Path, name: str, requests: int) -> scrape.Scrape:
    metrics = Metrics()
    for _ in range(requests):
        metrics.refused("rate_limited")
        metrics.classified("support", 0.001)
    metrics._in_flight.set(requests)
    made = scrape.Scrape(folder, lambda: metrics.registry)
    made._name = name
    return made


async def test_any_worker_answers_for_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrape, "_is_alive", lambda name: name != "3-0")
    first, second, ended = (worker(tmp_path, f"{n}-0", n) for n in (1, 2, 3))
    for one in (first, second, ended):
        one._folder.mkdir(exist_ok=True)
        one._write(scrape.samples_of(one._read()))

    texts = [(await one.text()).decode() for one in (first, second)]

    for text in texts:
        assert value(text, "signalbox_refused_requests_total", code="rate_limited") == 6
        assert value(text, "signalbox_classification_seconds_count") == 6
        assert value(text, "signalbox_in_flight", worker="1-0") == 1
        assert value(text, "signalbox_in_flight", worker="2-0") == 2
        assert 'worker="3-0"' not in text


async def test_what_ended_workers_counted_stays_counted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrape, "_is_alive", lambda name: name == "9-0")
    for n in (1, 2):
        ended = worker(tmp_path, f"{n}-0", n)
        ended._write(scrape.samples_of(ended._read()))
    fresh = worker(tmp_path, "9-0", 4)
    for _ in range(3):
        fresh._fold_ended()

    text = (await fresh.text()).decode()

    assert value(text, "signalbox_refused_requests_total") == 7
    assert sorted(path.name for path in tmp_path.glob("*.json")) == ["ended.json"]


# traces


async def traced(start: START, **upstreams: Upstream) -> tuple[Any, Kept]:
    live = await start(**upstreams)
    kept = Kept()
    live.gateway.tracing = Tracing(kept)
    live.gateway.tracing.start()
    return live, kept


async def test_a_trace_goes_on_from_the_caller_to_each_backend(start: START) -> None:
    small, large = Upstream(answer(b"{}", status=500)), Upstream()
    live, kept = await traced(start, small=small, large=large)

    got = await live.ask(traceparent=CALLER)
    live.gateway.tracing.stop()

    request, classify, decide, record, first, second = kept.spans
    assert [s.name for s in (classify, decide, record)] == ["classify", "decide", "record"]
    assert (request.name, first.name, second.name) == ("chat support", "chat theirs", "chat theirs")
    assert {f"{s.context.trace_id:032x}" for s in kept.spans} == {CALLER[3:35]}
    assert f"{request.parent.span_id:016x}" == CALLER[36:52]
    assert all(s.parent.span_id == request.context.span_id for s in kept.spans[1:])
    for upstream, span in ((small, first), (large, second)):
        sent = f"00-{CALLER[3:35]}-{span.context.span_id:016x}-01"
        assert f"traceparent: {sent}\r\n" in upstream.heads[0]
        assert request.start_time <= span.start_time <= span.end_time <= request.end_time
    assert classify.end_time == decide.start_time
    assert request.attributes[span_names.OUTCOME] == "served"
    assert request.attributes[span_names.BACKEND] == "large"
    assert request.attributes[span_names.OUTPUT_TOKENS] == 2
    assert first.attributes[span_names.ERROR_TYPE] == "status"
    assert json.loads((await live.bytes_of(got))[0])["corr"]["trace_id"] == CALLER[3:35]


async def test_no_span_holds_a_word_of_prompt_or_answer(start: START) -> None:
    live, kept = await traced(
        start, small=Upstream(answer(completion("canary-answer"))), large=Upstream()
    )
    await live.say("canary-prompt", session="canary-session", user="canary-user")
    await live.ask(stream=True)
    live.gateway.tracing.stop()

    assert len(kept.spans) >= 10
    assert "canary" not in "".join(span.to_json() for span in kept.spans)


async def test_a_request_refused_before_its_decision_is_a_span_too(start: START) -> None:
    live, kept = await traced(start, small=Upstream(), large=Upstream())
    await live.client.post("/v1/chat/completions", json={"model": "nothing"})
    live.gateway.tracing.stop()
    (span,) = kept.spans
    assert span.attributes[span_names.STATUS] == 400
    assert span.attributes[span_names.ERROR_TYPE]


async def test_what_does_not_fit_is_dropped_and_counted(start: START) -> None:
    live = await start(small=Upstream(), large=Upstream())
    live.gateway.tracing = Tracing(Kept(), capacity=1)
    await live.ask()
    await live.ask()
    text = (await live.client.get("/metrics")).text
    assert value(text, "signalbox_spans_total", result="dropped") == 5
    live.gateway.tracing.start()


async def test_a_collector_that_fails_costs_no_request(start: START) -> None:
    class Broken(Kept):
        def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
            raise OSError("the collector is away")

    live = await start(small=Upstream(), large=Upstream())
    live.gateway.tracing = tracing = Tracing(Broken())
    tracing.start()
    assert (await live.ask()).status_code == 200
    tracing.stop()
    assert tracing.counts() == {"exported": 0, "dropped": 0, "failed": 5}


def test_traces_are_off_without_an_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    assert Tracing.from_environment() is None


@pytest.mark.parametrize(
    "given",
    [b"", b"nonsense", b"00-" + b"0" * 32 + b"-b7ad6b7169203331-01", CALLER.encode() + b"-x"],
)
def test_a_traceparent_that_is_none_begins_a_new_trace(given: bytes) -> None:
    trace = trace_of(given, share=1.0)
    assert trace.parent_id == ""
    assert trace.is_sampled


def test_callers_decide_whether_their_own_traces_are_kept() -> None:
    assert not trace_of(CALLER[:-2].encode() + b"00", share=1.0).is_sampled
    assert trace_of(CALLER.encode(), share=0.0).is_sampled
    assert not trace_of(None, share=0.0).is_sampled


def test_pinned_names_are_those_of_the_conventions() -> None:
    conventions = {v for v in vars(gen_ai_attributes).values() if isinstance(v, str)}
    ours = {v for v in vars(span_names).values() if isinstance(v, str) and v.startswith("gen_ai.")}
    assert ours - conventions == set()


def test_every_span_and_attribute_is_documented() -> None:
    names = [
        v
        for k, v in vars(span_names).items()
        if k.isupper() and isinstance(v, str) and k not in ("SCHEMA_URL", "OURSELVES", "BACKENDS")
    ]
    assert [name for name in names if f"`{name}`" not in PAGE] == []


# one id


async def test_lines_of_the_log_say_whose_request_they_are(
    start: START, caplog: pytest.LogCaptureFixture
) -> None:
    from screens.logs import JsonFormatter

    lines: list[str] = []

    class Keeping(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(JsonFormatter().format(record))

    handler = Keeping()
    logging.getLogger("routing.gateway").addHandler(handler)
    live = await start(small=Upstream(), large=Upstream())

    def broken(*_: Any, **__: Any) -> None:
        raise RuntimeError("on purpose")

    live.gateway.scribe.made = broken
    try:
        got = await live.ask(**{"x-request-id": "req_mine_0001"})
    finally:
        logging.getLogger("routing.gateway").removeHandler(handler)
    assert got.status_code == 500
    assert json.loads(lines[-1])["request_id"] == "req_mine_0001"
