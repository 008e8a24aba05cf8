"""``litellm`` as a client of the router, like any application that was built on it."""

from __future__ import annotations

import litellm
from checks import HARD, KEY, ROUTE, URL, raised, run

litellm.telemetry = False
CALL = {
    "model": f"openai/{ROUTE}",
    "api_base": f"{URL}/v1",
    "api_key": KEY,
    "messages": [{"role": "user", "content": HARD}],
    "num_retries": 0,
    "max_retries": 0,
    "timeout": 60,
}


def completion_gives_text_and_usage() -> None:
    answer = litellm.completion(**CALL)

    assert answer.choices[0].message.content
    assert answer.usage.total_tokens > 0


def stream_joins_to_the_whole_answer() -> None:
    pieces = [
        chunk.choices[0].delta.content or "" for chunk in litellm.completion(**CALL, stream=True)
    ]

    assert "".join(pieces) == litellm.completion(**CALL).choices[0].message.content


def unknown_route_is_its_not_found() -> None:
    raised(litellm.NotFoundError, lambda: litellm.completion(**{**CALL, "model": "openai/nowhere"}))


CHECKS = [
    completion_gives_text_and_usage,
    stream_joins_to_the_whole_answer,
    unknown_route_is_its_not_found,
]

if __name__ == "__main__":
    run(CHECKS)
