"""Our own HTTP client against backends that answer badly, slowly, twice, or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from routing.adapters import connection as connections
from routing.adapters import openai_compatible
from routing.adapters.connection import Clocks
from routing.adapters.egress import Guard
from routing.adapters.openai_compatible import OpenAICompatible
from routing.adapters.problems import (
    BadAnswer,
    BadStatus,
    Forbidden,
    TooSlow,
    Unreachable,
)

CLOCKS = Clocks(first_byte_s=2.0, idle_s=2.0, total_s=4.0)
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Coroutine[Any, Any, None]]


class Backend:
    """A socket that says what it is told to, and notes what it was asked."""

    def __init__(self, *answers: bytes | list[bytes | float], then_close: bool = False) -> None:
        self.answers = list(answers)
        self.then_close = then_close
        self.asked: list[bytes] = []
        self.connections = 0
        self.gone = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        quiet = (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError)
        with contextlib.suppress(*quiet):
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.asked.append(head + await reader.readexactly(length))
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                for part in [answer] if isinstance(answer, bytes) else answer:
                    if isinstance(part, float):
                        await asyncio.sleep(part)
                    else:
                        writer.write(part)
                        await writer.drain()
                if self.then_close:
                    break
        self.gone.set()
        writer.close()


@contextlib.asynccontextmanager
async def adapter_for(
    backend: Backend, *, limit: int = 0, secret: str = "sk", allowed: bool = True
) -> AsyncIterator[OpenAICompatible]:
    server = await asyncio.start_server(backend.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    adapter = OpenAICompatible(
        name="them",
        base_url=f"http://127.0.0.1:{port}/v1/",
        secret=secret,
        guard=Guard([f"127.0.0.1:{port}"] if allowed else []),
        max_in_flight=limit,
    )
    try:
        yield adapter
    finally:
        await adapter.close()
        server.close()


def plain(body: bytes, *more: bytes, status: bytes = b"200 OK") -> bytes:
    lines = [b"HTTP/1.1 " + status, b"content-length: %d" % len(body), *more]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def chunked(*chunks: bytes, kind: bytes = b"text/event-stream", end: bool = True) -> bytes:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: " + kind + b"\r\ntransfer-encoding: chunked\r\n\r\n"
    sent = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head + sent + (b"0\r\n\r\n" if end else b"")


async def send(adapter: OpenAICompatible, clocks: Clocks = CLOCKS, body: bytes = b"{}") -> bytes:
    return (await adapter.send("/chat", body, clocks=clocks, request_id="req_1")).body


async def test_the_request_is_one_plain_post_with_our_headers_only() -> None:
    backend = Backend(plain(b"yes", b"x-request-id: up-7"))
    async with adapter_for(backend) as adapter:
        reply = await adapter.send("/chat", b'{"a":1}', clocks=CLOCKS, request_id="req_1")

    lines = backend.asked[0].decode().split("\r\n")
    assert reply.body == b"yes"
    assert reply.upstream_id == "up-7"
    assert lines[0] == "POST /v1/chat HTTP/1.1"
    assert "authorization: Bearer sk" in lines
    assert "x-request-id: req_1" in lines
    assert lines[-1] == '{"a":1}'
    assert sum(line.startswith("content-length") for line in lines) == 1


async def test_neither_a_secret_nor_an_id_can_smuggle_a_header() -> None:
    backend = Backend(plain(b"yes"))
    async with adapter_for(backend, secret="sk\r\nx-evil: 1") as adapter:
        await adapter.send("/chat", b"{}", clocks=CLOCKS, request_id="a\r\nx-evil: 2")

    assert b"\r\nx-evil" not in backend.asked[0]


async def test_an_answer_may_come_byte_by_byte() -> None:
    answer = chunked(b"hello ", b"world", kind=b"application/json")
    pieces: list[bytes | float] = []
    for i in range(len(answer)):
        pieces += [answer[i : i + 1], 0.0]
    async with adapter_for(Backend(pieces)) as adapter:
        assert await send(adapter) == b"hello world"


async def test_a_connection_is_used_again_after_a_whole_answer() -> None:
    backend = Backend(plain(b"one"), chunked(b"two", kind=b"application/json"), plain(b"three"))
    async with adapter_for(backend) as adapter:
        assert [await send(adapter) for _ in range(3)] == [b"one", b"two", b"three"]

    assert backend.connections == 1


async def test_an_answer_may_end_with_its_connection() -> None:
    backend = Backend(b"HTTP/1.1 200 OK\r\n\r\nuntil the end", then_close=True)
    async with adapter_for(backend) as adapter:
        assert await send(adapter) == b"until the end"
        assert await send(adapter) == b"until the end"

    assert backend.connections == 2


async def test_an_answer_of_http_1_0_is_not_kept_alive() -> None:
    answer = plain(b"old").replace(b"HTTP/1.1", b"HTTP/1.0")
    backend = Backend(answer)
    async with adapter_for(backend) as adapter:
        assert [await send(adapter) for _ in range(2)] == [b"old", b"old"]

    assert backend.connections == 2


async def test_interim_answers_are_passed_over() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"
    backend = Backend(interim + plain(b"yes"))
    async with adapter_for(backend) as adapter:
        assert await send(adapter) == b"yes"
        assert await send(adapter) == b"yes"

    assert backend.connections == 1


async def test_a_bad_status_says_when_to_come_again() -> None:
    answer = plain(b'{"error":1}', b"retry-after: 7", status=b"429 Too Many Requests")
    async with adapter_for(Backend(answer)) as adapter:
        with pytest.raises(BadStatus) as refused:
            await send(adapter)
        with pytest.raises(BadStatus) as of_stream:
            async with adapter.stream("/chat", b"{}", clocks=CLOCKS, request_id="r"):
                pass

    assert (refused.value.status, refused.value.retry_after_s) == (429, 7.0)
    assert of_stream.value.detail == '{"error":1}'


@pytest.mark.parametrize("status", [b"204 No Content", b"302 Found", b"304 Not Modified"])
async def test_statuses_without_an_answer_are_bad_and_end_no_connection(status: bytes) -> None:
    bare = b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nlocation: http://169.254.169.254/\r\n"
    backend = Backend(bare + b"\r\n", plain(b"yes"))
    async with adapter_for(backend) as adapter:
        with pytest.raises(BadStatus):
            await send(adapter)
        assert await send(adapter) == b"yes"


_OK = b"HTTP/1.1 200 OK\r\n"
AMBIGUOUS = {
    "two lengths": _OK + b"content-length: 3\r\ncontent-length: 4\r\n\r\nyes!",
    "the same length twice": _OK + b"content-length: 3\r\ncontent-length: 3\r\n\r\nyes",
    "length and chunks": _OK + b"content-length: 3\r\ntransfer-encoding: chunked\r\n\r\n"
    b"3\r\nyes\r\n0\r\n\r\n",
    "chunks and length": _OK + b"transfer-encoding: chunked\r\ncontent-length: 3\r\n\r\n"
    b"3\r\nyes\r\n0\r\n\r\n",
    "another coding": _OK + b"transfer-encoding: gzip, chunked\r\n\r\n3\r\nyes\r\n0\r\n\r\n",
    "a coding that is not one": _OK + b"transfer-encoding: xchunked\r\n\r\nyes",
    "a negative length": _OK + b"content-length: -3\r\n\r\nyes",
    "a length in words": _OK + b"content-length: three\r\n\r\nyes",
    "a length with a plus": _OK + b"content-length: +3\r\n\r\nyes",
    "a bare line feed": b"HTTP/1.1 200 OK\ncontent-length: 3\n\nyes",
    "a folded header": _OK + b"x-a: 1\r\n b: 2\r\ncontent-length : 3\r\n\r\nyes",
    "a space before the colon": _OK + b"content-length : 3\r\n\r\nyes",
    "a NUL in a header": _OK + b"x-a: \x00\r\ncontent-length: 3\r\n\r\nyes",
    "a chunk size with a sign": _OK + b"transfer-encoding: chunked\r\n\r\n+3\r\nyes\r\n0\r\n\r\n",
    "a chunk that is longer than it says": _OK + b"transfer-encoding: chunked\r\n\r\n"
    b"2\r\nyes\r\n0\r\n\r\n",
    "not HTTP": b"220 smtp.example ESMTP\r\n",
    "an upgrade": b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
}


@pytest.mark.parametrize("answer", AMBIGUOUS.values(), ids=AMBIGUOUS.keys())
async def test_an_answer_that_can_be_read_in_two_ways_is_refused(answer: bytes) -> None:
    backend = Backend(answer, plain(b"clean"))
    async with adapter_for(backend) as adapter:
        with pytest.raises(BadAnswer):
            await send(adapter)
        assert await send(adapter) == b"clean"

    assert backend.connections == 2


async def test_a_second_answer_is_never_that_of_the_next_request() -> None:
    stolen = plain(b"mine") + plain(b"somebody else's")
    backend = Backend(stolen, plain(b"next"))
    async with adapter_for(backend) as adapter:
        assert await send(adapter) == b"mine"
        assert await send(adapter) == b"next"

    assert backend.connections == 2


async def test_bytes_on_an_idle_connection_end_it() -> None:
    backend = Backend([plain(b"mine"), 0.05, plain(b"unasked")], plain(b"next"))
    async with adapter_for(backend) as adapter:
        assert await send(adapter) == b"mine"
        await asyncio.sleep(0.15)
        assert await send(adapter) == b"next"

    assert backend.connections == 2


@pytest.mark.parametrize(
    "flood",
    [
        b"HTTP/1.1 200 OK\r\n" + b"x-a: 1\r\n" * (connections.HEADERS_LIMIT + 2),
        b"HTTP/1.1 200 OK\r\nx-a: " + b"1" * connections.HEAD_LIMIT,
        b"HTTP/1.1 200 " + b"O" * (connections.HEAD_LIMIT + 1),
        b"HTTP/1.1 100 Continue\r\n\r\n" * (connections.INTERIM_LIMIT + 1),
    ],
    ids=["headers", "one long header", "reason", "interim"],
)
async def test_a_flood_before_the_answer_is_cut_off(flood: bytes) -> None:
    async with adapter_for(Backend([flood, 1.0])) as adapter:
        with pytest.raises(BadAnswer):
            await send(adapter, replace(CLOCKS, first_byte_s=0.9))


async def test_trailers_are_counted_and_change_nothing() -> None:
    first = chunked(b"yes", kind=b"application/json", end=False)
    fair = first + b"0\r\nx-request-id: forged\r\n\r\n"
    flood = first + b"0\r\n" + b"x-a: 1\r\n" * (connections.HEADERS_LIMIT + 1) + b"\r\n"
    async with adapter_for(Backend(fair, flood)) as adapter:
        reply = await adapter.send("/chat", b"{}", clocks=CLOCKS, request_id="r")
        with pytest.raises(BadAnswer):
            await send(adapter)

    assert (reply.body, reply.upstream_id) == (b"yes", "")


@pytest.mark.parametrize("is_chunked", [True, False])
async def test_an_answer_that_is_too_large_is_cut_off(
    monkeypatch: pytest.MonkeyPatch, is_chunked: bool
) -> None:
    monkeypatch.setattr(openai_compatible, "ANSWER_LIMIT", 1000)
    large = b"x" * 1001
    async with adapter_for(Backend(chunked(large) if is_chunked else plain(large))) as adapter:
        with pytest.raises(BadAnswer, match="more than 1000 bytes"):
            await send(adapter)


async def test_a_failed_exchange_leaves_nothing_for_the_collector() -> None:
    def kept() -> int:
        return sum(type(one) is connections.Connection for one in gc.get_objects())

    before = kept()
    gc.disable()
    try:
        for backend in (
            Backend(b"HTTP/1.1 200 OK\r\n\x00\r\n\r\n"),
            Backend(plain(b"x" * 9000)[:-5], then_close=True),
        ):
            async with adapter_for(backend) as adapter:
                with pytest.raises(BadAnswer):
                    await send(adapter)
                await asyncio.sleep(0.05)
        assert kept() == before
    finally:
        gc.enable()


async def test_an_answer_that_breaks_off_is_bad_and_one_that_never_began_can_be_retried() -> None:
    cut = Backend(plain(b"whole")[:-2], then_close=True)
    async with adapter_for(cut) as adapter:
        with pytest.raises(BadAnswer):
            await send(adapter)
    cut = Backend(chunked(b"whole", end=False), then_close=True)
    async with adapter_for(cut) as adapter:
        with pytest.raises(BadAnswer):
            await send(adapter)
    silent = Backend([], then_close=True)
    async with adapter_for(silent) as adapter:
        with pytest.raises(Unreachable) as problem:
            await send(adapter)
    assert problem.value.may_retry


async def test_a_compressed_answer_is_refused() -> None:
    async with adapter_for(Backend(plain(b"\x1f\x8b", b"content-encoding: gzip"))) as adapter:
        with pytest.raises(BadAnswer, match="compressed"):
            await send(adapter)


async def test_every_clock_runs_out_by_itself() -> None:
    fast = Clocks(first_byte_s=0.1, idle_s=5.0, total_s=5.0)
    async with adapter_for(Backend([0.4, plain(b"late")])) as adapter:
        with pytest.raises(TooSlow, match="did not answer"):
            await send(adapter, fast)
    idle = Clocks(first_byte_s=2.0, idle_s=0.2, total_s=5.0)
    part = plain(b"whole")
    async with adapter_for(Backend([part[:-2], 0.6, part[-2:]])) as adapter:
        with pytest.raises(TooSlow, match="in the middle"):
            await send(adapter, idle)
    total = Clocks(first_byte_s=2.0, idle_s=0.2, total_s=0.5)
    slowly: list[bytes | float] = [part[:-4]]
    for i in range(4):
        slowly += [0.15, part[len(part) - 4 + i : len(part) - 3 + i]]
    async with adapter_for(Backend(slowly)) as adapter:
        with pytest.raises(TooSlow, match="in the middle"):
            await send(adapter, total)


async def test_bytes_that_keep_coming_keep_the_idle_clock_from_running_out() -> None:
    part = plain(b"whole")
    slowly: list[bytes | float] = [part[:-4]]
    for i in range(4):
        slowly += [0.15, part[len(part) - 4 + i : len(part) - 3 + i]]
    async with adapter_for(Backend(slowly)) as adapter:
        clocks = Clocks(first_byte_s=2.0, idle_s=0.4, total_s=5.0)
        assert await send(adapter, clocks) == b"whole"


async def test_leaving_a_stream_early_ends_the_backends_work() -> None:
    backend = Backend([chunked(b"data: 1\n\n", end=False), *([0.02, b"3\r\n: \n\r\n"] * 200)])
    async with adapter_for(backend) as adapter:
        async with adapter.stream("/chat", b"{}", clocks=CLOCKS, request_id="r") as chunks:
            async for chunk in chunks:
                assert chunk.startswith(b"data: 1")
                break
        await asyncio.wait_for(backend.gone.wait(), 1)


async def test_cancelling_a_request_ends_the_backends_work_and_gives_its_place_back() -> None:
    backend = Backend([0.3, plain(b"one")], plain(b"two"))
    async with adapter_for(backend, limit=1) as adapter:
        task = asyncio.create_task(send(adapter))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await send(adapter) == b"two"

    assert backend.connections == 2


async def test_no_more_requests_run_at_once_than_the_backend_may_have() -> None:
    backend = Backend([0.1, plain(b"yes")])
    async with adapter_for(backend, limit=2) as adapter:
        answers = await asyncio.gather(*(send(adapter) for _ in range(6)))

    assert answers == [b"yes"] * 6
    assert backend.connections == 2


async def test_who_waits_too_long_for_a_place_is_told_and_leaves_the_queue() -> None:
    backend = Backend([0.4, plain(b"yes")])
    async with adapter_for(backend, limit=1) as adapter:
        first = asyncio.create_task(send(adapter))
        await asyncio.sleep(0.05)
        with pytest.raises(TooSlow, match="no room"):
            await send(adapter, replace(CLOCKS, first_byte_s=0.1))
        assert await first == b"yes"
        assert await send(adapter) == b"yes"


async def test_a_fast_backend_waits_for_a_slow_reader() -> None:
    whole = b"data: " + b"x" * 60_000 + b"\n\n"
    count = 200
    backend = Backend([chunked(*[whole] * count)])
    size = 0
    async with adapter_for(backend) as adapter:
        clocks = Clocks(first_byte_s=2.0, idle_s=0.3, total_s=9.0)
        async with adapter.stream("/chat", b"{}", clocks=clocks, request_id="r") as chunks:
            await asyncio.sleep(0.5)
            held = chunks._connection
            assert held is not None
            assert sum(map(len, held._parts)) < 2_000_000
            async for chunk in chunks:
                size += len(chunk)

    assert size == len(whole) * count


async def test_an_address_that_is_not_allowed_is_never_connected() -> None:
    backend = Backend(plain(b"yes"))
    async with adapter_for(backend, allowed=False) as adapter:
        with pytest.raises(Forbidden):
            await send(adapter)

    assert backend.connections == 0


async def test_a_port_where_nobody_listens_is_unreachable() -> None:
    adapter = OpenAICompatible(
        name="them",
        base_url="http://127.0.0.1:1/v1",
        secret="",
        guard=Guard(["127.0.0.1:1"]),
        max_in_flight=1,
    )
    with pytest.raises(Unreachable):
        await send(adapter)
    with pytest.raises(Unreachable):
        await send(adapter)


async def test_a_large_request_goes_out_whole_and_an_early_refusal_ends_the_connection() -> None:
    backend = Backend(plain(b"yes"))
    async with adapter_for(backend) as adapter:
        assert await send(adapter, body=b"x" * 3_000_000) == b"yes"

    assert len(backend.asked[0]) > 3_000_000
