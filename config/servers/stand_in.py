"""A deterministic stand-in for a larger model, for demos and tests: it is not a language model.

Speaks ``POST /v1/chat/completions`` (streaming or not), ``POST /v1/embeddings``,
``GET /v1/models`` and ``GET /health``, and says in every text what it is. The same prompt always
gives the same answer. A tool is called only where ``tool_choice`` demands it.
"""

from __future__ import annotations

import argparse
import array
import asyncio
import base64
import hashlib
import hmac
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

from config.servers import stand_in_text as text

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

BODY_LIMIT_BYTES = 8 * 1024 * 1024
CONTEXT_TOKENS = 32_768
EMBEDDING_DIMENSIONS = 256
_KNOWN = {("GET", "/v1/models"), ("POST", "/v1/chat/completions"), ("POST", "/v1/embeddings")}


class Refused(Exception):
    """An answer with an error object, in the words OpenAI-compatible servers use."""

    def __init__(self, status: int, message: str, code: str) -> None:
        super().__init__(message)
        self.status = status
        kind = "invalid_request_error" if status < 500 else "server_error"
        self.body = {"error": {"message": message, "type": kind, "param": None, "code": code}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One finished answer, in pieces, before it is sent whole or as a stream."""

    id: str
    model: str
    pieces: tuple[str, ...]
    finish_reason: str
    prompt_tokens: int
    with_logprobs: bool
    tool: str = ""

    @property
    def message(self) -> dict[str, Any]:
        said = "".join(self.pieces)
        if not self.tool:
            return {"role": "assistant", "content": said, "refusal": None}
        function = {"name": self.tool, "arguments": said}
        call = {"id": self.call_id, "type": "function", "function": function}
        return {"role": "assistant", "content": None, "refusal": None, "tool_calls": [call]}

    @property
    def call_id(self) -> str:
        return f"call_{self.id[-24:]}"

    def delta(self, piece: str, *, is_first: bool) -> dict[str, Any]:
        if not self.tool:
            return {"content": piece}
        call: dict[str, Any] = {"index": 0, "function": {"arguments": piece}}
        if is_first:
            call |= {"id": self.call_id, "type": "function"}
            call["function"]["name"] = self.tool
        return {"tool_calls": [call]}

    @property
    def usage(self) -> dict[str, int]:
        made = len(self.pieces)
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": made,
            "total_tokens": self.prompt_tokens + made,
        }

    def frame(self, kind: str) -> dict[str, Any]:
        # A fixed time: the answer is a function of the request alone.
        return {"id": self.id, "object": kind, "created": 1_767_225_600, "model": self.model}

    def logprobs(self, pieces: tuple[str, ...]) -> dict[str, Any] | None:
        if not self.with_logprobs:
            return None
        return {"content": [text.logprob(piece) for piece in pieces]}


def answer_to(body: dict[str, Any], *, model: str) -> Answer:
    """Compose the answer to a parsed request; raises ``Refused`` for one that cannot be read."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise Refused(400, "messages must be a non-empty list.", "invalid_messages")
    prompt = text.prompt_of(messages)
    prompt_tokens = text.count_tokens(prompt) + 4 * len(messages)
    if prompt_tokens > CONTEXT_TOKENS:
        raise Refused(
            400, f"The context window is {CONTEXT_TOKENS} tokens.", "context_length_exceeded"
        )
    tool, said = text.forced_call(body) or (
        "",
        text.compose(prompt, messages, body.get("response_format")),
    )
    pieces = text.in_pieces(said)
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    cut = isinstance(limit, int) and 0 < limit < len(pieces)
    digest = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    return Answer(
        id=f"chatcmpl-standin-{digest[:24]}",
        model=model,
        pieces=pieces[:limit] if cut else pieces,
        finish_reason="length" if cut else "tool_calls" if tool else "stop",
        tool=tool,
        prompt_tokens=prompt_tokens,
        with_logprobs=bool(body.get("logprobs")),
    )


def whole(answer: Answer) -> dict[str, Any]:
    choice = {
        "index": 0,
        "message": answer.message,
        "logprobs": answer.logprobs(answer.pieces),
        "finish_reason": answer.finish_reason,
    }
    return answer.frame("chat.completion") | {"choices": [choice], "usage": answer.usage}


def chunks(answer: Answer, *, with_usage: bool) -> list[dict[str, Any]]:
    """The stream's chunks in order: role, one per piece, finish, and usage when asked for."""

    def chunk(delta: dict[str, Any], pieces: tuple[str, ...], reason: str | None) -> dict[str, Any]:
        logprobs = answer.logprobs(pieces) if pieces else None
        choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": reason}
        return frame | {"choices": [choice]}

    frame = answer.frame("chat.completion.chunk") | ({"usage": None} if with_usage else {})
    made = [chunk({"role": "assistant", "content": ""}, (), None)]
    made += [
        chunk(answer.delta(piece, is_first=place == 0), (piece,), None)
        for place, piece in enumerate(answer.pieces)
    ]
    made.append(chunk({}, (), answer.finish_reason))
    if with_usage:
        made.append(frame | {"choices": [], "usage": answer.usage})
    return made


def embeddings_of(body: dict[str, Any], *, model: str) -> dict[str, Any]:
    """The answer to an embeddings request for one text or a list; raises ``Refused`` for others."""
    given = body.get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not texts or not all(isinstance(t, str) for t in texts):
        raise Refused(400, "input must be a text or a list of texts.", "invalid_input")
    dimensions = body.get("dimensions", EMBEDDING_DIMENSIONS)
    if not isinstance(dimensions, int) or not 8 <= dimensions <= 4096:
        raise Refused(400, "dimensions must be from 8 to 4096.", "invalid_dimensions")
    vectors = [text.embedding(t, dimensions) for t in texts]
    if body.get("encoding_format") == "base64":
        encoded: list[Any] = [
            base64.b64encode(array.array("f", vector).tobytes()).decode() for vector in vectors
        ]
    else:
        encoded = vectors
    used = sum(text.count_tokens(t) for t in texts)
    return {
        "object": "list",
        "model": model,
        "usage": {"prompt_tokens": used, "total_tokens": used},
        "data": [
            {"object": "embedding", "index": index, "embedding": vector}
            for index, vector in enumerate(encoded)
        ],
    }


class StandIn:
    """The ASGI application."""

    def __init__(self, *, model: str, key: str, first_ms: float, piece_ms: float) -> None:
        self.model = model
        self.key = key
        self.first_s = first_ms / 1000
        self.piece_s = piece_ms / 1000

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
        elif scope["type"] == "http":
            try:
                await self._respond(scope, receive, send)
            except Refused as refusal:
                await _send_json(send, refusal.body, status=refusal.status)

    async def _respond(self, scope: Scope, receive: Receive, send: Send) -> None:
        asked = (scope["method"], scope["path"])
        if asked == ("GET", "/health"):
            return await _send_json(send, {"status": "ok"})
        if asked not in _KNOWN:
            raise Refused(404, "There is nothing at this address.", "not_found")
        self._check_key(scope)
        if scope["method"] == "GET":
            entry = {"id": self.model, "object": "model", "created": 0, "owned_by": "stand-in"}
            return await _send_json(send, {"object": "list", "data": [entry]})
        body = await _body(receive)
        if scope["path"] == "/v1/embeddings":
            return await _send_json(send, embeddings_of(body, model=self.model))
        answer = answer_to(body, model=self.model)
        if body.get("stream"):
            options = body.get("stream_options") or {}
            return await self._stream(send, answer, with_usage=bool(options.get("include_usage")))
        await asyncio.sleep(self.first_s + self.piece_s * len(answer.pieces))
        await _send_json(send, whole(answer))

    def _check_key(self, scope: Scope) -> None:
        sent = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(sent, b"Bearer " + self.key.encode()):
            raise Refused(401, "The API key is missing or wrong.", "invalid_api_key")

    async def _stream(self, send: Send, answer: Answer, *, with_usage: bool) -> None:
        await asyncio.sleep(self.first_s)
        headers = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-store")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        async for event in self._paced(chunks(answer, with_usage=with_usage)):
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"data: [DONE]\n\n"})

    async def _paced(self, made: list[dict[str, Any]]) -> AsyncIterator[bytes]:
        for chunk in made:
            yield b"data: " + json.dumps(chunk, ensure_ascii=False).encode() + b"\n\n"
            await asyncio.sleep(self.piece_s)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def _body(receive: Receive) -> dict[str, Any]:
    read = bytearray()
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "The client left.", "client_left")
        read += message.get("body", b"")
        more = message.get("more_body", False)
        if len(read) > BODY_LIMIT_BYTES:
            raise Refused(413, "The request is too large.", "request_too_large")
    try:
        body = json.loads(read)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise Refused(400, "The body must be a JSON object.", "invalid_json")
    return body


async def _send_json(send: Send, body: dict[str, Any], *, status: int = 200) -> None:
    content = json.dumps(body, ensure_ascii=False).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(content)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": content})


def main() -> None:
    import uvicorn

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--model", default="stand-in-large")
    parser.add_argument("--key-from", default="SIGNALBOX_LLM_KEY", help="name of the variable")
    parser.add_argument("--first-ms", type=float, default=120.0, help="wait before the first piece")
    parser.add_argument("--piece-ms", type=float, default=4.0, help="wait for each further piece")
    chosen = parser.parse_args()
    application = StandIn(
        model=chosen.model,
        key=os.environ[chosen.key_from],
        first_ms=chosen.first_ms,
        piece_ms=chosen.piece_ms,
    )
    uvicorn.run(
        application,
        host="127.0.0.1",
        port=chosen.port,
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=3,
    )


if __name__ == "__main__":
    main()
