"""The unmodified ``openai`` package for Python: responses, background, embeddings, its retries."""

from __future__ import annotations

import json
import time

import httpx
import openai
from checks import HARD, KEY, ROUTE, URL, raised, run
from openai import OpenAI

client = OpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=60)
WEATHER = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
SCHEMA = {
    "type": "object",
    "properties": {"verdict": {"type": "string", "enum": ["yes", "no"]}},
    "required": ["verdict"],
    "additionalProperties": False,
}


def response_has_text_usage_and_a_state() -> None:
    answer = client.responses.create(model=ROUTE, input=HARD)

    assert answer.output_text
    assert answer.status == "completed"
    assert answer.usage.total_tokens == answer.usage.input_tokens + answer.usage.output_tokens


def streamed_response_joins_to_the_whole_one_in_order() -> None:
    whole = client.responses.create(model=ROUTE, input=HARD)
    events = list(client.responses.create(model=ROUTE, input=HARD, stream=True))

    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    numbers = [event.sequence_number for event in events]
    assert text == whole.output_text
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


def demanded_function_is_called_in_a_response() -> None:
    answer = client.responses.create(
        model=ROUTE, input=HARD, tools=[WEATHER], tool_choice="required"
    )

    call = next(item for item in answer.output if item.type == "function_call")
    assert call.name == "get_weather"
    assert json.loads(call.arguments)["city"]


def response_follows_a_json_schema() -> None:
    answer = client.responses.create(
        model=ROUTE,
        input=HARD,
        text={"format": {"type": "json_schema", "name": "v", "schema": SCHEMA, "strict": True}},
    )

    assert json.loads(answer.output_text)["verdict"] in {"yes", "no"}


def background_response_is_polled_to_its_end() -> None:
    begun = client.responses.create(model=ROUTE, input=HARD, background=True)
    ends = time.monotonic() + 60
    found = begun
    while found.status in {"queued", "in_progress"} and time.monotonic() < ends:
        time.sleep(0.2)
        found = client.responses.retrieve(begun.id)

    assert begun.status in {"queued", "in_progress"}
    assert found.status == "completed", found
    assert found.output_text


def background_response_can_be_cancelled_once_and_again() -> None:
    begun = client.responses.create(model=ROUTE, input=HARD, background=True)
    ended = client.responses.cancel(begun.id)
    again = client.responses.cancel(begun.id)

    assert ended.status in {"cancelled", "completed"}
    assert again.status == ended.status


def response_of_nobody_is_not_found() -> None:
    raised(openai.NotFoundError, lambda: client.responses.retrieve("resp_0000000000000000"))


def embeddings_come_as_vectors_and_alike_texts_are_near() -> None:
    texts = ["refund for order seven", "refund for order eight", "tax law of Norway"]
    answer = client.embeddings.create(model=ROUTE, input=texts)

    first, near, far = (item.embedding for item in answer.data)
    assert answer.usage.total_tokens > 0
    assert _dot(first, near) > _dot(first, far)


def _dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other))  # noqa: B905


def packages_own_retry_is_a_decision_of_its_own_each_time() -> None:
    seen = []
    counting = httpx.Client(event_hooks={"request": [seen.append]})
    eager = OpenAI(
        base_url=f"{URL}/v1", api_key=KEY, max_retries=1, timeout=0.2, http_client=counting
    )
    raised(
        openai.APITimeoutError,
        lambda: eager.chat.completions.create(
            model=ROUTE, messages=[{"role": "user", "content": HARD}]
        ),
    )

    assert len(seen) == 2


CHECKS = [
    response_has_text_usage_and_a_state,
    streamed_response_joins_to_the_whole_one_in_order,
    demanded_function_is_called_in_a_response,
    response_follows_a_json_schema,
    background_response_is_polled_to_its_end,
    background_response_can_be_cancelled_once_and_again,
    response_of_nobody_is_not_found,
    embeddings_come_as_vectors_and_alike_texts_are_near,
    packages_own_retry_is_a_decision_of_its_own_each_time,
]

if __name__ == "__main__":
    run(CHECKS)
