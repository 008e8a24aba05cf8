"""Who calls: one dictionary look-up by SHA-256, the expiry, and the key's request rate."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

from routing.gateway.errors import ApiError
from routing.gateway.snapshot import ClientKey, Snapshot


class RateLimits:
    """A token bucket per key, in this process: one minute's allowance, refilled evenly."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key: ClientKey, now: float) -> tuple[int, int]:
        """Take one request; return (remaining, seconds until the bucket is full) or raise 429."""
        rate = key.requests_per_minute / 60
        tokens, at = self._buckets.get(key.public_id, (float(key.requests_per_minute), now))
        tokens = min(float(key.requests_per_minute), tokens + (now - at) * rate)
        if tokens < 1:
            wait = max(1, round((1 - tokens) / rate)) if rate else 60
            raise ApiError(
                "rate_limit_exceeded",
                f"This key may send {key.requests_per_minute} requests a minute.",
                retry_after_s=wait,
            )
        self._buckets[key.public_id] = (tokens - 1, now)
        missing = key.requests_per_minute - (tokens - 1)
        return int(tokens - 1), int(missing / rate) if rate else 0


def _presented(headers: Mapping[bytes, bytes]) -> bytes:
    scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() == b"bearer":
        return token.strip()
    return headers.get(b"x-api-key", b"").strip()


def authenticate(headers: Mapping[bytes, bytes], snapshot: Snapshot, now: float) -> ClientKey:
    """Return the key of the request or raise 401. The message never says which part was wrong."""
    presented = _presented(headers)
    # The look-up is by digest, so its time says nothing about the secret.
    key = snapshot.keys.get(hashlib.sha256(presented).digest()) if presented else None
    if key is None or (key.expires_s is not None and key.expires_s <= now):
        raise ApiError("invalid_api_key", "The API key is missing, unknown, expired or revoked.")
    return key
