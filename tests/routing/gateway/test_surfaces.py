"""What holds for every surface: headers, errors, parsing, egress, pins, a client that leaves."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
import uvicorn

from tests.faults.upstream import Upstream, answer, completion, event, stream
from tests.routing.gateway.conftest import KEY, START, Live
from tests.routing.gateway.test_embeddings import MADE

SAID = [{"role": "user", "content": "Where is my parcel?"}]
CHAT = ("/v1/chat/completions", {"messages": SAID})
RESPONSES = ("/v1/responses", {"input": "Where is my parcel?"})
MESSAGES = ("/v1/messages", {"messages": SAID, "max_tokens": 9})
EMBEDDINGS = ("/v1/embeddings", {"input": "Where is my parcel?"})
ALL = pytest.mark.parametrize(
    ("path", "body"),
    [CHAT, RESPONSES, MESSAGES, EMBEDDINGS],
    ids=["chat", "responses", "messages", "embeddings"],
)
SPOKEN = pytest.mark.parametrize(
    ("path", "body"), [CHAT, RESPONSES, MESSAGES], ids=["chat", "responses", "messages"]
)
STATED = {
    "x-request-id",
    "x-signalbox-decision-id",
    "x-signalbox-policy",
    "x-signalbox-policy-digest",
    "x-signalbox-rule",
    "x-signalbox-cause",
    "x-signalbox-outcome",
    "x-signalbox-attempts",
    "x-signalbox-sticky",
    "x-signalbox-overhead-ms",
    "x-signalbox-backend",
    "x-signalbox-tier",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
}


def good(path: str) -> Any:
    return answer(MADE if path == "/v1/embeddings" else completion())


def code_of(got: Any) -> str:
    error = got.json()["error"]
    assert {"message", "type", "param", "code", "decision_id"} <= error.keys()
    return str(error["code"])


@ALL
async def test_every_answer_states_its_decision_and_so_does_every_error(
    start: START, path: str, body: dict[str, Any]
) -> None:
    live = await start(small=Upstream(good(path)), large=Upstream())
    broken = await start(
        small=Upstream(answer(b"", status=500)), large=Upstream(answer(b"", status=500))
    )

    fine = await live.post(path, {"model": "support", **body})
    failed = await broken.post(path, {"model": "support", **body})

    assert (fine.status_code, failed.status_code) == (200, 502)
    assert fine.headers.keys() >= STATED
    assert failed.headers.keys() >= STATED
    assert failed.headers["x-should-retry"] == "false"
    assert code_of(failed) == "upstream_error"


@ALL
async def test_a_backends_bad_credentials_are_our_502(
    start: START, path: str, body: dict[str, Any]
) -> None:
    denied = answer(b'{"error": {"message": "bad key sk-canary"}}', status=401)
    live = await start(small=Upstream(denied), large=Upstream(denied))

    got = await live.post(path, {"model": "support", **body})

    assert (got.status_code, code_of(got)) == (502, "upstream_error")
    assert "canary" not in got.text


@ALL
async def test_what_a_backend_does_not_support_is_400_with_the_parameters_name(
    start: START, path: str, body: dict[str, Any]
) -> None:
    error = {"message": "canary", "param": "top_k", "code": "unsupported_parameter"}
    refused = answer(json.dumps({"error": error}).encode(), status=400)
    live = await start(small=Upstream(refused), large=Upstream())

    got = await live.post(path, {"model": "support", "top_k": 5, **body})

    assert (got.status_code, code_of(got)) == (400, "unsupported_parameter")
    assert got.json()["error"]["param"] == "top_k"
    assert "canary" not in got.text


@ALL
async def test_a_prompt_that_is_too_long_for_every_backend_is_named_so(
    start: START, path: str, body: dict[str, Any]
) -> None:
    error = {"message": "maximum context length is 9 tokens", "code": "context_length_exceeded"}
    refused = answer(json.dumps({"error": error}).encode(), status=400)
    live = await start(small=Upstream(refused), large=Upstream(refused))

    got = await live.post(path, {"model": "support", **body})

    assert (got.status_code, code_of(got)) == (400, "context_length_exceeded")


@ALL
async def test_only_what_a_backend_needs_to_know_goes_out(
    start: START, path: str, body: dict[str, Any]
) -> None:
    small = Upstream(good(path))
    live = await start(small=small, large=Upstream())
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    await live.post(
        path,
        {"model": "support", **body},
        traceparent=parent,
        **{
            "x-signalbox-tenant": "other",
            "x-signalbox-step": "triage",
            "x-session-id": "visit",
            "cookie": "secret=1",
        },
    )

    sent = small.heads[0]
    assert f"traceparent: {parent}\r\n" in sent
    for word in ("x-signalbox", KEY, "x-session", "cookie", "visit"):
        assert word not in sent


async def test_a_trace_that_is_none_is_not_passed_on(start: START) -> None:
    small = Upstream()
    live = await start(small=small, large=Upstream())

    await live.ask(traceparent="00-zz")

    assert "traceparent" not in small.heads[0]


@ALL
async def test_details_come_only_to_who_asks_for_them(
    start: START, path: str, body: dict[str, Any]
) -> None:
    live = await start(small=Upstream(good(path)), large=Upstream())

    plain = await live.post(path, {"model": "support", **body})
    asked = await live.post(path, {"model": "support", **body}, **{"x-signalbox-debug": "true"})

    assert "x-signalbox-candidates" not in plain.headers
    assert asked.headers["x-signalbox-candidates"].startswith("small=chosen")
    assert asked.headers["x-signalbox-data-class"] == "internal"


@ALL
async def test_a_caller_may_raise_the_data_class_and_never_lower_it(
    start: START, path: str, body: dict[str, Any]
) -> None:
    live = await start(small=Upstream(good(path)), large=Upstream())
    asked = {"model": "support", **body}

    lower = await live.post(path, asked, **{"x-signalbox-data-class": "public"})
    higher = await live.post(path, asked, **{"x-signalbox-data-class": "restricted"})

    assert (await live.made(lower))["decision"]["data_class"] == "internal"
    assert (await live.made(higher))["decision"]["data_class"] == "restricted"


@ALL
async def test_a_pin_needs_its_scope_and_answers_under_the_name_that_was_asked(
    start: START, path: str, body: dict[str, Any]
) -> None:
    live = await start(small=Upstream(), large=Upstream(good(path)))
    pinned = await live.post(path, {"model": "large", **body})
    snapshot = live.gateway.replica.snapshot
    assert snapshot is not None
    keys = {digest: replace(key, may_pin=False) for digest, key in snapshot.keys.items()}
    live.gateway.replica.snapshot = replace(snapshot, keys=keys)

    refused = await live.post(path, {"model": "large", **body})

    assert (pinned.headers["x-signalbox-cause"], pinned.json()["model"]) == (
        "explicit_pin",
        "large",
    )
    assert (refused.status_code, code_of(refused)) == (403, "model_not_allowed")


@ALL
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"not json",
        b"\xff\xfe",
        b'{"model": "a", "model": "b"}',
        b'{"model": "support\\u0000"}',
        b'{"model": "\\ud800"}',
        b'{"model": NaN}',
        b'{"model": "support", "x": ' + b"[" * 70 + b"]" * 70 + b"}",
        b'{"model": 7}',
        b'{"model": "support"}',
    ],
)
async def test_what_is_malformed_is_400_on_every_surface(
    start: START, path: str, body: dict[str, Any], raw: bytes
) -> None:
    live = await start(small=Upstream(), large=Upstream())

    got = await live.client.post(path, content=raw)

    assert (got.status_code, code_of(got)) == (400, "invalid_request")


@ALL
async def test_size_is_judged_before_anything_is_read(
    start: START, path: str, body: dict[str, Any]
) -> None:
    live = await start(small=Upstream(), large=Upstream())

    got = await live.client.post(path, content=b"[" * 100_001)

    assert (got.status_code, code_of(got)) == (413, "request_too_large")


@ALL
async def test_without_a_key_nothing_is_read_and_nothing_written(
    start: START, path: str, body: dict[str, Any]
) -> None:
    live = await start(small=Upstream(), large=Upstream())
    before = await events(live)

    got = await live.post(path, {"model": "support", **body}, authorization="Bearer no")

    assert (got.status_code, code_of(got)) == (401, "invalid_api_key")
    assert await events(live) == before


async def events(live: Live) -> int:
    async with await psycopg.AsyncConnection.connect(live._dsn) as connection:
        row = await (await connection.execute("SELECT count(*) FROM audit.event")).fetchone()
        return int(row[0]) if row else -1


@asynccontextmanager
async def on_a_socket(live: Live) -> AsyncIterator[int]:
    """The gateway behind a real server, for what only a connection can do: to be cut."""
    config = uvicorn.Config(live.gateway, port=0, lifespan="off", log_level="error")
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await running


@SPOKEN
async def test_a_client_that_leaves_a_stream_ends_the_backends_call_and_is_recorded(
    start: START, path: str, body: dict[str, Any]
) -> None:
    small = Upstream(stream(event("Hel"), event("lo"), then="hang"))
    live = await start({"limits": LONG}, small=small, large=Upstream())
    request = json.dumps({"model": "support", "stream": True, **body}).encode()
    async with on_a_socket(live) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = f"POST {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\n"
        writer.write(f"{head}content-length: {len(request)}\r\n\r\n".encode() + request)
        text = (await reader.readuntil(b"lo")).decode()
        writer.close()
        decision = text.split("x-signalbox-decision-id: ")[1].split("\r\n")[0]
        async with asyncio.timeout(5):
            while not (ended := await ends(live, decision)):
                await asyncio.sleep(0.05)

    [end] = ended
    assert end["kind"] == "decision.aborted"
    assert end["details"]["usage_source"] == "estimated"
    assert end["details"]["output_tokens"] > 0
    assert float(end["details"]["cost_usd"]) > 0
    assert small.hung_up == 1


LONG = {"deadline_ms": 20_000, "first_token_ms": 5000, "stream_idle_ms": 15_000, "attempts": 3}


async def ends(live: Live, decision: str) -> list[dict[str, Any]]:
    async with await psycopg.AsyncConnection.connect(live._dsn) as connection:
        rows = await connection.execute(
            "SELECT convert_from(body, 'UTF8')::json FROM audit.event "
            "WHERE decision_id = %s AND kind <> 'decision.made'",
            (decision,),
        )
        return [body for (body,) in await rows.fetchall()]


async def test_an_end_that_is_sealed_stays_the_only_one(start: START) -> None:
    from routing.gateway.errors import ApiError

    live = await start(small=Upstream(stream(event("Hi"), event(finish="stop"))), large=Upstream())
    durable, writer = live.gateway.recorder.durable, live.gateway.scribe._writer

    async def leaves(ticket: Any) -> None:
        await durable(ticket)
        if any(one.kind == "decision.completed" for one in ticket.events):
            raise ApiError("upstream_error", "Something breaks after the end.")

    live.gateway.recorder.durable = leaves  # type: ignore[method-assign]

    got = await live.ask(stream=True)

    assert [end["kind"] for end in await live.ends(got)] == ["decision.completed"]
    assert writer._n == 2
