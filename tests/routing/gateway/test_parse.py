"""The strict parser: every malformed body is a 4xx with a sentence, and never a crash."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.gateway.errors import ApiError
from routing.gateway.parse import MAX_DEPTH, chat_request, parse_json

MESSAGES = [{"role": "user", "content": "Where is my parcel?"}]


def body(**fields: object) -> bytes:
    return json.dumps({"model": "support", "messages": MESSAGES, **fields}).encode()


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


@pytest.mark.parametrize(
    ("raw", "says"),
    [
        (b"", "not JSON"),
        (b"[]", "must be a JSON object"),
        (b'{"a":1} x', "not JSON"),
        (b'{"a":1,"a":2}', "appears twice"),
        (b'{"a":{"b":1,"b":2}}', "appears twice"),
        (b'{"a":NaN}', "NaN is not JSON"),
        (b'{"a":-Infinity}', "not JSON"),
        (b'{"a":1e999}', "out of range"),
        (b'{"a":' + b"9" * 5000 + b"}", "too many digits"),
        (b'{"a":"\xff"}', "not UTF-8"),
        (b'\xef\xbb\xbf{"a":1}', "not JSON"),
        (b'{"a":"\\u0000"}', "NUL"),
        (b'{"\\u0000":1}', "NUL"),
        (b'{"a":"x\x00y"}', "not JSON"),
        (b'{"a":"\\ud800"}', "surrogate"),
        (b'{"a":["\\udc00\\ud800"]}', "surrogate"),
        (nested(10_001), "nested more than"),
        (nested(MAX_DEPTH + 1), "nested more than"),
    ],
)
def test_a_malformed_body_is_refused_with_a_reason(raw: bytes, says: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse_json(raw)

    assert refused.value.status == 400
    assert says in refused.value.message


def test_the_deepest_permitted_nesting_is_read() -> None:
    assert "a" in parse_json(nested(MAX_DEPTH))


def test_an_escaped_backslash_before_u0000_is_not_a_nul() -> None:
    assert parse_json(b'{"a":"\\\\u0000"}') == {"a": "\\u0000"}


def test_a_whole_surrogate_pair_is_read() -> None:
    assert parse_json(b'{"a":"\\ud83d\\ude00"}') == {"a": "\U0001f600"}


@given(st.binary(max_size=200))
def test_any_bytes_give_a_value_or_a_400(raw: bytes) -> None:
    try:
        made = parse_json(raw)
    except ApiError as refused:
        assert refused.status == 400  # noqa: PT017
    else:
        assert isinstance(made, dict)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": ""}, "model"),
        ({"model": 7}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": "hello"}, "messages"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, "messages[0].content"),
        ({"messages": ["hello"]}, "messages[0]"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": []}, "stream_options"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"max_completion_tokens": "many"}, "max_completion_tokens"),
        ({"tools": {}}, "tools"),
        ({"response_format": "json"}, "response_format"),
    ],
)
def test_a_wrong_field_is_named(fields: dict[str, object], param: str) -> None:
    with pytest.raises(ApiError) as refused:
        chat_request(body(**fields))

    assert (refused.value.code, refused.value.param) == ("invalid_request", param)


def test_unknown_parameters_are_kept_for_the_backend() -> None:
    request = chat_request(body(top_k=5, extra_body={"x": [1, 2]}))

    assert request.fields["top_k"] == 5
    assert request.fields["extra_body"] == {"x": [1, 2]}
