"""Clients of the plant, in threads: what each saw is kept, whatever became of its connection."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import httpx

from tests.faults.plant import GatewayProcess, Plant, question

MADE, COMPLETED = "decision.made", "decision.completed"
UNKNOWN, ABORTED = "decision.outcome_unknown", "decision.aborted"


class Clients:
    """Requests in the background; what each saw, whatever became of its connection."""

    def __init__(self, gateway: GatewayProcess) -> None:
        self.gateway = gateway
        self.pool = ThreadPoolExecutor(64)

    def ask(self, request_id: str, route: str = "near") -> Future[tuple[int, str]]:
        return self.pool.submit(self._ask, request_id, route, False, lambda text: False)

    def stream(
        self, request_id: str, leave_when: Callable[[str], bool] = lambda text: False
    ) -> Future[tuple[int, str]]:
        return self.pool.submit(self._ask, request_id, "near", True, leave_when)

    def _ask(
        self, request_id: str, route: str, stream: bool, leave_when: Callable[[str], bool]
    ) -> tuple[int, str]:
        status, text = 0, ""
        headers = {"authorization": f"Bearer {self.gateway.key}", "x-request-id": request_id}
        try:
            with httpx.stream(
                "POST",
                f"{self.gateway.url}/v1/chat/completions",
                json=question(route, stream=stream),
                headers=headers,
                timeout=20,
            ) as answer:
                status = answer.status_code
                for piece in answer.iter_text():
                    text += piece
                    if leave_when(text):
                        break
        except httpx.HTTPError:
            pass
        return status, text


class Load:
    """Clients that ask without pause, and their ledger: request id and the last status seen."""

    def __init__(self, gateway: GatewayProcess, workers: int = 6) -> None:
        self.gateway = gateway
        self.seen: dict[str, int] = {}
        self.is_over = False
        self._pool = ThreadPoolExecutor(workers)
        self._running = [self._pool.submit(self._work, number) for number in range(workers)]

    def _work(self, worker: int) -> None:
        number = 0
        while not self.is_over:
            number += 1
            request_id = f"load-{id(self):x}-{worker}-{number}"
            try:
                answer = self.gateway.ask("near", **{"x-request-id": request_id})
                self.seen[request_id] = answer.status_code
            except httpx.HTTPError:
                self.seen[request_id] = 0
            time.sleep(0.01)

    def end(self) -> Counter[int]:
        self.is_over = True
        for one in self._running:
            one.result(40)
        return Counter(self.seen.values())

    def lost(self, plant: Plant) -> list[str]:
        """Answered requests without exactly one decision and one completion."""
        answered = [name for name, status in self.seen.items() if status == 200]
        found = plant.rows(
            "SELECT request_id, array_agg(kind ORDER BY kind) FROM audit.event "
            "WHERE request_id = ANY(%s) GROUP BY request_id",
            answered,
        )
        kinds = dict(found)
        return [name for name in answered if kinds.get(name) != [COMPLETED, MADE]]


def visits(plant: Plant, request_id: str) -> int:
    return sum(backend.sent(request_id) for backend in plant.backends.values())
