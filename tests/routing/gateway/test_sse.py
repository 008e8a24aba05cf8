"""Reading a backend's stream: the commit point, the usage, and every way it can end badly."""

from __future__ import annotations

import json

import pytest

from routing.adapters.problems import BadAnswer
from routing.gateway.sse import EVENT_LIMIT, ChatStream


def stream(*, wants_usage: bool = False) -> ChatStream:
    return ChatStream(
        upstream_model="tiny-1", alias="support", wants_usage=wants_usage, keeps_text=False
    )


def event(content: str | None = None, *, finish: str | None = None, **extra: object) -> bytes:
    delta = {} if content is None else {"content": content}
    chunk = {
        "id": "c1",
        "model": "tiny-1",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **extra,
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def test_role_and_empty_deltas_do_not_commit() -> None:
    events = stream()

    events.feed(event(""))

    assert not events.has_content


def test_the_first_word_commits() -> None:
    events = stream()

    events.feed(event("Hello"))

    assert events.has_content


def test_a_tool_call_commits() -> None:
    events = stream()
    chunk = {"choices": [{"delta": {"tool_calls": [{"index": 0}]}, "finish_reason": None}]}

    events.feed(b"data: " + json.dumps(chunk).encode() + b"\n\n")

    assert events.has_content


def test_the_model_is_named_as_the_client_asked_for_it() -> None:
    assert b'"model":"support"' in stream().feed(event("x")).replace(b'": "', b'":"')


def test_an_event_cut_in_the_middle_of_a_character_is_put_together() -> None:
    events, raw = stream(), event("Größe")

    first = events.feed(raw[:70])
    second = events.feed(raw[70:])

    assert first == b""
    assert json.loads(second[6:])["choices"][0]["delta"]["content"] == "Größe"


def test_the_end_marker_is_not_passed_on() -> None:
    events = stream()

    passed = events.feed(event("x") + event(None, finish="stop") + b"data: [DONE]\n\n")

    assert b"[DONE]" not in passed
    assert events.is_done
    assert events.has_finished


def test_usage_is_read_from_any_chunk_and_its_own_chunk_is_stripped_unless_wanted() -> None:
    usage = b'data: {"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n'
    asked, unasked = stream(wants_usage=True), stream()

    asked_got, unasked_got = asked.feed(event("x") + usage), unasked.feed(event("x") + usage)

    assert b"usage" in asked_got
    assert b"usage" not in unasked_got
    assert unasked.usage == {"prompt_tokens": 7, "completion_tokens": 3}


@pytest.mark.parametrize(
    "raw",
    [
        b'data: {"error":{"message":"overloaded"}}\n\n',
        b"data: <html>\n\n",
        b"data: []\n\n",
        b'data: {"choices":null}\n\n',
        b"data: " + b"x" * (EVENT_LIMIT + 1),
    ],
)
def test_what_is_not_a_chunk_is_a_failure(raw: bytes) -> None:
    with pytest.raises(BadAnswer):
        stream().feed(raw)


def test_an_error_after_the_commit_point_is_still_seen() -> None:
    events = stream()
    events.feed(event("x"))

    with pytest.raises(BadAnswer):
        events.feed(b'data: {"error": {"message": "cut"}}\n\n')


def test_comments_and_carriage_returns_are_understood() -> None:
    events = stream()

    passed = events.feed(b": waiting\r\n\r\n" + event("x").replace(b"\n\n", b"\r\n\r\n"))

    assert passed.count(b"data:") == 1
