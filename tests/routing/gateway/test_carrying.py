"""Carrying a request over backends that behave badly: what the client gets and what is recorded."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785

from tests.faults.upstream import (
    Upstream,
    answer,
    completion,
    event,
    reset,
    silence,
    stream,
)
from tests.routing.gateway.conftest import START


def kinds(attempts: list[dict[str, Any]]) -> list[tuple[str, str, str | None]]:
    return [(a["backend"], a["kind"], a["problem"]) for a in attempts]


async def test_a_good_answer_is_served_priced_and_ended_once(start: START) -> None:
    live = await start(small=Upstream(), large=Upstream())

    got = await live.ask()

    assert got.status_code == 200
    assert got.json()["model"] == "support"
    [end] = await live.ends(got)
    assert end["kind"] == "decision.completed"
    assert end["details"]["cost_usd"] == "0.000013"
    assert end["details"]["usage_source"] == "reported"


async def test_what_is_recorded_is_canonical_to_the_byte(start: START) -> None:
    live = await start(small=Upstream(), large=Upstream())

    got = await live.ask(**{"x-session-id": "visit-1"})

    for body in await live.bytes_of(got):
        assert rfc8785.dumps(json.loads(body, parse_float=pytest.fail)) == body


async def test_what_is_forwarded_names_the_backends_model_and_a_token_limit(start: START) -> None:
    small = Upstream()
    live = await start(small=small, large=Upstream())

    await live.ask()

    assert small.bodies[0]["model"] == "theirs"
    assert small.bodies[0]["max_tokens"] == 100


@pytest.mark.parametrize("status", [408, 429, 502, 503, 504])
async def test_a_passing_error_is_retried_once_where_it_happened(start: START, status: int) -> None:
    live = await start(
        small=Upstream(answer(b"{}", status=status), answer(completion())), large=Upstream()
    )

    got = await live.ask()

    assert got.headers["x-signalbox-backend"] == "small"
    [end] = await live.ends(got)
    assert kinds(end["details"]["attempts"]) == [
        ("small", "first", "status"),
        ("small", "retry", None),
    ]


async def test_a_lasting_error_falls_back_to_the_next_backend(start: START) -> None:
    live = await start(small=Upstream(answer(b"{}", status=503)), large=Upstream())

    got = await live.ask()

    assert got.status_code == 200
    assert got.headers["x-signalbox-backend"] == "large"
    assert got.headers["x-signalbox-cause"] == "fallback_error"
    [end] = await live.ends(got)
    assert [a["kind"] for a in end["details"]["attempts"]] == ["first", "retry", "fallback"]


@pytest.mark.parametrize(
    "act",
    [
        reset,
        answer(b"<html>", kind="text/html"),
        answer(b'{"error":{"message":"overloaded"}}'),
        answer(b'{"choices":[]}'),
        answer(b""),
        answer(b"\xff\xfe"),
        answer(b"{}", status=500),
        answer(b"{}", status=401),
        answer(b"", status=302, more="location: http://169.254.169.254/\r\n"),
    ],
)
async def test_rubbish_is_a_failure_and_another_backend_answers(start: START, act: Any) -> None:
    live = await start(small=Upstream(act), large=Upstream())

    got = await live.ask()

    assert got.status_code == 200
    assert got.headers["x-signalbox-backend"] == "large"


async def test_when_everything_fails_the_sdk_is_told_not_to_multiply_it(start: START) -> None:
    broken = answer(b"{}", status=500)
    live = await start(small=Upstream(broken), large=Upstream(broken))

    got = await live.ask()

    assert (got.status_code, got.json()["error"]["code"]) == (502, "upstream_error")
    assert got.headers["x-should-retry"] == "false"
    [end] = await live.ends(got)
    assert end["kind"] == "decision.failed"


async def test_a_backends_bad_credentials_are_never_the_clients_401(start: START) -> None:
    refused = answer(b"{}", status=401)
    live = await start(small=Upstream(refused), large=Upstream(refused))

    assert (await live.ask()).status_code == 502


async def test_the_callers_own_mistake_is_not_tried_elsewhere(start: START) -> None:
    large = Upstream()
    live = await start(small=Upstream(answer(b'{"error":"bad"}', status=400)), large=large)

    got = await live.ask()

    assert (got.status_code, got.json()["error"]["code"]) == (400, "invalid_request")
    assert large.bodies == []


async def test_a_silent_backend_ends_at_the_deadline(start: START) -> None:
    live = await start(small=Upstream(silence), large=Upstream(silence))

    got = await live.ask()

    assert (got.status_code, got.json()["error"]["code"]) == (504, "upstream_timeout")
    [end] = await live.ends(got)
    assert end["details"]["total_ms"] < 4000


async def test_the_clients_own_patience_shortens_the_deadline(start: START) -> None:
    live = await start(small=Upstream(silence), large=Upstream())

    got = await live.ask(**{"x-stainless-read-timeout": "4"})

    [end] = await live.ends(got)
    assert end["details"]["total_ms"] < 2500


async def test_a_stream_is_passed_on_and_ends_with_its_marker(start: START) -> None:
    small = Upstream(stream(event("Hel"), event("lo"), event(finish="stop"), b"data: [DONE]\n\n"))
    live = await start(small=small, large=Upstream())

    got = await live.ask(stream=True)

    assert got.headers["content-type"].startswith("text/event-stream")
    assert got.text.endswith("data: [DONE]\n\n")
    assert '"support"' in got.text
    [end] = await live.ends(got)
    assert end["kind"] == "decision.completed"
    assert end["details"]["usage_source"] == "estimated"


@pytest.mark.parametrize(
    "act",
    [
        stream(event("")),
        stream(b'data: {"error":{"message":"busy"}}\n\n'),
        stream(then="reset"),
        answer(completion()),
        stream(then="hang"),
    ],
    ids=["ends empty", "error event", "reset", "no stream", "silent"],
)
async def test_before_the_commit_point_another_backend_takes_over(start: START, act: Any) -> None:
    good = stream(event("good"), event(finish="stop"), b"data: [DONE]\n\n")
    live = await start(small=Upstream(act), large=Upstream(good))

    got = await live.ask(stream=True)

    assert "good" in got.text
    assert got.headers["x-signalbox-backend"] == "large"


@pytest.mark.parametrize("then", ["close", "reset", "hang"])
async def test_after_it_a_broken_stream_says_so_and_nobody_else_speaks(
    start: START, then: str
) -> None:
    large = Upstream()
    live = await start(small=Upstream(stream(event("Half an ans"), then=then)), large=large)

    got = await live.ask(stream=True)

    assert "Half an ans" in got.text
    assert "[DONE]" not in got.text
    last = json.loads(got.text.strip().split("\n\n")[-1].removeprefix("data: "))
    assert last["error"]["code"] == "upstream_error"
    assert large.bodies == []
    [end] = await live.ends(got)
    assert end["kind"] == "decision.failed"


async def test_an_open_breaker_sends_the_next_request_elsewhere(start: START) -> None:
    small = Upstream(reset)
    live = await start(small=small, large=Upstream())
    for _ in range(5):
        await live.ask()
    asked = len(small.bodies)

    got = await live.ask()

    assert got.headers["x-signalbox-backend"] == "large"
    assert len(small.bodies) == asked


async def test_a_sign_off_that_ends_between_decision_and_dispatch_blocks(start: START) -> None:
    import time

    from tests.routing.gateway.conftest import snapshot_document

    cloud = Upstream()
    rules = {
        "rules": [],
        "default": {"then": {"route": {"tier": "llm", "targets": ["cloud"]}}},
        "fallbacks": {},
    }
    live = await start({**rules, "signoffs": {"internal": int(time.time()) + 60}}, cloud=cloud)
    assert (await live.ask()).status_code == 200
    plan = live.gateway.replica.snapshot
    assert plan is not None
    expired = snapshot_document({"cloud": cloud.port}, **rules, signoffs={})
    original = live.gateway.current_snapshot
    live.gateway.current_snapshot = lambda: plan  # type: ignore[method-assign]
    await live.gateway.replica.adopt(expired, keep=False)

    got = await live.ask()

    live.gateway.current_snapshot = original  # type: ignore[method-assign]
    assert (got.status_code, got.json()["error"]["code"]) == (403, "egress_not_approved")
    assert len(cloud.bodies) == 1
    [end] = await live.ends(got)
    assert end["kind"] == "decision.blocked"
