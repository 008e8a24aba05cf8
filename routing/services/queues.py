"""How much background work waits in the broker."""

from __future__ import annotations

from dataclasses import dataclass

QUEUES = ("default", "shadow", "reports")
_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Depths:
    """Waiting tasks per queue; `problem` in words where the broker could not be asked."""

    waiting: tuple[tuple[str, int], ...] = ()
    problem: str = ""


def depths() -> Depths:
    import redis
    from django.conf import settings

    client = redis.Redis.from_url(
        settings.BROKER_URL, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S
    )
    try:
        return Depths(waiting=tuple((name, int(client.llen(name))) for name in QUEUES))
    except redis.RedisError as problem:
        return Depths(problem=f"The broker cannot be asked: {type(problem).__name__}.")
    finally:
        client.close()
