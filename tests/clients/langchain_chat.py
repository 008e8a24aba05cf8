"""The unmodified ``langchain-openai`` package: invoke, stream, tools, structured output."""

from __future__ import annotations

from checks import HARD, KEY, ROUTE, URL, run
from langchain_openai import ChatOpenAI

model = ChatOpenAI(model=ROUTE, base_url=f"{URL}/v1", api_key=KEY, max_retries=0, timeout=60)
SCHEMA = {
    "title": "Verdict",
    "description": "A verdict.",
    "type": "object",
    "properties": {"verdict": {"type": "string", "enum": ["yes", "no"]}},
    "required": ["verdict"],
    "additionalProperties": False,
}


def get_weather(city: str) -> str:
    """The weather of a city."""
    return city


def invoke_gives_text_and_usage() -> None:
    answer = model.invoke(HARD)

    assert answer.content
    assert answer.usage_metadata["total_tokens"] > 0


def stream_joins_to_the_whole_answer() -> None:
    assert "".join(str(chunk.content) for chunk in model.stream(HARD)) == model.invoke(HARD).content


def bound_tool_is_called() -> None:
    answer = model.bind_tools([get_weather], tool_choice="get_weather").invoke(HARD)

    assert answer.tool_calls[0]["name"] == "get_weather"


def structured_output_follows_the_schema() -> None:
    answer = model.with_structured_output(SCHEMA, method="json_schema").invoke(HARD)

    assert answer["verdict"] in {"yes", "no"}


def batch_answers_in_order() -> None:
    first, second = model.batch([HARD, HARD + " Be brief."])

    assert first.content == model.invoke(HARD).content
    assert second.content


CHECKS = [
    invoke_gives_text_and_usage,
    stream_joins_to_the_whole_answer,
    bound_tool_is_called,
    structured_output_follows_the_schema,
    batch_answers_in_order,
]

if __name__ == "__main__":
    run(CHECKS)
