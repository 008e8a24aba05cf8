"""OpenAI's Responses API over the same carrying: shapes in, the event sequence out."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.faults.upstream import Upstream, answer, completion, event, stream
from tests.routing.gateway.conftest import START
from tests.routing.gateway.sse_events import TOOL_PIECES, chunk, kinds, named

PATH = "/v1/responses"


def asked(**more: Any) -> dict[str, Any]:
    return {"model": "support", "input": "Where is my parcel?", **more}


async def test_a_response_is_forwarded_as_chat_and_answered_as_a_response(start: START) -> None:
    small = Upstream()
    live = await start(small=small, large=Upstream())

    got = await live.post(
        PATH,
        asked(
            instructions="Be brief.",
            max_output_tokens=40,
            metadata={"case": "7"},
            text={"format": {"type": "json_schema", "name": "reply", "schema": {"type": "object"}}},
            top_k=5,
        ),
    )

    sent = small.bodies[0]
    assert sent["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Where is my parcel?"},
    ]
    assert (sent["max_tokens"], sent["top_k"]) == (40, 5)
    assert sent["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "reply", "schema": {"type": "object"}},
    }
    assert "metadata" not in sent
    made = got.json()
    assert (made["object"], made["status"], made["model"]) == ("response", "completed", "support")
    assert made["output"][0]["content"][0]["text"] == "fine"
    assert (made["instructions"], made["metadata"]) == ("Be brief.", {"case": "7"})
    assert made["usage"]["total_tokens"] == 11
    assert made["id"] == f"resp_{got.headers['x-signalbox-decision-id'].replace('-', '')}"


async def test_items_of_a_conversation_become_messages_in_order(start: START) -> None:
    large = Upstream()
    live = await start(small=Upstream(), large=large)
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"}
    items = [
        {"role": "user", "content": [{"type": "input_text", "text": "Look:"}, picture]},
        {"type": "reasoning", "id": "rs_1", "summary": []},
        {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "I look it up."}],
        },
        {"type": "function_call", "call_id": "c1", "name": "find", "arguments": "{}"},
        {"type": "function_call", "call_id": "c2", "name": "find", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "lost"},
    ]
    tool = {"type": "function", "name": "find", "parameters": {"type": "object"}, "strict": True}

    await live.post(
        PATH, asked(input=items, tools=[tool], tool_choice={"type": "function", "name": "find"})
    )

    sent = large.bodies[0]
    assert [message["role"] for message in sent["messages"]] == ["user", "assistant", "tool"]
    assert sent["messages"][0]["content"][1]["image_url"]["detail"] == "low"
    assert [call["id"] for call in sent["messages"][1]["tool_calls"]] == ["c1", "c2"]
    assert sent["messages"][1]["content"] == "I look it up."
    assert sent["tools"][0]["function"]["strict"] is True
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "find"}}


async def test_a_streamed_text_has_the_event_sequence_of_the_api(start: START) -> None:
    pieces = (event("Hel"), event("lo"), event(finish="stop"))
    used = b'data: {"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 2}}\n\n'
    live = await start(small=Upstream(stream(*pieces, used)), large=Upstream())

    got = await live.post(PATH, asked(stream=True))

    events = named(got.text)
    assert kinds(events) == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
        "response.output_text.delta",
        "response.output_text.delta",
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    assert [e["sequence_number"] for e in events] == list(range(10))
    last = events[-1]["response"]
    assert last["output"][0]["content"][0]["text"] == "Hello"
    assert last["usage"]["total_tokens"] == 11
    assert last["id"] == events[0]["response"]["id"]
    [end] = await live.ends(got)
    assert (end["kind"], end["details"]["usage_source"]) == ("decision.completed", "reported")


async def test_a_streamed_tool_call_is_an_item_of_its_own(start: START) -> None:
    live = await start(small=Upstream(stream(event("Wait."), *TOOL_PIECES)), large=Upstream())

    got = await live.post(PATH, asked(stream=True))

    events = named(got.text)
    done = [e["item"] for e in events if e["type"] == "response.output_item.done"]
    assert [item["type"] for item in done] == ["message", "function_call"]
    assert (done[1]["call_id"], done[1]["name"]) == ("call_1", "find_parcel")
    assert json.loads(done[1]["arguments"]) == {"number": 7}
    pieces = [e for e in events if e["type"] == "response.function_call_arguments.delta"]
    assert {e["item_id"] for e in pieces} == {done[1]["id"]}
    assert {e["output_index"] for e in pieces} == {1}
    assert events[-1]["response"]["output"] == done


@pytest.mark.parametrize("is_stream", [False, True])
async def test_an_answer_that_was_cut_is_incomplete(start: START, is_stream: bool) -> None:
    cut = (
        stream(event("Hel"), chunk({}, finish="length"))
        if is_stream
        else answer(
            completion(
                choices=[
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": "Hel"},
                        "finish_reason": "length",
                    }
                ]
            )
        )
    )
    live = await start(small=Upstream(cut), large=Upstream())

    got = await live.post(PATH, asked(stream=is_stream))

    made = named(got.text)[-1]["response"] if is_stream else got.json()
    assert made["status"] == "incomplete"
    assert made["incomplete_details"] == {"reason": "max_output_tokens"}


async def test_a_stream_that_breaks_ends_with_an_error_and_never_completes(start: START) -> None:
    live = await start(small=Upstream(stream(event("Hel"))), large=Upstream())

    got = await live.post(PATH, asked(stream=True))

    events = named(got.text)
    assert events[-1]["type"] == "error"
    assert events[-1]["error"]["code"] == "upstream_error"
    assert events[-1]["sequence_number"] == len(events) - 1
    assert "response.completed" not in kinds(events)
    [end] = await live.ends(got)
    assert end["kind"] == "decision.failed"


async def test_the_safe_default_is_a_complete_response_streamed_and_not(start: START) -> None:
    rules = [
        {
            "id": "never",
            "name": "Never",
            "when": {"all": [{"prompt_tokens": {"gte": 0}}]},
            "then": {"safe_default": {"text": "Later.", "finish_reason": "stop"}},
        }
    ]
    live = await start({"rules": rules}, small=Upstream(), large=Upstream())

    whole = await live.post(PATH, asked())
    streamed = await live.post(PATH, asked(stream=True))

    assert whole.json()["output"][0]["content"][0]["text"] == "Later."
    assert kinds(named(streamed.text))[-1] == "response.completed"
    assert "Later." in streamed.text


@pytest.mark.parametrize(
    ("more", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"tools": [{"type": "web_search"}]}, "tools[0].type"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "input[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
            "input[0].content[0]",
        ),
        ({"background": True, "stream": True}, "stream"),
    ],
)
async def test_what_is_not_supported_is_refused_by_its_name(
    start: START, more: dict[str, Any], param: str
) -> None:
    small = Upstream()
    live = await start(small=small, large=Upstream())

    got = await live.post(PATH, asked(**more))

    assert (got.status_code, got.json()["error"]["code"]) == (400, "unsupported_parameter")
    assert got.json()["error"]["param"] == param
    assert small.bodies == []


@pytest.mark.parametrize(
    "more",
    [
        {"input": ""},
        {"input": []},
        {"input": [7]},
        {"input": [{"role": "nobody", "content": "x"}]},
        {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
        {"input": [{"type": "function_call", "call_id": "c"}]},
        {"instructions": 3},
        {"max_output_tokens": 0},
        {"metadata": "x"},
        {"text": {"format": {"type": "json_schema"}}},
        {"stream": "yes"},
    ],
)
async def test_what_is_malformed_is_400_and_never_500(start: START, more: dict[str, Any]) -> None:
    live = await start(small=Upstream(), large=Upstream())

    got = await live.post(PATH, asked(**more))

    assert (got.status_code, got.json()["error"]["code"]) == (400, "invalid_request")
    assert set(got.json()["error"]) >= {"message", "type", "param", "code"}
