"""The load generator of load.c in Python, for machines without a compiler: same words, same result.

Slower than the gateways that it should measure, so the result says when it was used.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any


class Answer:
    def __init__(self) -> None:
        self.status, self.is_stream, self.is_done, self.first_s = 0, False, False, 0.0

    @property
    def is_good(self) -> bool:
        return self.status == 200 and (self.is_done or not self.is_stream)


class Connection:
    """One keep-alive connection that sends the same request again and again."""

    def __init__(self, port: int, request: bytes) -> None:
        self.port, self.request = port, request
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self) -> tuple[Answer, float]:
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self.port, limit=2**20)
        reader, writer = self._streams
        begin = perf_counter()
        writer.write(self.request)
        answer = Answer()
        try:
            await self._read(reader, answer, begin)
        except (asyncio.IncompleteReadError, OSError):
            answer.status = 0
            self.close()
        return answer, perf_counter() - begin

    async def _read(self, reader: asyncio.StreamReader, answer: Answer, begin: float) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        answer.first_s = perf_counter() - begin
        answer.status = int(head[9:12])
        answer.is_stream = b"text/event-stream" in head
        if b"\r\ntransfer-encoding: chunked" in head:
            kept = b""
            while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
                kept = kept[-16:] + (await reader.readexactly(size + 2))[:-2]
                answer.is_done = answer.is_done or b"data: [done]" in kept.lower()
            while await reader.readuntil(b"\r\n") != b"\r\n":
                pass
            return
        length = head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0]
        await reader.readexactly(int(length or 0))

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
        self._streams = None


class Count:
    def __init__(self) -> None:
        self.good = self.bad = 0
        self.times: dict[str, list[float]] = {}

    def note(self, answer: Answer, total_s: float, prefix: str = "") -> None:
        if not answer.is_good:
            self.bad += 1
            return
        self.good += 1
        self.times.setdefault(f"{prefix}first_us", []).append(answer.first_s)
        self.times.setdefault(f"{prefix}total_us", []).append(total_s)

    def result(self, seconds: float) -> dict[str, Any]:
        found: dict[str, Any] = {"requests": self.good, "errors": self.bad, "seconds": seconds}
        for name, times in self.times.items():
            times.sort()
            found[name] = {
                f"p{p}": round(times[round((len(times) - 1) * p / 100)] * 1e6, 1)
                for p in (50, 90, 99)
            }
        return found


async def loop(port: int, request: bytes, connections: int, seconds: float, limit: int) -> Count:
    count, ends, started = Count(), monotonic() + seconds, 0

    async def one() -> None:
        nonlocal started
        connection = Connection(port, request)
        while monotonic() < ends and started < limit and count.bad < 1000:
            started += 1
            count.note(*await connection.ask())
        connection.close()

    await asyncio.gather(*(one() for _ in range(connections)))
    return count


async def paired(target: tuple[int, bytes], base: tuple[int, bytes], pairs: int) -> Count:
    count, warm = Count(), Count()
    one, other = Connection(*target), Connection(*base)
    for number in range(pairs + pairs // 10 + 20):
        kept = warm if number < pairs // 10 + 20 else count
        kept.note(*await other.ask(), prefix="base_")
        kept.note(*await one.ask())
    one.close()
    other.close()
    return count


async def main(words: list[str]) -> dict[str, Any]:
    begin = monotonic()
    request = Path(words[2]).read_bytes()
    if words[0] == "loop":
        count = await loop(int(words[1]), request, int(words[3]), float(words[4]), int(words[5]))
    else:
        base = (int(words[3]), Path(words[4]).read_bytes())
        count = await paired((int(words[1]), request), base, int(words[5]))
    return count.result(round(monotonic() - begin, 4))


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(sys.argv[1:]))) + "\n")
