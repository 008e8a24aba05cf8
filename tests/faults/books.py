"""The books of a soak: what the clients saw, and what the public backend was sent.

Both are kept outside of the product, so that they can be laid beside its trail.
"""

from __future__ import annotations

import os
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg

from tests.faults.backend import Visit
from tests.faults.plant import GatewayProcess, Plant, question


class Ledger:
    """The clients' own book: a line a request, on disk before the next is asked."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("ab")
        self._lock = threading.Lock()

    def note(self, request_id: str, decision: str, code: int, *, whole: bool) -> None:
        line = f"{request_id} {decision or '-'} {code} {'whole' if whole else 'part'}\n"
        with self._lock:
            self._file.write(line.encode())
            self._file.flush()
            os.fsync(self._file.fileno())

    def read(self) -> list[tuple[str, str, int, bool]]:
        rows = (line.split() for line in self.path.read_text().splitlines())
        return [(name, found, int(code), how == "whole") for name, found, code, how in rows]


@dataclass(slots=True, kw_only=True)
class Clients:
    """Threads that ask whichever gateway, whole or streamed, and sometimes leave early."""

    targets: list[GatewayProcess]
    ledger: Ledger
    seed: int
    canary: str
    workers: int = 6
    is_over: bool = False
    running: list[Any] = field(default_factory=list)

    def begin(self) -> None:
        pool = ThreadPoolExecutor(self.workers)
        self.running = [pool.submit(self._work, number) for number in range(self.workers)]

    def end(self) -> None:
        self.is_over = True
        for one in self.running:
            one.result(60)

    def _work(self, worker: int) -> None:
        chance = random.Random(f"{self.seed}-{worker}")
        number = 0
        while not self.is_over:
            number += 1
            target = chance.choice(self.targets)
            self._ask(target, f"soak-{self.seed}-{worker}-{number}", chance)
            time.sleep(chance.random() * 0.03)

    def _ask(self, target: GatewayProcess, request_id: str, chance: random.Random) -> None:
        stream, leaves = chance.random() < 0.5, chance.random() < 0.1
        route = "away" if chance.random() < 0.4 else "near"
        decision, code, text, is_whole = "", 0, "", False
        headers = {"authorization": f"Bearer {target.key}", "x-request-id": request_id}
        with (
            suppress(httpx.HTTPError),
            httpx.stream(
                "POST",
                f"{target.url}/v1/chat/completions",
                json=question(route, stream=stream, text=f"{self.canary} Where is {request_id}?"),
                headers=headers,
                timeout=httpx.Timeout(15, connect=2),
            ) as answer,
        ):
            code = answer.status_code
            decision = answer.headers.get("x-signalbox-decision-id", "")
            for piece in answer.iter_text():
                text += piece
                if leaves:
                    break
            is_whole = not leaves and (not stream or text.endswith("[DONE]\n\n") or code != 200)
        self.ledger.note(request_id, decision, code, whole=is_whole)


class Witness:
    """At the public backend: was this request's decision committed when it arrived here?"""

    def __init__(self, plant: Plant) -> None:
        self._plant = plant
        self._pool = ThreadPoolExecutor(4)
        self.unrecorded: list[str] = []
        self.looked = 0
        self.is_over = False
        plant.backends["cloud"].on_visit = lambda visit: (
            self._pool.submit(self._look, visit) and None
        )

    def _look(self, visit: Visit) -> None:
        while True:
            try:
                found = self._plant.kinds(request_id=visit.request_id)
                break
            except psycopg.Error:
                # It is down: what it had committed, it still has when it is back.
                if self.is_over:
                    return
                time.sleep(0.2)
        self.looked += 1
        if "decision.made" not in found:
            self.unrecorded.append(visit.request_id)

    def end(self) -> None:
        self._pool.shutdown(wait=True)
