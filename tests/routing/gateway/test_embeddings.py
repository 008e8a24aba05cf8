"""Embeddings are decided, carried and recorded like chat; explain decides and does nothing."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from tests.faults.upstream import Upstream, answer
from tests.routing.gateway.conftest import START

MADE = json.dumps(
    {
        "object": "list",
        "model": "theirs",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.1, 0.2]}],
        "usage": {"prompt_tokens": 4, "total_tokens": 4},
    }
).encode()
HOLD_ALL = [
    {
        "id": "ask-a-person",
        "name": "Ask a person",
        "when": {"all": [{"prompt_tokens": {"gte": 0}}]},
        "then": {"hold": {"queue": "support", "hold_s": 5, "on_timeout": "safe_default"}},
    }
]


@pytest.mark.parametrize("given", ["a text", ["a text", "another"], [1, 2, 3], [[1, 2], [3]]])
async def test_embeddings_pass_and_are_recorded(start: START, given: Any) -> None:
    small = Upstream(answer(MADE))
    live = await start(small=small, large=Upstream())

    got = await live.post(
        "/v1/embeddings", {"model": "support", "input": given, "encoding_format": "float"}
    )

    assert got.status_code == 200
    assert small.heads[0].startswith("post /v1/embeddings ")
    assert small.bodies[0] == {"model": "theirs", "input": given, "encoding_format": "float"}
    assert got.json()["model"] == "support"
    assert got.json()["usage"] == {"prompt_tokens": 4, "total_tokens": 4}
    [end] = await live.ends(got)
    assert (end["details"]["input_tokens"], end["details"]["output_tokens"]) == (4, 0)
    assert (end["details"]["usage_source"], end["details"]["cost_usd"]) == ("reported", "0.000004")


async def test_tokens_that_nobody_can_read_do_not_count_as_harmless(start: START) -> None:
    live = await start(small=Upstream(answer(MADE)), large=Upstream())

    got = await live.post("/v1/embeddings", {"model": "support", "input": [1] * 300})

    [made] = [
        body
        for body in map(json.loads, await live.bytes_of(got))
        if body["kind"] == "decision.made"
    ]
    assert made["details"]["facts"]["failed_signals"] == ["personal_data"]
    assert made["details"]["decision"]["trace"]["signals"]["prompt_tokens"] == 300


async def test_a_bad_answer_falls_back(start: START) -> None:
    live = await start(small=Upstream(answer(b'{"data": [{}]}')), large=Upstream(answer(MADE)))

    got = await live.post("/v1/embeddings", {"model": "support", "input": "a text"})

    assert (got.status_code, got.headers["x-signalbox-backend"]) == (200, "large")


async def test_no_person_can_answer_with_an_embedding(start: START) -> None:
    live = await start({"rules": HOLD_ALL}, small=Upstream(), large=Upstream())

    got = await live.post("/v1/embeddings", {"model": "support", "input": "a text"})

    assert (got.status_code, got.json()["error"]["code"]) == (422, "refused")
    [end] = await live.ends(got)
    assert end["kind"] == "decision.refused"


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"input": ""}, "invalid_request"),
        ({"input": []}, "invalid_request"),
        ({"input": ["a", 1]}, "invalid_request"),
        ({"input": None}, "invalid_request"),
        ({"stream": True}, "unsupported_parameter"),
    ],
)
async def test_what_is_no_input_is_400(start: START, more: dict[str, Any], code: str) -> None:
    live = await start(small=Upstream(), large=Upstream())

    got = await live.post("/v1/embeddings", {"model": "support", "input": "a", **more})

    assert (got.status_code, got.json()["error"]["code"]) == (400, code)


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("", {"messages": [{"role": "user", "content": "Where is my parcel?"}]}),
        ("?for=responses", {"input": "Where is my parcel?"}),
        (
            "?for=messages",
            {"max_tokens": 9, "messages": [{"role": "user", "content": "Where is my parcel?"}]},
        ),
        ("?for=embeddings", {"input": "Where is my parcel?"}),
    ],
)
async def test_explain_decides_and_leaves_no_trace_of_itself(
    start: START, query: str, body: dict[str, Any]
) -> None:
    small = Upstream()
    live = await start(small=small, large=Upstream())

    got = await live.post(f"/v1/route/explain{query}", {"model": "support", **body})

    made = got.json()
    assert (made["dry_run"], made["policy"]) == (True, "support@1")
    assert (made["decision"]["backend"], made["decision"]["rule"]) == ("small", "narrow-work")
    assert made["decision"]["trace"]["candidates"]
    assert small.bodies == []
    assert "x-signalbox-decision-id" not in got.headers
    assert "signalbox_decisions_total{" not in (await live.client.get("/metrics")).text
    assert await _events_about(live, got.headers["x-request-id"]) == 0


async def _events_about(live: Any, request_id: str) -> int:
    await live.ask()  # the recorder has written by the time that this is answered
    async with await psycopg.AsyncConnection.connect(live._dsn) as connection:
        rows = await connection.execute(
            "SELECT count(*) FROM audit.event WHERE convert_from(body, 'UTF8') LIKE %s",
            (f"%{request_id}%",),
        )
        row = await rows.fetchone()
        return int(row[0]) if row else -1


async def test_explaining_a_hold_uses_nothing_of_its_share(start: START) -> None:
    live = await start({"rules": HOLD_ALL}, small=Upstream(), large=Upstream())

    await live.post(
        "/v1/route/explain",
        {"model": "support", "messages": [{"role": "user", "content": "Where is my parcel?"}]},
    )

    assert live.gateway.replica.hold_caps.used_up("support", {"ask-a-person": 0}) == frozenset()


async def test_explain_asks_for_a_key_and_a_known_path(start: START) -> None:
    live = await start(small=Upstream(), large=Upstream())

    without = await live.post("/v1/route/explain", {}, authorization="")
    unknown = await live.post("/v1/route/explain?for=poems", {})

    assert (without.status_code, unknown.status_code) == (401, 400)
