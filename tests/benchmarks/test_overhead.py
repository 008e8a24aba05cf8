"""The overhead benchmark's parts do what they say. No timing is asserted: that is not a test."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from benchmarks.overhead import bars, engine, report, upstream
from benchmarks.overhead.client import Count, loop, paired
from benchmarks.overhead.loads import Loads
from benchmarks.overhead.machine import Cores
from benchmarks.overhead.modes import summarise, summarise_pairs
from benchmarks.overhead.programs import HERE, Missing, compiled
from benchmarks.overhead.requests import Call
from benchmarks.overhead.upstream import Upstream

needs_compiler = pytest.mark.skipif(shutil.which("gcc") is None, reason="no C compiler here")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGNALBOX_BENCH_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def model(tmp_path: Path) -> Iterator[Upstream]:
    model = Upstream(folder=tmp_path, cores=Cores.choose())
    model.start()
    yield model
    model.stop()


def our_client(folder: Path) -> Loads:
    """Not Loads.find(), which installs what is missing."""
    return Loads(folder=folder, cores=Cores.choose(), client=[str(compiled("load"))])


def call(port: int) -> Call:
    return Call(port=port, path="/v1/chat/completions", model="fake-model")


@needs_compiler
def test_the_fake_model_answers_as_one_completion(model: Upstream) -> None:
    asked = call(model.ports["instant"])
    url = f"http://127.0.0.1:{asked.port}{asked.path}"
    answer = httpx.post(url, content=asked.body(stream=False)).json()
    assert answer["object"] == "chat.completion"
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert answer["usage"]["total_tokens"] == 162


@needs_compiler
@pytest.mark.parametrize("kind", ["instant", "paced"])
def test_the_fake_model_streams_35_events_and_an_end(model: Upstream, kind: str) -> None:
    asked = call(model.ports[kind])
    url = f"http://127.0.0.1:{asked.port}{asked.path}"
    events = httpx.post(url, content=asked.body(stream=True)).text.strip().split("\n\n")
    assert len(events) == 36
    assert events[-1] == "data: [DONE]"
    assert json.loads(events[-2][6:])["usage"]["completion_tokens"] == 32


@pytest.mark.parametrize(("stream", "parts"), [(False, 1), (True, 2)])
async def test_the_fake_model_is_there_without_a_compiler_too(stream: bool, parts: int) -> None:
    asked, sent = call(1), []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": asked.body(stream=stream)}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await upstream.application(0, 0)({"type": "http"}, receive, send)
    bodies = [m["body"] for m in sent if m["type"] == "http.response.body"]
    assert sent[0]["status"] == 200
    assert len(bodies) == parts
    assert (b"data: [DONE]" in bodies[0]) is stream


@needs_compiler
@pytest.mark.parametrize("stream", [False, True])
def test_the_load_generator_counts_what_it_was_asked_to_send(
    model: Upstream, tmp_path: Path, stream: bool
) -> None:
    loads = our_client(tmp_path)
    asked = call(model.ports["instant"])
    found = loads.loop(asked, stream=stream, connections=4, seconds=20, limit=50)
    assert (found["requests"], found["errors"]) == (50, 0)
    assert found["total_us"]["p99"] >= found["total_us"]["p50"] > 0


@needs_compiler
def test_pairs_are_counted_on_both_sides(model: Upstream, tmp_path: Path) -> None:
    loads = our_client(tmp_path)
    asked, base = call(model.ports["slow"]), call(model.ports["instant"])
    found = loads.paired(asked, base, stream=False, pairs=10)
    assert (found["requests"], found["errors"]) == (20, 0)
    assert found["total_us"]["p50"] > found["base_total_us"]["p50"]


@needs_compiler
@pytest.mark.parametrize("stream", [False, True])
async def test_the_python_client_counts_alike(model: Upstream, stream: bool) -> None:
    asked = call(model.ports["instant"])
    request = asked.raw(stream=stream)
    count: Count = await loop(asked.port, request, 4, 20, 30)
    pairs = await paired((asked.port, request), (asked.port, request), 5)
    assert (count.good, count.bad) == (30, 0)
    assert (pairs.good, len(pairs.times["base_total_us"])) == (10, 5)


async def test_an_answer_that_is_not_200_or_never_ends_is_an_error() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    count = await loop(port, call(port).raw(stream=True), 1, 5, 3)
    server.close()
    assert (count.good, count.bad) == (0, 3)


def run(requests: int, seconds: float, strangers: float = 0.0) -> dict[str, Any]:
    times = {"p50": 1000.0, "p99": 9000.0}
    return {
        "requests": requests,
        "errors": 1,
        "seconds": seconds,
        "total_us": times,
        "cpu_s": 0.5,
        "cores": 0.5,
        "strangers": strangers,
    }


def test_medians_are_taken_over_the_clean_runs() -> None:
    made = summarise([run(100, 1), run(300, 1), run(900, 1, strangers=0.5)])
    assert made["per_s"] == 200
    assert (made["runs"], made["clean"], made["errors"]) == (3, 2, 3)
    assert made["p99_ms"] == 9


def test_added_latency_is_the_difference_of_percentiles() -> None:
    pair = {"errors": 0, "requests": 2}
    for name, p50, p99 in (("", 1500.0, 4000.0), ("base_", 500.0, 1000.0)):
        pair |= {f"{name}{what}_us": {"p50": p50, "p99": p99} for what in ("first", "total")}
    made = summarise_pairs([pair])
    assert (made["total_added_p50_ms"], made["first_added_p99_ms"]) == (1.0, 3.0)


FIGURES: dict[str, Any] = {
    "requests_32": {
        "signalbox": {"per_s": 3000.0, "p99_ms": 9.0, "cpu_us": 300.0},
        "litellm": {"per_s": 150.0, "cpu_us": 6000.0},
        "portkey": {"per_s": 1500.0},
        "nginx": {"per_s": 60_000.0},
    },
    "streams_32": {"signalbox": {"per_s": 2000.0}, "litellm": {"per_s": 0.0}},
    "latency_slow": {"signalbox": {"p50_ms": 20.8}, "nginx": {"p50_ms": 20.3}},
    "paced": {"signalbox": {"p50_ms": 209.0, "cores": 0.5}, "nginx": {"p50_ms": 200.0}},
}


def test_ratios_come_from_the_figures() -> None:
    found = bars.values(FIGURES)
    assert found["requests_litellm"] == 20
    assert found["requests_portkey"] == 2
    assert found["requests_nginx"] == 5
    assert found["added_slow_p50"] == pytest.approx(0.5)
    assert found["paced_p50"] == pytest.approx(4.5)


def test_verdicts_know_which_way_is_better() -> None:
    words = {one.name: one.word for one in bars.verdicts(FIGURES)}
    assert words["requests/s against LiteLLM, 32 connections"] == "met"
    assert words["requests/s against Portkey, 32 connections"] == "missed"
    assert words["p99 at 32 connections"] == "met"
    assert words["128 paced streams: p50 over nginx"] == "beyond the stretch"
    # A peer that served nothing gives no ratio, rather than an infinite one.
    assert words["streams/s against LiteLLM, 32 connections"] == "not measured"


def result() -> dict[str, Any]:
    facts = {"processor": "A processor", "cores": 2, "memory_gb": 8, "system": "Linux 6"}
    return {
        "date": "2026-01-01T00:00:00Z",
        "revision": "abc",
        "occasion": "A test.",
        "machine": {**facts, "python": "3.11.0", "pinned": True, "load_average_before": 0.1},
        "size": {"rounds": 3, "seconds": 3},
        "load": {"requests": "wrk"},
        "upstream": "C",
        "sequencer": True,
        "ledger": {"event": 10, "leaf": 10, "pending": 0, "fsync": 1},
        "missing": {"portkey": "node is not installed"},
        "notes": {},
        "clean_share": 1.0,
        "figures": FIGURES,
    }


def test_the_block_for_the_page_says_ratios_and_what_is_missing() -> None:
    text = report.block(result())
    assert "| requests/s against LiteLLM, 32 connections | 15 x | 25 x | 20.00 x | met |" in text
    assert "portkey: node is not installed." in text
    assert "LiteLLM 20 times ours" in text


def test_only_the_measured_block_of_the_page_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = tmp_path / "performance.md"
    page.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    monkeypatch.setattr(report, "DOCS", tmp_path)
    report.write_docs(result())
    text = page.read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n")
    assert "old" not in text and "A test." in text


def test_the_page_has_a_place_for_the_measured_block() -> None:
    text = (report.DOCS / "performance.md").read_text()
    assert text.count(report.BEGIN) == text.count(report.END) == 1


def test_the_policy_of_the_benchmark_has_fifteen_rules_and_decides_by_the_last() -> None:
    made = engine.measure(5)
    assert made["rules"] == 15
    assert 450 <= made["prompt_tokens"] <= 650


def test_the_unrecorded_twin_refuses_to_start_unless_the_benchmark_asks() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import benchmarks.overhead.unrecorded"],
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "This application records nothing" in done.stderr


def test_help_needs_no_server() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.overhead", "--help"],
        cwd=HERE.parents[1],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0
    assert "--quick" in done.stdout


def test_what_cannot_be_had_is_an_answer_and_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(Missing, match="no C compiler"):
        compiled("load")
