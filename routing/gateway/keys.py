"""Who calls: one dictionary look-up by SHA-256, the expiry, and the key's request rate."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from routing.gateway.errors import ApiError
from routing.gateway.snapshot import ClientKey, Snapshot

if TYPE_CHECKING:
    from routing.gateway.planning import Plan


class RateLimits:
    """Token buckets in this process: one minute's allowance each, refilled evenly."""

    def __init__(self) -> None:
        self._buckets: dict[str, tuple[float, float]] = {}

    def take(self, key: ClientKey, now: float) -> tuple[int, int]:
        """Take one request; return (remaining, seconds until the bucket is full) or raise 429."""
        limit = key.requests_per_minute
        return self._take(
            key.public_id, limit, 1, now, f"This key may send {limit} requests a minute."
        )

    def admit(self, plan: Plan, now: float) -> list[tuple[bytes, bytes]]:
        """Take a request and its tokens where budgets limit the minute; return the headers.

        The tokens are the prompt's and those that the client allows; `correct` makes them exact.
        """
        headers: list[tuple[bytes, bytes]] = []
        for scope, target in plan.budgeted:
            limits = plan.snapshot.budgets[scope, target].limits
            words = "key" if scope == "key" else "route"
            if (limit := limits.get("requests_per_minute")) is not None:
                said = f"This {words} takes {limit} requests a minute."
                self._take(f"{scope}:{target}:requests", int(limit), 1, now, said)
            if (limit := limits.get("tokens_per_minute")) is not None:
                said = f"This {words} takes {limit} tokens a minute."
                name, amount = _tokens_of(scope, target), tokens_asked(plan)
                left = self._take(name, int(limit), amount, now, said)
                headers = _tighter(headers, int(limit), left)
        return headers

    def correct(self, plan: Plan, used: int) -> None:
        """Put the tokens that were used in the place of those that were asked for."""
        for scope, target in plan.budgeted:
            name = _tokens_of(scope, target)
            if name in self._buckets:
                tokens, at = self._buckets[name]
                self._buckets[name] = (tokens + tokens_asked(plan) - used, at)

    def _take(self, name: str, limit: int, amount: int, now: float, said: str) -> tuple[int, int]:
        rate = limit / 60
        tokens, at = self._buckets.get(name, (float(limit), now))
        tokens = min(float(limit), tokens + (now - at) * rate)
        # What is more than a whole minute's allowance is let in when the bucket is full.
        needed = min(amount, limit) if limit else 1
        if tokens < needed:
            wait = max(1, round((needed - tokens) / rate)) if rate else 60
            raise ApiError("rate_limit_exceeded", said, retry_after_s=wait)
        self._buckets[name] = (tokens - amount, now)
        missing = limit - (tokens - amount)
        return max(0, int(tokens - amount)), int(missing / rate) if rate else 0


def _tokens_of(scope: str, target: str) -> str:
    return f"{scope}:{target}:tokens"


def tokens_asked(plan: Plan) -> int:
    return plan.prompt_tokens + plan.request.output_tokens


def _tighter(
    headers: list[tuple[bytes, bytes]], limit: int, left: tuple[int, int]
) -> list[tuple[bytes, bytes]]:
    """The headers of the limit with the least left; of a key and its route one is tighter."""
    if headers and int(headers[1][1]) <= left[0]:
        return headers
    return [
        (b"x-ratelimit-limit-tokens", str(limit).encode()),
        (b"x-ratelimit-remaining-tokens", str(left[0]).encode()),
        (b"x-ratelimit-reset-tokens", f"{left[1]}s".encode()),
    ]


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
