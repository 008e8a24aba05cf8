"""Identifiers of the ledger: UUIDv7, and the id of a decision's one terminal event."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime
from typing import Final
from uuid import UUID

_VERSION_7: Final = 0x7 << 76
_VARIANT: Final = 0x2 << 62
_VERSION_MASK: Final = 0xF << 76
_RANDOM_62: Final = (1 << 62) - 1
TERMINAL_VERSION: Final = 8


def uuid7(at_us: int | None = None, *, tail: bytes | None = None) -> UUID:
    """A UUIDv7 of a moment in microseconds since 1970 (default: now), 62 random bits.

    With ``tail`` (a hash) the last bits are its first, so that the same thing gets the same id.

    The 12 bits after the version hold the fraction of the millisecond, so that ids of one process
    sort by time within it.
    """
    moment = time.time_ns() // 1000 if at_us is None else at_us
    ms, us = divmod(moment, 1000)
    random = int.from_bytes(tail[:8] if tail else os.urandom(8), "big") & _RANDOM_62
    return UUID(int=ms << 80 | _VERSION_7 | (us * 4096 // 1000) << 64 | _VARIANT | random)


def terminal_id(decision_id: UUID) -> UUID:
    """The id of the terminal event: the decision's own with version 8. Two cannot be stored."""
    return UUID(int=decision_id.int & ~_VERSION_MASK | TERMINAL_VERSION << 76)


def first_id(at: datetime) -> UUID:
    """The smallest id of a moment, for ranges over ids."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def time_of(event_id: UUID) -> datetime:
    """When an id was made, to the millisecond."""
    return datetime.fromtimestamp((event_id.int >> 80) / 1000, UTC)
