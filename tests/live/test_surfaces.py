"""The other surfaces of the running product: the unmodified OpenAI SDK, and messages by hand."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from tests.installation import Site

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("live")]

ROUTE = "support-triage"
HARD = (
    "Prove step by step that the sum of two odd integers is even, and then discuss, with three "
    "examples, why the argument fails for real numbers that are not integers. Compare both cases."
)
WEATHER = {
    "type": "function",
    "name": "weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


def polled(client: Any, response: Any, *, timeout_s: float = 30) -> Any:
    ends = time.monotonic() + timeout_s
    while response.status in {"queued", "in_progress"} and time.monotonic() < ends:
        time.sleep(0.2)
        response = client.responses.retrieve(response.id)
    return response


def test_responses_whole_and_streamed_say_the_same(openai_client: Any) -> None:
    whole = openai_client.responses.create(model=ROUTE, input=HARD, instructions="Be brief.")
    stream = openai_client.responses.create(
        model=ROUTE, input=HARD, instructions="Be brief.", stream=True
    )
    events = list(stream)

    assert (whole.status, whole.model) == ("completed", ROUTE)
    assert whole.output_text
    assert whole.usage.total_tokens > 0
    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == text == whole.output_text
    assert [e.sequence_number for e in events] == list(range(len(events)))


def test_the_streaming_reader_of_the_sdk_puts_a_response_together(openai_client: Any) -> None:
    with openai_client.responses.stream(model=ROUTE, input=HARD) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()

    assert "response.output_text.done" in kinds
    assert final.output_text


def test_a_demanded_tool_is_called_and_its_result_is_read(openai_client: Any) -> None:
    asked = openai_client.responses.create(
        model=ROUTE, input="What is the weather in Oslo?", tools=[WEATHER], tool_choice="required"
    )
    [call] = asked.output
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "Rain."}
    after = openai_client.responses.create(
        model=ROUTE,
        input=[{"role": "user", "content": "What is the weather in Oslo?"}, call, result],
        tools=[WEATHER],
    )

    assert (call.type, call.name) == ("function_call", "weather")
    assert "city" in json.loads(call.arguments)
    assert after.output_text


def test_a_schema_is_answered_in_its_shape(openai_client: Any) -> None:
    from pydantic import BaseModel

    class Verdict(BaseModel):
        is_even: bool
        why: str

    answer = openai_client.responses.parse(model=ROUTE, input=HARD, text_format=Verdict)

    assert isinstance(answer.output_parsed, Verdict)


def test_a_response_in_the_background_is_polled_to_its_end(openai_client: Any) -> None:
    begun = openai_client.responses.create(model=ROUTE, input=HARD, background=True)

    done = polled(openai_client, begun)

    assert begun.status == "in_progress"
    assert (done.status, done.id) == ("completed", begun.id)
    assert done.output_text


def test_a_response_that_waits_for_a_person_can_be_cancelled(openai_client: Any) -> None:
    begun = openai_client.responses.create(
        model=ROUTE, input="My card is 4111 1111 1111 1111, refund it.", background=True
    )
    waiting = openai_client.responses.retrieve(begun.id)

    cancelled = openai_client.responses.cancel(begun.id)

    assert (begun.status, waiting.status, cancelled.status) == ("queued", "queued", "cancelled")


def test_what_is_not_supported_is_an_error_that_the_sdk_names(openai_client: Any) -> None:
    import openai

    with pytest.raises(openai.BadRequestError) as refused:
        openai_client.responses.create(model=ROUTE, input="More.", previous_response_id="resp_1")

    assert refused.value.code == "unsupported_parameter"
    assert refused.value.param == "previous_response_id"


# Hard enough for the larger backend: the small model makes no embeddings.
@pytest.mark.parametrize("given", [HARD, [HARD, HARD]])
def test_embeddings_come_as_the_sdk_decodes_them(openai_client: Any, given: Any) -> None:
    made = openai_client.embeddings.create(model=ROUTE, input=given)

    assert len(made.data) == (1 if isinstance(given, str) else 2)
    assert all(isinstance(x, float) for entry in made.data for x in entry.embedding)
    assert made.usage.prompt_tokens > 0


def test_a_message_is_streamed_over_a_real_connection(site: Site) -> None:
    body = {
        "model": ROUTE,
        "max_tokens": 60,
        "stream": True,
        "messages": [{"role": "user", "content": HARD}],
    }
    kinds = []
    with httpx.stream(
        "POST",
        f"{site.url}/v1/messages",
        json=body,
        headers={"x-api-key": site.api_key, "anthropic-version": "2023-06-01"},
        timeout=60,
    ) as answer:
        for line in answer.iter_lines():
            if line.startswith("event: "):
                kinds.append(line[7:])

    assert answer.headers["x-signalbox-outcome"] == "served"
    assert kinds[:3] == ["message_start", "ping", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]


def test_every_surface_leaves_a_trail_that_verifies(site: Site) -> None:
    checked = site.settled()

    assert checked["code"] == 0, checked["text"]
    assert checked["open"] == 0
