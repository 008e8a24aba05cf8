"""Anthropic's Messages API over the same carrying: shapes in, shapes out, errors and ends."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.faults.upstream import Upstream, answer, completion, event, stream
from tests.routing.gateway.conftest import KEY, START
from tests.routing.gateway.sse_events import TOOL_PIECES, chunk, kinds, named

PATH = "/v1/messages"


def asked(**more: Any) -> dict[str, Any]:
    return {
        "model": "support",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "Where is my parcel?"}],
        **more,
    }


async def test_a_message_is_forwarded_as_chat_and_answered_as_a_message(start: START) -> None:
    small = Upstream()
    live = await start(small=small, large=Upstream())

    got = await live.post(PATH, asked(system="Be brief.", stop_sequences=["END"], top_k=5))

    sent = small.bodies[0]
    assert sent["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (sent["max_tokens"], sent["stop"], sent["top_k"]) == (50, ["END"], 5)
    made = got.json()
    assert made["id"].startswith("msg_")
    assert made["content"] == [{"type": "text", "text": "fine"}]
    assert (made["type"], made["role"], made["model"]) == ("message", "assistant", "support")
    assert (made["stop_reason"], made["stop_sequence"]) == ("end_turn", None)
    assert made["usage"] == {"input_tokens": 9, "output_tokens": 2}
    [end] = await live.ends(got)
    assert end["kind"] == "decision.completed"


async def test_the_key_may_come_as_x_api_key(start: START) -> None:
    live = await start(small=Upstream(), large=Upstream())

    got = await live.post(PATH, asked(), authorization="", **{"x-api-key": KEY})

    assert got.status_code == 200


async def test_tools_their_calls_results_and_pictures_survive_the_way(start: START) -> None:
    large = Upstream()
    live = await start(small=Upstream(), large=large)
    picture = {
        "type": "image",
        "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
    }
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "Look:"}, picture]},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "I look it up."},
                {"type": "tool_use", "id": "t1", "name": "find_parcel", "input": {"number": 7}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t1", "content": "lost", "is_error": True},
                {"type": "text", "text": "And now?"},
            ],
        },
    ]
    tool = {"name": "find_parcel", "description": "Finds.", "input_schema": {"type": "object"}}

    await live.post(
        PATH,
        asked(
            messages=messages,
            tools=[tool],
            tool_choice={"type": "any", "disable_parallel_tool_use": True},
        ),
    )

    sent = large.bodies[0]
    assert sent["messages"][0]["content"][1] == {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,AAAA"},
    }
    assert sent["messages"][1]["tool_calls"] == [
        {
            "id": "t1",
            "type": "function",
            "function": {"name": "find_parcel", "arguments": '{"number":7}'},
        }
    ]
    assert sent["messages"][2:] == [
        {"role": "tool", "tool_call_id": "t1", "content": "Error: lost"},
        {"role": "user", "content": [{"type": "text", "text": "And now?"}]},
    ]
    assert sent["tools"] == [
        {
            "type": "function",
            "function": {
                "name": "find_parcel",
                "parameters": {"type": "object"},
                "description": "Finds.",
            },
        }
    ]
    assert (sent["tool_choice"], sent["parallel_tool_calls"]) == ("required", False)


async def test_a_streamed_text_has_the_whole_event_sequence_and_one_usage(start: START) -> None:
    pieces = (event("Hel"), event("lo"), chunk({}, finish="length"))
    used = b'data: {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}\n\n'
    small = Upstream(stream(*pieces, used, b"data: [DONE]\n\n"))
    live = await start(small=small, large=Upstream())

    got = await live.post(PATH, asked(stream=True))

    events = named(got.text)
    assert kinds(events) == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert "".join(e["delta"]["text"] for e in events[3:5]) == "Hello"
    assert events[6]["delta"] == {"stop_reason": "max_tokens", "stop_sequence": None}
    assert events[6]["usage"] == {"input_tokens": 9, "output_tokens": 2}
    assert small.bodies[0]["stream_options"] == {"include_usage": True}
    [end] = await live.ends(got)
    assert end["details"]["usage_source"] == "reported"


async def test_a_streamed_tool_call_arrives_as_partial_json(start: START) -> None:
    live = await start(small=Upstream(stream(event("Wait."), *TOOL_PIECES)), large=Upstream())

    got = await live.post(PATH, asked(stream=True))

    events = named(got.text)
    blocks = [e for e in events if e["type"] == "content_block_start"]
    assert [b["index"] for b in blocks] == [0, 1]
    assert blocks[1]["content_block"] == {
        "type": "tool_use",
        "id": "call_1",
        "name": "find_parcel",
        "input": {},
    }
    written = [e["delta"] for e in events if e["type"] == "content_block_delta" and e["index"] == 1]
    assert json.loads("".join(d["partial_json"] for d in written)) == {"number": 7}
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


async def test_before_the_commit_point_nothing_of_the_first_backend_is_left(start: START) -> None:
    broken = Upstream(
        stream(chunk({"role": "assistant"}), b'data: {"error": {"message": "no"}}\n\n')
    )
    whole = Upstream(stream(event("good"), event(finish="stop")))
    live = await start(small=broken, large=whole)

    got = await live.post(PATH, asked(stream=True))

    assert kinds(named(got.text)).count("message_start") == 1
    assert got.headers["x-signalbox-backend"] == "large"


async def test_a_stream_that_breaks_ends_with_an_error_event_in_its_own_shape(start: START) -> None:
    live = await start(small=Upstream(stream(event("Hel"))), large=Upstream())

    got = await live.post(PATH, asked(stream=True))

    last = named(got.text)[-1]
    assert last["type"] == "error"
    assert last["error"]["type"] == "api_error"
    assert last["error"]["code"] == "upstream_error"
    assert "message_stop" not in got.text


@pytest.mark.parametrize(
    ("body", "status", "kind", "code", "param"),
    [
        (asked(max_tokens=None), 400, "invalid_request_error", "invalid_request", "max_tokens"),
        (asked(model="nowhere"), 404, "not_found_error", "model_not_found", "model"),
        (
            asked(thinking={"type": "enabled", "budget_tokens": 1024}),
            400,
            "invalid_request_error",
            "unsupported_parameter",
            "thinking",
        ),
        (
            asked(tools=[{"type": "web_search_20250305", "name": "web_search"}]),
            400,
            "invalid_request_error",
            "unsupported_parameter",
            "tools[0]",
        ),
        (
            asked(messages=[{"role": "user", "content": [{"type": "document"}]}]),
            400,
            "invalid_request_error",
            "unsupported_parameter",
            "messages[0].content[0]",
        ),
        (
            asked(messages=[{"role": "user", "content": [{"type": "tool_result"}]}]),
            400,
            "invalid_request_error",
            "invalid_request",
            "messages[0].content[0].tool_use_id",
        ),
    ],
)
async def test_errors_have_the_shape_that_its_sdk_reads(
    start: START, body: dict[str, Any], status: int, kind: str, code: str, param: str
) -> None:
    live = await start(small=Upstream(), large=Upstream())

    got = await live.post(PATH, {name: value for name, value in body.items() if value is not None})

    assert got.status_code == status
    made = got.json()
    assert (made["type"], made["error"]["type"]) == ("error", kind)
    assert (made["error"]["code"], made["error"]["param"]) == (code, param)
    assert made["error"]["message"]
    assert made["request_id"] == got.headers["x-request-id"]


async def test_a_missing_key_is_401_in_its_shape(start: START) -> None:
    live = await start(small=Upstream(), large=Upstream())

    got = await live.post(PATH, asked(), authorization="Bearer wrong")

    assert (got.status_code, got.json()["error"]["type"]) == (401, "authentication_error")


async def test_a_stop_sequence_that_the_backend_names_is_passed_on(start: START) -> None:
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "a"},
        "finish_reason": "stop",
        "stop_reason": "END",
    }
    live = await start(small=Upstream(answer(completion(choices=[choice]))), large=Upstream())

    got = await live.post(PATH, asked(stop_sequences=["END"]))

    assert (got.json()["stop_reason"], got.json()["stop_sequence"]) == ("stop_sequence", "END")
