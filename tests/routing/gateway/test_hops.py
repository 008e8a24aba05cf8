"""Retries, fallbacks, clocks and breakers of one request: what each of them counts and costs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routing.gateway.breaker import Breaker, RetryBudget
from routing.gateway.latencies import Latencies
from tests.faults.upstream import (
    Upstream,
    answer,
    completion,
    event,
    head,
    reset,
    silence,
    stream,
)
from tests.routing.gateway.conftest import START, Live

BUSY = answer(b"{}", status=429, more="retry-after: 30\r\n")
THREE = {"failure": {"small": ["large", "second", "third"]}}


async def attempts_of(live: Live, got: Any) -> list[dict[str, Any]]:
    [end] = await live.ends(got)
    attempts: list[dict[str, Any]] = end["details"]["attempts"]
    return attempts


async def test_retry_and_fallback_are_counted_apart(start: START) -> None:
    """A retry uses up no backend: three backends are still tried after it."""
    broken = answer(b"{}", status=503)
    live = await start(
        {"fallbacks": THREE},
        small=Upstream(broken),
        large=Upstream(answer(b"{}", status=500)),
        second=Upstream(),
    )

    got = await live.ask()

    assert got.headers["x-signalbox-backend"] == "second"
    kinds = [one["kind"] for one in await attempts_of(live, got)]
    assert kinds == ["first", "retry", "fallback", "fallback"]


async def test_a_retry_after_that_does_not_fit_goes_elsewhere_at_once(start: START) -> None:
    live = await start(small=Upstream(BUSY), large=Upstream())

    got = await live.ask()

    assert got.headers["x-signalbox-backend"] == "large"
    assert [one["kind"] for one in await attempts_of(live, got)] == ["first", "fallback"]


async def test_a_busy_backend_sheds_load_without_counting_as_broken(start: START) -> None:
    small = Upstream(BUSY)
    live = await start(small=small, large=Upstream())
    await live.ask()

    got = await live.ask()

    assert len(small.bodies) == 1
    assert got.headers["x-signalbox-backend"] == "large"
    assert live.gateway.replica.breaker("small").state(0.0) == "closed"


async def test_retries_stay_within_a_tenth_of_the_traffic(start: START) -> None:
    live = await start(small=Upstream(answer(b"{}", status=503)), large=Upstream())
    budget = live.gateway.replica.retries("small")
    while budget.take():
        pass

    got = await live.ask()

    assert [one["kind"] for one in await attempts_of(live, got)] == ["first", "fallback"]


def test_ten_calls_pay_for_one_retry() -> None:
    budget = RetryBudget()
    while budget.take():
        pass
    for _ in range(11):
        budget.called()

    assert (budget.take(), budget.take()) == (True, False)


async def test_when_every_breaker_is_open_the_safe_default_answers(start: START) -> None:
    live = await start(small=Upstream(), large=Upstream())
    for name in ("small", "large"):
        for _ in range(5):
            live.gateway.replica.breaker(name).failed(1e9, is_connect_error=True)

    got = await live.ask()

    assert (got.status_code, got.headers["x-signalbox-outcome"]) == (200, "safe_default")


async def test_without_a_safe_default_it_is_503_with_the_time_to_come_back(start: START) -> None:
    rule = {
        "id": "narrow-work",
        "when": {"all": [{"prompt_tokens": {"lte": 200}}]},
        "then": {"route": {"tier": "slm", "targets": ["small"]}, "on_no_target": "refuse"},
    }
    live = await start({"rules": [rule], "fallbacks": {}}, small=Upstream(), large=Upstream())
    now = asyncio.get_running_loop().time()
    for _ in range(5):
        live.gateway.replica.breaker("small").failed(now, is_connect_error=True)

    got = await live.ask()

    assert (got.status_code, got.json()["error"]["code"]) == (503, "no_healthy_backend")
    assert 10 <= int(got.headers["retry-after"]) <= 19
    [end] = await live.ends(got)
    assert end["kind"] == "decision.failed"


async def test_only_one_request_probes_a_backend_that_rests(start: START) -> None:
    small = Upstream(silence)
    live = await start(small=small, large=Upstream())
    breaker = live.gateway.replica.breaker("small")
    for _ in range(5):
        breaker.failed(-100.0, is_connect_error=True)
    breaker._open_until = 0.001

    answers = await asyncio.gather(*(live.ask() for _ in range(8)))

    assert len(small.bodies) == 1
    assert [one.status_code for one in answers].count(200) >= 7


async def test_headers_without_a_word_do_not_stop_the_clock_of_the_first_content(
    start: START,
) -> None:
    async def headers_then_comments(writer: asyncio.StreamWriter) -> None:
        writer.write(head(200, length=None, kind="text/event-stream"))
        for _ in range(30):
            writer.write(b": thinking\n\n")
            await writer.drain()
            await asyncio.sleep(0.1)

    good = stream(event("good"), event(finish="stop"), b"data: [DONE]\n\n")
    live = await start(small=Upstream(headers_then_comments), large=Upstream(good))

    got = await live.ask(stream=True)

    assert "good" in got.text
    assert got.headers["x-signalbox-cause"] == "fallback_timeout"
    first, _ = await attempts_of(live, got)
    assert 700 <= first["total_ms"] < 1500


async def test_a_silent_first_hop_leaves_the_next_one_its_usual_time(start: START) -> None:
    live = await start(small=Upstream(silence), large=Upstream())
    for _ in range(5):
        live.gateway.replica.latencies.note("large", 0.5)

    got = await live.ask()

    assert (got.status_code, got.headers["x-signalbox-backend"]) == (200, "large")
    assert got.headers["x-signalbox-cause"] == "fallback_timeout"


async def test_a_call_that_broke_off_in_its_work_costs_what_it_had_read(start: START) -> None:
    live = await start(small=Upstream(answer(b'{"choices":[]}')), large=Upstream())

    first, second = await attempts_of(live, await live.ask())

    assert (first["problem"], first["usage_source"]) == ("bad_answer", "estimated")
    assert first["cost_usd"] != "0"
    assert second["price_version"] == 1


async def test_a_refused_connection_costs_nothing(start: START) -> None:
    live = await start(small=Upstream(reset), large=Upstream())

    first, *_ = await attempts_of(live, await live.ask())

    assert (first["problem"], first["cost_usd"]) == ("connect", "0")


@pytest.mark.parametrize("share", [10, 50])
async def test_a_larger_rollout_moves_nobody_back(start: START, share: int) -> None:
    live = await start(small=Upstream(), large=Upstream())
    snapshot = live.gateway.replica.snapshot
    assert snapshot is not None
    inside = []
    for pct in (share, share + 20):
        object.__setattr__(snapshot.routes["support"], "rollout_pct", pct)
        answers = [await live.say("Where is my parcel?", session=f"s{i}") for i in range(40)]
        inside.append(
            {i for i, one in enumerate(answers) if one.headers["x-signalbox-rule"] != "baseline"}
        )

    assert inside[0] < inside[1]


async def test_without_sessions_a_rollout_splits_conversations_and_keeps_each(start: START) -> None:
    live = await start(small=Upstream(), large=Upstream())
    snapshot = live.gateway.replica.snapshot
    assert snapshot is not None
    object.__setattr__(snapshot.routes["support"], "rollout_pct", 50)
    rules = []
    for i in range(30):
        beginning = {"role": "user", "content": f"Question {i}?"}
        later = [beginning, {"role": "assistant", "content": "A"}, {"role": "user", "content": "B"}]
        one = await live.say("", messages=[beginning])
        two = await live.say("", messages=later)
        rules.append((one.headers["x-signalbox-rule"], two.headers["x-signalbox-rule"]))

    assert all(one == two for one, two in rules)
    assert {one for one, _ in rules} == {"baseline", "narrow-work"}


def test_a_late_success_does_not_close_a_breaker_that_has_opened() -> None:
    breaker = Breaker()
    for at in range(5):
        breaker.failed(float(at), is_connect_error=True)

    breaker.succeeded(6.0, started=0.0)

    assert breaker.is_open(7.0)


def test_a_late_failure_extends_the_cooldown_and_does_not_double_it() -> None:
    breaker = Breaker()
    for at in range(5):
        breaker.failed(float(at), is_connect_error=True)
    breaker.failed(10.0, is_connect_error=False, started=1.0)

    assert breaker.is_open(24.9)
    assert not breaker.is_open(28.1)


def test_the_cooldown_doubles_up_to_five_minutes() -> None:
    breaker, now = Breaker(), 0.0
    for _ in range(5):
        breaker.failed(now, is_connect_error=True)
    for _ in range(8):
        now = breaker._open_until
        assert breaker.enter(now)
        breaker.failed(now, is_connect_error=True, started=now)

    assert 300.0 <= breaker._open_until - now <= 360.0


def test_a_quantile_needs_some_answers_first() -> None:
    latencies = Latencies()
    for _ in range(4):
        latencies.note("a", 1.0)
    assert latencies.quantile("a", 0.9) is None

    latencies.note("a", 9.0)

    assert latencies.quantile("a", 0.9) == 9.0
    assert latencies.quantile("a", 0.5) == 1.0


async def test_a_good_answer_after_a_retry_is_not_a_fallback(start: START) -> None:
    small = Upstream(answer(b"{}", status=502), answer(completion()))
    live = await start(small=small, large=Upstream())

    assert (await live.ask()).headers["x-signalbox-cause"] == "rule_match"
