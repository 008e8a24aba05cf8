"""Sends what is due: signed, bounded in time and size, through the guard, and tried again.

Safe to run twice and in several places: a row is taken under its lock and leased; a sender that
died leaves it to the next. A receiver may therefore see a message twice, with the same id.
"""

from __future__ import annotations

import asyncio
import random
import uuid
from base64 import b64encode
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import httpx
from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from httpx_aiohttp import AiohttpTransport
from standardwebhooks import Webhook

import audit
from audit.actors import SYSTEM, Actor
from routing.adapters.egress import AddressNotAllowed, Guard, connector
from routing.models import WebhookDelivery, WebhookEndpoint
from routing.services import secrets

# Before the second try, the third, and so on: ten tries in three days.
WAITS_S: Final = (5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400)
MOST_TRIES: Final = len(WAITS_S) + 1
JITTER: Final = 0.2
TIMEOUT_S: Final = 15.0
# An address that fails this often in a row, for this long, is switched off.
FAILURES: Final = 50
FAILING_FOR: Final = timedelta(hours=24)
KEPT_FOR: Final = timedelta(days=30)
_LEASE: Final = timedelta(seconds=60)
_AT_ONCE: Final = 40
_PER_ENDPOINT: Final = 8

_State = WebhookDelivery.State


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    status: int | None
    problem: str

    @property
    def is_delivered(self) -> bool:
        return not self.problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    delivery_id: uuid.UUID
    url: str
    body: bytes
    headers: dict[str, str]
    problem: str = ""


def owner_of(endpoint: WebhookEndpoint) -> str:
    """The name that a sealed secret is bound to."""
    return f"webhook/{endpoint.pk}"


def open_secret(endpoint: WebhookEndpoint, sealed: bytes | memoryview[int]) -> str:
    return secrets.resolve(f"sealed:{owner_of(endpoint)}:{b64encode(bytes(sealed)).decode()}")


def send_due(*, now: datetime | None = None) -> int:
    """Send what is due, at most a batch; returns how many were tried."""
    now = now or timezone.now()
    taken = _take(now)
    requests = [_request(one, now) for one in taken]
    results = asyncio.run(_post_all(requests)) if requests else []
    for one, result in zip(taken, results, strict=True):
        _note(one, result, timezone.now())
    return len(taken)


@transaction.atomic
def _take(now: datetime) -> Sequence[WebhookDelivery]:
    due = (
        WebhookDelivery.objects.select_for_update(of=("self",), skip_locked=True)
        .select_related("endpoint")
        .filter(state=_State.PENDING, next_try_at__lte=now)
        .order_by("next_try_at")[: _AT_ONCE * 5]
    )
    taken: list[WebhookDelivery] = []
    of_endpoint: Counter[uuid.UUID] = Counter()
    for one in due:
        # One address with a long queue does not make the others wait.
        if of_endpoint[one.endpoint_id] < _PER_ENDPOINT and len(taken) < _AT_ONCE:
            of_endpoint[one.endpoint_id] += 1
            taken.append(one)
    WebhookDelivery.objects.filter(pk__in=[one.pk for one in taken]).update(
        next_try_at=now + _LEASE, tries=F("tries") + 1, last_try_at=now
    )
    for one in taken:
        one.tries += 1
    return taken


def _request(delivery: WebhookDelivery, now: datetime) -> Request:
    endpoint, problem, signatures = delivery.endpoint, "", [""]
    at = now.astimezone(UTC)
    try:
        sealed = [endpoint.secret_sealed]
        if endpoint.signs_twice(now) and endpoint.old_secret_sealed is not None:
            sealed.append(endpoint.old_secret_sealed)
        signatures = [
            Webhook(open_secret(endpoint, one)).sign(delivery.webhook_id, at, delivery.body)
            for one in sealed
        ]
    except secrets.SecretMissing as missing:
        problem = str(missing)
    return Request(
        delivery_id=delivery.pk,
        url=endpoint.url,
        body=delivery.body.encode(),
        headers={
            "content-type": "application/json",
            "user-agent": "Signalbox-Webhooks/1",
            "webhook-id": delivery.webhook_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": " ".join(signatures),
        },
        problem=problem,
    )


async def _post_all(requests: Sequence[Request]) -> list[Result]:
    import aiohttp

    # No proxy, no cookie, and every socket passes the guard with the list of webhooks' own.
    session = aiohttp.ClientSession(
        connector=connector(Guard(settings.WEBHOOK_PRIVATE_ALLOWED)),
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
    )
    async with (
        session,
        httpx.AsyncClient(
            transport=AiohttpTransport(client=session),
            timeout=TIMEOUT_S,
            follow_redirects=False,
            trust_env=False,
        ) as client,
    ):
        return await asyncio.gather(*(_post(client, one) for one in requests))


async def _post(client: httpx.AsyncClient, request: Request) -> Result:
    if request.problem:
        return Result(status=None, problem=request.problem)
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            client.stream(
                "POST", request.url, content=request.body, headers=request.headers
            ) as answer,
        ):
            # The status is all that counts: the body, however long, is not read.
            return _verdict(answer.status_code)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as problem:
        return Result(status=None, problem=_words(problem)[:300])


def _words(problem: BaseException) -> str:
    """Why it could not be sent. A refusal of ours lies beneath whatever the library made of it."""
    below: BaseException | None = problem
    while below is not None:
        if isinstance(below, AddressNotAllowed):
            return f"Signalbox may not send there: {below}."
        below = below.__cause__ or below.__context__
    if isinstance(problem, (TimeoutError, httpx.TimeoutException)):
        return f"No answer within {TIMEOUT_S:.0f} seconds."
    return str(problem) or type(problem).__name__


def _verdict(status: int) -> Result:
    if 200 <= status < 300:
        return Result(status=status, problem="")
    if status == 410:
        return Result(status=status, problem="The receiver answered that it is gone.")
    if 300 <= status < 400:
        return Result(status=status, problem="The receiver redirects; redirects are not followed.")
    return Result(status=status, problem=f"The receiver answered with status {status}.")


@transaction.atomic
def _note(delivery: WebhookDelivery, result: Result, now: datetime) -> None:
    """Write down how a try went, unless somebody else has taken the row since."""
    endpoint = WebhookEndpoint.objects.select_for_update().get(pk=delivery.endpoint_id)
    mine = WebhookDelivery.objects.filter(
        pk=delivery.pk, state=_State.PENDING, tries=delivery.tries
    )
    seen = {"last_status": result.status, "last_problem": result.problem}
    if result.is_delivered:
        mine.update(state=_State.DELIVERED, next_try_at=None, ended_at=now, **seen)
        endpoint.failures_in_a_row, endpoint.failing_since = 0, None
        endpoint.save(update_fields=["failures_in_a_row", "failing_since"])
        return
    endpoint.failures_in_a_row += 1
    endpoint.failing_since = endpoint.failing_since or now
    endpoint.save(update_fields=["failures_in_a_row", "failing_since"])
    is_last = delivery.tries >= MOST_TRIES or result.status == 410
    if is_last:
        mine.update(state=_State.FAILED, next_try_at=None, ended_at=now, **seen)
    else:
        mine.update(next_try_at=now + wait_after(delivery.tries), **seen)
    if endpoint.is_active and (why := _why_off(endpoint, delivery, result, now)):
        switch_off(endpoint, by=SYSTEM("webhooks"), reason=why, now=now)


def wait_after(tries: int) -> timedelta:
    """How long until the next try, spread so that a receiver that comes back is not overrun."""
    spread = random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311 - no secret hangs on it
    return timedelta(seconds=WAITS_S[tries - 1] * spread)


def _why_off(
    endpoint: WebhookEndpoint, delivery: WebhookDelivery, result: Result, now: datetime
) -> str:
    if result.status == 410:
        return "The receiver answered 410: it wants no more."
    since = endpoint.failing_since or now
    if delivery.tries >= MOST_TRIES and since <= delivery.created_at + timedelta(minutes=1):
        return f"A message failed {MOST_TRIES} times, and nothing else got through since."
    if endpoint.failures_in_a_row >= FAILURES and since <= now - FAILING_FOR:
        return f"{endpoint.failures_in_a_row} tries in a row failed within more than a day."
    return ""


def switch_off(endpoint: WebhookEndpoint, *, by: Actor, reason: str, now: datetime) -> None:
    """Stop sending to an address and end what waits for it; call it under the row's lock."""
    endpoint.state, endpoint.disabled_at = WebhookEndpoint.State.DISABLED, now
    endpoint.disabled_why, endpoint.is_disabled_by_system = reason[:300], by.kind == "system"
    endpoint.save(update_fields=["state", "disabled_at", "disabled_why", "is_disabled_by_system"])
    endpoint.deliveries.filter(state=_State.PENDING).update(
        state=_State.FAILED,
        next_try_at=None,
        ended_at=now,
        last_problem="The webhook was disabled before it was delivered.",
    )
    audit.record(
        "webhook.disabled",
        by=by,
        object_type="webhook",
        object_id=str(endpoint.pk),
        reason=reason,
        details={"client": endpoint.client, "failures_in_a_row": endpoint.failures_in_a_row},
    )


def erase_ended(*, now: datetime | None = None) -> int:
    """Delete deliveries that ended a month ago; safe to run twice."""
    before = (now or timezone.now()) - KEPT_FOR
    return WebhookDelivery.objects.filter(ended_at__lt=before).delete()[0]
