"""Starts the fake model: the C program, or where no compiler is, the same answers from Python."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks.overhead.machine import Cores
from benchmarks.overhead.programs import Missing, compiled, say
from benchmarks.overhead.requests import UPSTREAMS
from benchmarks.overhead.server import Server, free_port

_ANSWER = "You can reset the password yourself: open the sign-in page and choose the link. " * 3
_HEAD = {
    "id": "chatcmpl-B9MHDbslfkBeAs8l4bebGdFOJ6PeG",
    "created": 1741570283,
    "model": "fake-model",
}
_USAGE = {"prompt_tokens": 110, "completion_tokens": 32, "total_tokens": 142}
_EVENTS = 35


class Upstream:
    """One listener for each kind of ``UPSTREAMS``, in one process (C) or one each (Python)."""

    def __init__(self, *, folder: Path, cores: Cores) -> None:
        self.ports = {kind: free_port() for kind in UPSTREAMS}
        try:
            words = [f"{self.ports[kind]}:{d}:{p}" for kind, (d, p) in UPSTREAMS.items()]
            commands = [[str(compiled("upstream")), *words]]
            self.written_in = "C"
        except Missing as problem:
            say(f"The upstream is Python's, so figures of fast gateways are too low: {problem}")
            module = [sys.executable, "-m", "benchmarks.overhead.upstream"]
            commands = [
                [*module, str(self.ports[kind]), str(d), str(p)]
                for kind, (d, p) in UPSTREAMS.items()
            ]
            self.written_in = "Python"
        self.servers = [
            Server(name="upstream", command=c, log=folder / "upstream.log", cores=cores.rest)
            for c in commands
        ]

    def start(self) -> None:
        for server in self.servers:
            server.start()
        for port in self.ports.values():
            self.servers[0].wait_until(port, timeout_s=20)

    def stop(self) -> None:
        for server in self.servers:
            server.stop()


def _completion() -> bytes:
    message = {"role": "assistant", "content": _ANSWER, "refusal": None, "annotations": []}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    body = {**_HEAD, "object": "chat.completion", "choices": [choice], "usage": _USAGE}
    return json.dumps(body, separators=(",", ":")).encode()


def _events() -> list[bytes]:
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": " answer"}] * (_EVENTS - 3) + [{}]
    chunks: list[dict[str, Any]] = [
        {
            "choices": [
                {"index": 0, "delta": d, "logprobs": None, "finish_reason": None if d else "stop"}
            ]
        }
        for d in deltas
    ]
    chunks.append({"choices": [], "usage": _USAGE})
    head = {**_HEAD, "object": "chat.completion.chunk", "system_fingerprint": "fp_44709d6fcb"}
    texts = [json.dumps({**head, **chunk}, separators=(",", ":")) for chunk in chunks]
    return [f"data: {text}\n\n".encode() for text in [*texts, "[DONE]"]]


def application(delay_s: float, pace_s: float) -> Any:
    """The ASGI form of the fake model."""
    completion, events = _completion(), _events()

    async def answer(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        await asyncio.sleep(delay_s)
        is_stream = b'"stream":true' in body or b'"stream": true' in body
        kind = b"text/event-stream; charset=utf-8" if is_stream else b"application/json"
        headers = [(b"content-type", kind), (b"x-request-id", b"req_fake")]
        if not is_stream:
            headers.append((b"content-length", str(len(completion)).encode()))
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        if not is_stream:
            await send({"type": "http.response.body", "body": completion})
            return
        for part in events if pace_s else [b"".join(events)]:
            await send({"type": "http.response.body", "body": part, "more_body": True})
            await asyncio.sleep(pace_s)
        await send({"type": "http.response.body", "body": b""})

    return answer


def main() -> None:
    import uvicorn

    port, delay_us, pace_us = map(int, sys.argv[1:4])
    uvicorn.run(
        application(delay_us / 1e6, pace_us / 1e6),
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        lifespan="off",
        log_level="warning",
    )


if __name__ == "__main__":
    main()
