"""The snapshot on disk, from which a replica starts when its database is away.

Sealed under the installation's payload key, because it says who may call and where data may go.
It carries when the database last confirmed it, so that its age counts over a restart too.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

_PURPOSE = b"signalbox-snapshot/1\x00"
_FUTURE_S = 300.0


class Unusable(Exception):
    """The file exists and must not be used; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A snapshot document as it was kept. ``age_s`` counts from the database's last word."""

    document: dict[str, Any]
    age_s: float


class SnapshotFile:
    """``key`` gives the payload key; it is asked for when the file is read or written."""

    def __init__(self, path: Path, *, key: Callable[[], bytes]) -> None:
        self.path = path
        self._key = key

    def write(self, document: dict[str, Any], *, confirmed_at: float) -> None:
        """Replace the file whole, or raise OSError and leave it as it was."""
        body = orjson.dumps({"confirmed_at": confirmed_at, "document": document})
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.path.with_suffix(f".{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(self._mac(body) + b"\n" + body)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.path)

    def read(self, *, now: float) -> Kept:
        """Raises FileNotFoundError when there is none, and Unusable when it is not ours or odd."""
        mac, _, body = self.path.read_bytes().partition(b"\n")
        if not hmac.compare_digest(mac, self._mac(body)):
            raise Unusable("it was not written by this installation, or was changed")
        content = orjson.loads(body)
        age_s = now - content["confirmed_at"]
        if age_s < -_FUTURE_S:
            raise Unusable("it is dated in the future, so its age is not known: check the clock")
        return Kept(document=content["document"], age_s=max(0.0, age_s))

    def _mac(self, body: bytes) -> bytes:
        key = hashlib.sha256(_PURPOSE + self._key()).digest()
        return hmac.new(key, body, hashlib.sha256).hexdigest().encode()
