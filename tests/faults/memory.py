"""A gateway's memory while it is broken: looked at every second, told by tenths of the time."""

from __future__ import annotations

import threading
from contextlib import suppress

from tests.faults.plant import GatewayProcess


class Memory:
    """``watch()`` begins, ``end()`` ends; kilobytes, proportional set size."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    def watch(self, gateway: GatewayProcess) -> None:
        self._thread = threading.Thread(target=self._look, args=(gateway,), daemon=True)
        self._thread.start()

    def end(self) -> None:
        self._over.set()
        if self._thread:
            self._thread.join(10)

    @property
    def growth(self) -> int:
        return self.seen[-1] - self.seen[0] if self.seen else 0

    def by_tenths(self) -> list[int]:
        """The most in each tenth of the time; fewer where it was looked at less often."""
        size = max(1, -(-len(self.seen) // 10))
        return [max(self.seen[at : at + size]) for at in range(0, len(self.seen), size)]

    def _look(self, gateway: GatewayProcess) -> None:
        while True:
            with suppress(OSError):
                self.seen.append(gateway.pss_kb())
            if self._over.wait(1):
                with suppress(OSError):
                    self.seen.append(gateway.pss_kb())
                return
