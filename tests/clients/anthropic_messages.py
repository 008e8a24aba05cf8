"""The unmodified ``anthropic`` package: messages, streamed and not, tools, errors."""

from __future__ import annotations

import anthropic
from anthropic import Anthropic
from checks import HARD, KEY, ROUTE, URL, raised, run

client = Anthropic(base_url=URL, api_key=KEY, max_retries=0, timeout=60)
ASK = [{"role": "user", "content": HARD}]
WEATHER = {
    "name": "get_weather",
    "description": "The weather of a city.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
    },
}


def message_has_text_usage_and_a_stop_reason() -> None:
    answer = client.messages.create(model=ROUTE, max_tokens=500, messages=ASK)

    assert answer.content[0].text
    assert answer.stop_reason == "end_turn"
    assert answer.usage.input_tokens > 0
    assert answer.usage.output_tokens > 0


def system_text_and_blocks_are_taken() -> None:
    answer = client.messages.create(
        model=ROUTE,
        max_tokens=500,
        system="You answer briefly.",
        messages=[{"role": "user", "content": [{"type": "text", "text": HARD}]}],
    )

    assert answer.content[0].text


def stream_joins_to_the_whole_message() -> None:
    whole = client.messages.create(model=ROUTE, max_tokens=500, messages=ASK)
    with client.messages.stream(model=ROUTE, max_tokens=500, messages=ASK) as stream:
        text = "".join(stream.text_stream)
        final = stream.get_final_message()

    assert text == whole.content[0].text
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens == whole.usage.output_tokens


def limit_of_tokens_is_its_stop_reason() -> None:
    answer = client.messages.create(model=ROUTE, max_tokens=5, messages=ASK)

    assert answer.stop_reason == "max_tokens"


def demanded_tool_is_used_and_its_result_is_taken() -> None:
    asked = client.messages.create(
        model=ROUTE, max_tokens=500, messages=ASK, tools=[WEATHER], tool_choice={"type": "any"}
    )
    use = next(block for block in asked.content if block.type == "tool_use")
    answer = client.messages.create(
        model=ROUTE,
        max_tokens=500,
        tools=[WEATHER],
        messages=[
            *ASK,
            {"role": "assistant", "content": asked.content},
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "4 degrees"}],
            },
        ],
    )

    assert asked.stop_reason == "tool_use"
    assert use.input["city"]
    assert answer.content[0].text


def errors_are_the_exceptions_that_the_package_has_for_them() -> None:
    wrong_key = Anthropic(base_url=URL, api_key="sk-wrong", max_retries=0)
    create = client.messages.create

    raised(
        anthropic.AuthenticationError,
        lambda: wrong_key.messages.create(model=ROUTE, max_tokens=5, messages=ASK),
    )
    raised(
        anthropic.NotFoundError,
        lambda: create(model="no-such-route", max_tokens=5, messages=ASK),
    )
    wrong = raised(
        anthropic.BadRequestError, lambda: create(model=ROUTE, max_tokens=5, messages=[])
    )
    assert wrong.body["error"]["type"] == "invalid_request_error"


CHECKS = [
    message_has_text_usage_and_a_stop_reason,
    system_text_and_blocks_are_taken,
    stream_joins_to_the_whole_message,
    limit_of_tokens_is_its_stop_reason,
    demanded_tool_is_used_and_its_result_is_taken,
    errors_are_the_exceptions_that_the_package_has_for_them,
]

if __name__ == "__main__":
    run(CHECKS)
