"""The main job on real input: 200 prompts through the unmodified client, streamed and not."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.installation import ROOT, Site

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("live")]

DATA = Path(os.environ.get("SIGNALBOX_DATA_DIR") or ROOT.parent / "shared" / "data")


def prompts() -> list[dict[str, str]]:
    file = DATA / "prompts.jsonl"
    if not file.exists():
        pytest.skip("needs the real prompts: set SIGNALBOX_DATA_DIR")
    return [json.loads(line) for line in file.read_text().splitlines()]


def ask(client: Any, prompt: dict[str, str], *, stream: bool) -> dict[str, str]:
    """Send one prompt and return how it was answered, from the headers that the client sees."""
    messages = [{"role": "user", "content": prompt["prompt"]}]
    raw = client.chat.completions.with_raw_response.create(
        model="support-triage", messages=messages, stream=stream
    )
    answer = raw.parse()
    if stream:
        text = "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
    else:
        text = answer.choices[0].message.content
    return {
        "kind": prompt["kind"],
        "text": text,
        "decision": raw.headers["x-signalbox-decision-id"],
        "tier": raw.headers.get("x-signalbox-tier", ""),
        "outcome": raw.headers["x-signalbox-outcome"],
        "policy": raw.headers["x-signalbox-policy"],
    }


def test_200_real_prompts_are_all_answered_routed_and_recorded(
    site: Site, openai_client: Any
) -> None:
    todo = list(enumerate(prompts()))

    with ThreadPoolExecutor(12) as pool:
        answers = list(
            pool.map(lambda item: ask(openai_client, item[1], stream=item[0] % 2 == 0), todo)
        )

    assert len({answer["decision"] for answer in answers}) == 200
    assert all(answer["text"] for answer in answers)
    tiers = Counter(answer["tier"] for answer in answers if answer["outcome"] == "served")
    assert tiers["slm"] > 0
    assert tiers["llm"] > 0
    narrow = [a["tier"] for a in answers if a["kind"] == "narrow" and a["outcome"] == "served"]
    assert narrow.count("slm") / len(narrow) > 0.75
    checked = site.settled()
    assert checked["code"] == 0, checked["text"]
    assert checked["text"].rstrip().endswith("ok")


def test_the_models_list_holds_the_route(openai_client: Any) -> None:
    assert [model.id for model in openai_client.models.list()] == ["support-triage"]
    assert openai_client.models.retrieve("support-triage").id == "support-triage"


def test_usage_is_given_on_streams_only_when_it_is_asked_for(openai_client: Any) -> None:
    messages = [{"role": "user", "content": "Do you ship to Norway?"}]
    plain = openai_client.chat.completions.create(
        model="support-triage", messages=messages, stream=True
    )
    asked = openai_client.chat.completions.create(
        model="support-triage",
        messages=messages,
        stream=True,
        stream_options={"include_usage": True},
    )

    assert not any(chunk.usage for chunk in plain)
    assert [chunk.usage.total_tokens > 0 for chunk in asked if chunk.usage] == [True]


def test_metrics_count_decisions_without_request_text(
    site: Site, api: Any, openai_client: Any
) -> None:
    openai_client.chat.completions.create(
        model="support-triage", messages=[{"role": "user", "content": "canary-5521 opening hours?"}]
    )

    text = api.get("/metrics").text

    assert re.search(r'signalbox_decisions_total\{.*route="support-triage"', text)
    assert "canary-5521" not in text
