"""The product with a recorder that forgets, to measure what recording costs. Never for real use.

The switch is here and nowhere in the product: no setting of it can turn its recording off.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

if os.environ.get("SIGNALBOX_BENCH_UNRECORDED") != "1":
    raise RuntimeError("This application records nothing; it exists for benchmarks/overhead only.")

from config.asgi import application, gateway  # noqa: E402  (not without being asked)
from routing.gateway.recorder import Recorder, Ticket  # noqa: E402

__all__ = ["application"]


class Forgetful(Recorder):
    """Says at once that everything is durable. It is sealed as ever, and not committed."""

    async def durable(self, ticket: Ticket) -> None:
        return

    async def _write(self, batch: Sequence[Ticket]) -> None:
        self.batches += 1


gateway.recorder = Forgetful("")
