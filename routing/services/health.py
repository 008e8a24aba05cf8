"""Is a backend well? Asks it, stores what it saw, and says which ones are not."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import perf_counter

import httpx
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone
from httpx_aiohttp import AiohttpTransport

import audit
from audit.actors import Actor
from routing.adapters.egress import Guard, connector
from routing.models import Backend, BackendProbe
from routing.services import secrets

_PROBE_TIMEOUT_S = 5.0
_FAILURES_IN_A_ROW = 2
UNHEALTHY_SQL = f"""
SELECT b.name FROM routing_backend b
CROSS JOIN LATERAL (
    SELECT count(*) AS n, bool_or(ok) AS any_ok FROM (
        SELECT ok FROM routing_backendprobe p
        WHERE p.backend_id = b.id ORDER BY p.at DESC LIMIT {_FAILURES_IN_A_ROW}
    ) latest
) seen
WHERE seen.n = {_FAILURES_IN_A_ROW} AND NOT seen.any_ok
"""  # noqa: S608 (a number of ours)


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    ok: bool
    status: int | None
    latency_ms: int
    request: str
    detail: str


async def _ask(url: str, secret: str) -> httpx.Response:
    import aiohttp

    session = aiohttp.ClientSession(
        connector=connector(Guard(settings.EGRESS_PRIVATE_ALLOWED)), trust_env=False
    )
    headers = {"authorization": f"Bearer {secret}"} if secret else {}
    async with (
        session,
        httpx.AsyncClient(
            transport=AiohttpTransport(client=session),
            timeout=_PROBE_TIMEOUT_S,
            follow_redirects=False,
        ) as client,
    ):
        return await client.get(url, headers=headers)


def ask(backend: Backend) -> Probe:
    """List its models: the cheapest question that needs its credentials. No prompt is sent."""
    url = backend.base_url.rstrip("/") + "/models"
    started = perf_counter()
    status, detail = None, ""
    try:
        answer = asyncio.run(_ask(url, secrets.resolve(backend.secret_reference)))
        status = answer.status_code
        detail = _verdict(answer, backend)
    except secrets.SecretMissing as problem:
        detail = str(problem)
    except (httpx.HTTPError, OSError, ValueError) as problem:
        detail = str(problem)[:300] or type(problem).__name__
    return Probe(
        ok=status == 200 and not detail,
        status=status,
        latency_ms=round((perf_counter() - started) * 1000),
        request=f"GET {url}",
        detail=detail,
    )


def _verdict(answer: httpx.Response, backend: Backend) -> str:
    if answer.status_code in {401, 403}:
        return "The backend refuses our credentials."
    if answer.status_code != 200:
        return f"The backend answered with status {answer.status_code}."
    try:
        names = {item["id"] for item in answer.json()["data"]}
    except (ValueError, KeyError, TypeError):
        return "The backend's list of models cannot be read."
    if backend.upstream_model not in names:
        return f"The backend does not list the model {backend.upstream_model!r}."
    return ""


def probe_backend(*, backend_id: int, by: Actor) -> BackendProbe:
    """Ask one backend and store the answer; a change of health is recorded in the trail."""
    backend = Backend.objects.get(pk=backend_id)
    was_well = backend.name not in unhealthy_backends()
    seen = ask(backend)
    with transaction.atomic():
        probe = BackendProbe.objects.create(
            backend=backend,
            at=timezone.now(),
            ok=seen.ok,
            status=seen.status,
            latency_ms=seen.latency_ms,
            request=seen.request,
            detail=seen.detail,
            by=by.name,
        )
        is_well = backend.name not in unhealthy_backends()
        details = {
            "ok": seen.ok,
            "status": seen.status,
            "latency_ms": seen.latency_ms,
            "detail": seen.detail,
        }
        if by.kind == "person":
            audit.record(
                "backend.tested",
                by=by,
                object_type="backend",
                object_id=backend.name,
                details=details,
            )
        if was_well != is_well:
            audit.record(
                "backend.health_changed",
                by=by,
                object_type="backend",
                object_id=backend.name,
                details={**details, "healthy": is_well},
            )
    return probe


def unhealthy_backends() -> frozenset[str]:
    """Backends whose last two probes both failed; one that was never probed counts as well."""
    with connection.cursor() as cursor:
        cursor.execute(UNHEALTHY_SQL)
        return frozenset(name for (name,) in cursor.fetchall())
