"""Confidence from the log-probabilities of the demo's own SLM, on questions with known answers."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from socket import socket

import httpx

from benchmarks.escalation.questions import Question
from routing.engine import curve
from routing.engine.curve import Outcome
from routing.gateway import confidence

_SHORT = " Answer in one short sentence."


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    is_right: bool
    q10: float
    mean: float
    tokens: int
    seconds: float


@contextmanager
def small_model() -> Iterator[httpx.Client]:
    """SmolLM2-135M-Instruct on a free port, as ./run starts it."""
    with socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    key = secrets.token_hex(16)
    program = [sys.executable, "-m", "config.servers.small_model", "--port", str(port)]
    process = subprocess.Popen(
        program,
        env={**os.environ, "SIGNALBOX_SLM_KEY": key},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        headers = {"authorization": f"Bearer {key}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120) as c:
            _wait(c)
            yield c
    finally:
        process.terminate()
        process.wait(timeout=20)


def _wait(client: httpx.Client) -> None:
    ends = time.monotonic() + 60
    while time.monotonic() < ends:
        try:
            if client.get("/health").status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.2)
    raise TimeoutError("the small model did not start")


def ask(client: httpx.Client, question: Question) -> Asked:
    body = {
        "model": "any",
        "messages": [{"role": "user", "content": question.text + _SHORT}],
        "max_tokens": 24,
        "temperature": 0,
        "logprobs": True,
    }
    started = time.monotonic()
    answer = client.post("/v1/chat/completions", json=body)
    answer.raise_for_status()
    choice = answer.json()["choices"][0]
    tokens = confidence.tokens_of(choice["logprobs"])
    return Asked(
        is_right=question.is_answered_by(choice["message"]["content"]),
        q10=float(confidence.token_q10(tokens) or 0),
        mean=float(confidence.token_mean(tokens) or 0),
        tokens=len(tokens),
        seconds=time.monotonic() - started,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """``cpt80`` takes the larger model as always right, so it is the best that can be had."""

    rows: int
    right: float
    auroc: float | None
    apgr: float | None
    cpt80: float | None
    p50_s: float


def measure(asked: Sequence[Asked], signal: str) -> Measured:
    outcomes = [
        Outcome(score=1 - getattr(one, signal), small=float(one.is_right), large=1.0, fails=None)
        for one in asked
    ]
    return Measured(
        rows=len(asked),
        right=sum(one.is_right for one in asked) / len(asked),
        auroc=curve.auroc([getattr(one, signal) for one in asked], [one.is_right for one in asked]),
        apgr=curve.apgr(outcomes),
        cpt80=curve.cpt(curve.pgr(curve.curve(outcomes)), 0.8),
        p50_s=sorted(one.seconds for one in asked)[len(asked) // 2],
    )
