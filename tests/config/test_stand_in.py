"""The stand-in speaks the protocol that clients speak, and never passes for a model."""

from __future__ import annotations

import json

import httpx
import pytest

from config.servers.stand_in import StandIn
from config.servers.stand_in_text import LABEL, in_pieces, instance_of

ASKED = [{"role": "user", "content": "Please compare the two contract drafts for Müller & Söhne."}]
AUTHORISED = {"Authorization": "Bearer right"}


@pytest.fixture
async def client():
    application = StandIn(model="stand-in-large", key="right", first_ms=0, piece_ms=0)
    transport = httpx.ASGITransport(app=application)
    async with httpx.AsyncClient(transport=transport, base_url="http://stand-in") as made:
        yield made


async def ask(client: httpx.AsyncClient, **more: object) -> httpx.Response:
    body = {"model": "stand-in-large", "messages": ASKED} | more
    return await client.post("/v1/chat/completions", json=body, headers=AUTHORISED)


def events_of(response: httpx.Response) -> list[str]:
    return [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]


async def test_every_answer_says_that_it_is_a_stand_in(client):
    answer = (await ask(client)).json()

    assert answer["choices"][0]["message"]["content"].startswith(LABEL)
    assert "LLM" not in answer["choices"][0]["message"]["content"]


async def test_same_request_gives_the_same_bytes(client):
    assert (await ask(client)).content == (await ask(client)).content


async def test_stream_joins_to_the_whole_answer_and_ends_with_usage(client):
    whole = (await ask(client)).json()
    events = events_of(await ask(client, stream=True, stream_options={"include_usage": True}))

    chunks = [json.loads(event) for event in events[:-1]]
    pieces = [c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"]]
    assert events[-1] == "[DONE]"
    assert "".join(pieces) == whole["choices"][0]["message"]["content"]
    assert chunks[-1]["usage"] == whole["usage"]


async def test_stream_without_usage_option_has_no_usage(client):
    events = events_of(await ask(client, stream=True))

    assert not [event for event in events if "usage" in event]


async def test_limit_of_tokens_cuts_the_answer_and_says_so(client):
    answer = (await ask(client, max_tokens=5)).json()

    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 5


async def test_logprobs_come_when_asked_for(client):
    plain = (await ask(client)).json()["choices"][0]
    detailed = (await ask(client, logprobs=True)).json()["choices"][0]

    assert plain["logprobs"] is None
    assert (
        "".join(e["token"] for e in detailed["logprobs"]["content"])
        == (detailed["message"]["content"])
    )


async def test_schema_is_answered_with_an_instance_of_it(client):
    schema = {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 10},
            "age": {"type": "integer", "minimum": 18},
            "kind": {"$ref": "#/$defs/kind"},
            "notes": {"type": "array", "items": {"type": "string"}, "minItems": 1},
            "left_out": {"type": "string"},
        },
        "required": ["name", "age", "kind", "notes"],
        "$defs": {"kind": {"enum": ["invoice", "offer"]}},
    }
    format_ = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}

    answer = (await ask(client, response_format=format_)).json()

    made = json.loads(answer["choices"][0]["message"]["content"])
    assert made == {"name": LABEL[:10], "age": 18, "kind": "invoice", "notes": [LABEL]}


def test_schema_that_refers_to_itself_still_ends():
    schema = {"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}}

    assert instance_of(schema, schema)["next"]


def test_pieces_lose_no_character():
    text = "  Two  spaces,\na line\n\nand Straßenbahnhaltestelle.  "

    assert "".join(in_pieces(text)) == text


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b"[" * 100_000, 400, "invalid_json"),
        (b"{}", 400, "invalid_messages"),
        (json.dumps({"messages": [{"role": "user", "content": "x" * 200_000}]}).encode(), 400,
         "context_length_exceeded"),
    ],
)  # fmt: skip
async def test_request_that_cannot_be_read_is_refused(client, body, status, code):
    response = await client.post("/v1/chat/completions", content=body, headers=AUTHORISED)

    assert (response.status_code, response.json()["error"]["code"]) == (status, code)


async def test_wrong_key_is_refused(client):
    response = await client.get("/v1/models", headers={"Authorization": "Bearer wrong"})

    assert response.status_code == 401


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
            "required": ["city", "days"],
        },
    },
}


async def test_demanded_tool_is_called_with_arguments_of_its_schema(client):
    choice = {"type": "function", "function": {"name": "get_weather"}}
    answer = (await ask(client, tools=[WEATHER], tool_choice=choice)).json()["choices"][0]

    call = answer["message"]["tool_calls"][0]
    assert answer["finish_reason"] == "tool_calls"
    assert call["function"]["name"] == "get_weather"
    assert json.loads(call["function"]["arguments"])["days"] == 1


async def test_streamed_tool_call_joins_to_the_same_arguments(client):
    more = {"tools": [WEATHER], "tool_choice": "required"}
    whole = (await ask(client, **more)).json()["choices"][0]["message"]["tool_calls"][0]
    events = events_of(await ask(client, stream=True, **more))

    deltas = [json.loads(event)["choices"][0]["delta"] for event in events[:-1]]
    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert calls[0]["id"]
    assert calls[0]["function"]["name"] == whole["function"]["name"]
    assert "".join(c["function"]["arguments"] for c in calls) == whole["function"]["arguments"]


async def test_offered_tool_alone_is_not_called(client):
    answer = (await ask(client, tools=[WEATHER])).json()["choices"][0]

    assert answer["message"]["content"].startswith(LABEL)


async def test_alike_texts_have_near_embeddings(client):
    body = {"input": ["refund for order 7", "refund for order 8", "tax law of Norway"]}
    answer = await client.post("/v1/embeddings", json=body, headers=AUTHORISED)

    first, near, far = (item["embedding"] for item in answer.json()["data"])
    assert _dot(first, near) > 0.5 > _dot(first, far)


def _dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
