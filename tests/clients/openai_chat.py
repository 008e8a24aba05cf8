"""The unmodified ``openai`` package for Python, current and 1.x: chat completions."""

from __future__ import annotations

import json

import httpx
import openai
from checks import HARD, KEY, ROUTE, URL, raised, run
from openai import OpenAI

client = OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=60)
ASK = [{"role": "user", "content": HARD}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}


def whole_answer_has_text_usage_and_the_route_as_its_model() -> None:
    answer = client.chat.completions.create(model=ROUTE, messages=ASK)

    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.model == ROUTE


def stream_joins_to_the_whole_answer() -> None:
    whole = client.chat.completions.create(model=ROUTE, messages=ASK)
    stream = client.chat.completions.create(
        model=ROUTE, messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)

    pieces = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(pieces) == whole.choices[0].message.content
    assert [chunk.usage.completion_tokens for chunk in chunks if chunk.usage] == [
        whole.usage.completion_tokens
    ]


def decision_is_in_the_headers_of_every_answer() -> None:
    raw = client.chat.completions.with_raw_response.create(model=ROUTE, messages=ASK)

    for name in ("decision-id", "policy", "policy-digest", "rule", "cause", "tier", "backend"):
        assert raw.headers[f"x-signalbox-{name}"], name
    assert raw.headers["x-signalbox-outcome"] == "served"
    assert raw.headers["x-request-id"]


def demanded_tool_is_called() -> None:
    answer = client.chat.completions.create(
        model=ROUTE,
        messages=ASK,
        tools=[WEATHER],
        tool_choice={"type": "function", "function": {"name": "get_weather"}},
    )

    call = answer.choices[0].message.tool_calls[0]
    assert call.function.name == "get_weather"
    assert json.loads(call.function.arguments)["days"] == 1


def streamed_tool_call_joins_and_its_result_is_taken() -> None:
    stream = client.chat.completions.create(
        model=ROUTE, messages=ASK, tools=[WEATHER], tool_choice="required", stream=True
    )
    calls = [
        call
        for chunk in stream
        for choice in chunk.choices
        for call in choice.delta.tool_calls or []
    ]
    arguments = "".join(call.function.arguments or "" for call in calls)
    assert json.loads(arguments)["city"]
    call = {
        "id": calls[0].id,
        "type": "function",
        "function": {"name": calls[0].function.name, "arguments": arguments},
    }
    answer = client.chat.completions.create(
        model=ROUTE,
        tools=[WEATHER],
        messages=[
            *ASK,
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": call["id"], "content": '{"celsius": 4}'},
        ],
    )
    assert answer.choices[0].message.content


def json_schema_is_answered_by_an_instance() -> None:
    schema = {
        "type": "object",
        "properties": {"verdict": {"enum": ["yes", "no"]}, "reason": {"type": "string"}},
        "required": ["verdict", "reason"],
        "additionalProperties": False,
    }
    answer = client.chat.completions.create(
        model=ROUTE,
        messages=ASK,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "verdict", "schema": schema, "strict": True},
        },
    )

    assert json.loads(answer.choices[0].message.content)["verdict"] in {"yes", "no"}


def image_and_unknown_parameters_pass() -> None:
    picture = (
        "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYA"
        "AjCB0C8AAAAASUVORK5CYII="
    )
    content = [
        {"type": "text", "text": "What is in this picture?"},
        {"type": "image_url", "image_url": {"url": picture}},
    ]
    answer = client.chat.completions.create(
        model=ROUTE,
        messages=[{"role": "user", "content": content}],
        extra_body={"some_parameter_of_next_year": {"a": 1}},
    )

    assert answer.choices[0].message.content


def errors_are_the_exceptions_that_the_package_has_for_them() -> None:
    create = client.chat.completions.create
    wrong_key = OpenAI(base_url=f"{URL}/v1", api_key="sk-wrong", max_retries=0)
    unknown = raised(openai.NotFoundError, lambda: create(model="no-such-route", messages=ASK))
    wrong = raised(openai.BadRequestError, lambda: create(model=ROUTE, messages=[]))
    denied = raised(
        openai.AuthenticationError,
        lambda: wrong_key.chat.completions.create(model=ROUTE, messages=ASK),
    )

    assert (unknown.code, wrong.code, denied.code) == (
        "model_not_found",
        "invalid_request",
        "invalid_api_key",
    )
    assert wrong.param == "messages"
    assert all(problem.message for problem in (unknown, wrong, denied))


def final_refusal_is_not_tried_again_by_the_package() -> None:
    seen = []
    counting = httpx.Client(event_hooks={"response": [seen.append]})
    eager = OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=2, http_client=counting)
    raised(openai.APIStatusError, lambda: eager.chat.completions.create(model=ROUTE, messages=[]))

    assert len(seen) == 1


def client_timeout_is_the_packages_own_exception() -> None:
    impatient = OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=0.05)

    raised(
        openai.APITimeoutError,
        lambda: impatient.chat.completions.create(model=ROUTE, messages=ASK),
    )


def abandoned_stream_leaves_the_client_usable() -> None:
    with client.chat.completions.create(model=ROUTE, messages=ASK, stream=True) as stream:
        next(iter(stream))
    answer = client.chat.completions.create(model=ROUTE, messages=ASK)

    assert answer.choices[0].message.content


def models_are_listed_and_found() -> None:
    assert ROUTE in [model.id for model in client.models.list()]
    assert client.models.retrieve(ROUTE).owned_by == "signalbox"


CHECKS = [
    whole_answer_has_text_usage_and_the_route_as_its_model,
    stream_joins_to_the_whole_answer,
    decision_is_in_the_headers_of_every_answer,
    demanded_tool_is_called,
    streamed_tool_call_joins_and_its_result_is_taken,
    json_schema_is_answered_by_an_instance,
    image_and_unknown_parameters_pass,
    errors_are_the_exceptions_that_the_package_has_for_them,
    final_refusal_is_not_tried_again_by_the_package,
    client_timeout_is_the_packages_own_exception,
    abandoned_stream_leaves_the_client_usable,
    models_are_listed_and_found,
]

if __name__ == "__main__":
    run(CHECKS)
