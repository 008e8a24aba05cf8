"""Responses in the background: answered at once with their id, carried without a connection.

The response is kept, encrypted, in the commits of its decision and of its end, so it never says
what the trail does not. A process that dies leaves it to the reaper.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from time import monotonic, time
from typing import TYPE_CHECKING, Any

import orjson

from routing.gateway import ends, keys
from routing.gateway.answers import rate_headers
from routing.gateway.carry import Carrier
from routing.gateway.errors import ApiError
from routing.gateway.exchange import Exchange, Kept
from routing.gateway.planning import Plan
from routing.gateway.records import Scribe
from routing.gateway.replica import in_thread
from routing.gateway.surfaces.responses import RESPONSES
from routing.gateway.surfaces.shapes import (
    blank,
    decision_of,
    failed,
    response_id,
    response_object,
    text_answer,
)
from routing.services import responses

if TYPE_CHECKING:
    from routing.gateway.application import Gateway

# A held one has four hours until it is due, and a day more to be fetched.
KEPT_FOR = timedelta(hours=28)
_BEGIN_SQL = """
INSERT INTO routing_storedresponse (decision_id, client_id, created_at, expires_at, state, payload)
VALUES (
    %(decision_id)s, %(client_id)s, %(created_at)s, %(expires_at)s, 'in_progress', %(payload)s
) ON CONFLICT DO NOTHING
"""
# Only what still runs can end: who cancelled, or the reaper, may have been first.
_END_SQL = """
UPDATE routing_storedresponse
SET state = %(state)s, payload = coalesce(%(payload)s, payload), held_by = %(held_by)s,
    finished_at = %(at)s
WHERE decision_id = %(decision_id)s AND state = 'in_progress'
"""

BY_CLIENT = "cancelled"

Work = Callable[["Gateway", Exchange, Carrier], Awaitable[None]]


def begun(scribe: Scribe, plan: Plan) -> Kept:
    """What is written beside the decision of a background request; nothing for others."""
    if not plan.request.is_background:
        return Kept()
    is_held = plan.decision.action == "hold"
    body = response_object(plan, status="queued" if is_held else "in_progress")
    sealed = scribe.payload(plan, "response", orjson.dumps(body))
    now = datetime.now(UTC)
    values = {
        "decision_id": plan.decision_id,
        "client_id": plan.key.public_id,
        "created_at": now,
        "expires_at": now + KEPT_FOR,
        "payload": sealed.id,
    }
    return Kept(payloads=(sealed,), rows=((_BEGIN_SQL, values),))


class Detached(Exchange):
    """The exchange of a request whose connection has been answered: it keeps instead of sending."""

    def __init__(self, x: Exchange, scribe: Scribe, plan: Plan) -> None:
        self.__dict__.update(x.__dict__)
        self.facts = list(x.facts)
        self._send = _to_nobody
        self.has_started = False
        self._scribe = scribe
        self._plan = plan

    def kept_as(
        self,
        state: str,
        *,
        answer: Mapping[str, Any] | None = None,
        error: ApiError | None = None,
        held_by: uuid.UUID | None = None,
    ) -> Kept:
        plan, sealed = self._plan, None
        if answer is not None:
            sealed = self._sealed(RESPONSES.complete(plan, dict(answer)))
        elif error is not None:
            sealed = self._sealed(failed(response_object(plan), error.code, error.message))
        values = {
            "decision_id": plan.decision_id,
            "state": state,
            "payload": sealed and sealed.id,
            "held_by": held_by,
            "at": datetime.now(UTC),
        }
        return Kept(payloads=(sealed,) if sealed else (), rows=((_END_SQL, values),))

    def _sealed(self, body: dict[str, Any]) -> Any:
        return self._scribe.payload(self._plan, "response", orjson.dumps(body))

    async def unless_gone(self, work: Any) -> Any:
        return await work

    async def begin(self, status: int, extra: Any) -> None:
        self.has_started = True


async def _to_nobody(message: Any) -> None:
    """The connection has had its answer, and may serve another request by now."""


async def start(gateway: Gateway, x: Exchange, carrier: Carrier, work: Work) -> None:
    """Answer with the response as it is now, and carry it out beside the connection."""
    plan = carrier.plan
    try:
        await gateway.recorder.durable(carrier.made)
    except ApiError as error:
        await ends.refuse(gateway, x, carrier, error, "failed")
        carrier.settle()
        return
    detached = Detached(x, gateway.scribe, plan)
    task = asyncio.create_task(_run(gateway, detached, carrier, work), name="background")
    gateway.background[str(plan.decision_id)] = task
    task.add_done_callback(lambda _: _forget(gateway, carrier))
    is_held = plan.decision.action == "hold"
    x.facts.append((b"location", f"/v1/responses/{response_id(plan.decision_id)}".encode()))
    body = response_object(plan, status="queued" if is_held else "in_progress")
    await x.answer(200, orjson.dumps(body))


async def _run(gateway: Gateway, x: Exchange, carrier: Carrier, work: Work) -> None:
    with suppress(asyncio.CancelledError):
        await work(gateway, x, carrier)


def _forget(gateway: Gateway, carrier: Carrier) -> None:
    gateway.background.pop(str(carrier.plan.decision_id), None)
    # A task that is cancelled before its first step has given nothing back itself.
    carrier.settle()


async def stop_if_cancelled(gateway: Gateway, decision_id: str) -> None:
    """Called when something happened to a decision that this process carries."""
    cancelled = await in_thread(lambda: responses.is_cancelled(uuid.UUID(decision_id)))
    if cancelled and (task := gateway.background.get(decision_id)) is not None:
        task.cancel(BY_CLIENT)


async def _found(gateway: Gateway, x: Exchange, wanted: str) -> responses.Found:
    snapshot = gateway.current_snapshot()
    x.key = key = keys.authenticate(x.headers, snapshot, time())
    x.facts += rate_headers(key, gateway.rate_limits.take(key, monotonic()))
    decision_id, found = decision_of(wanted), None
    if decision_id is not None:
        found = await in_thread(
            lambda: responses.find(decision_id=decision_id, client_id=key.public_id)
        )
    if found is None:
        raise ApiError(
            "not_found",
            "There is no such response for this key. Responses are kept when they run in the "
            "background or wait for a person, until a day after that.",
            param="response_id",
        )
    x.decision_id = str(found.decision_id)
    x.facts.append((b"x-signalbox-decision-id", x.decision_id.encode()))
    return found


async def fetch(gateway: Gateway, x: Exchange, wanted: str) -> None:
    """``GET /v1/responses/{id}``: the response as it is now."""
    found = await _found(gateway, x, wanted)
    await x.answer(200, orjson.dumps(as_response(found)))


async def cancel(gateway: Gateway, x: Exchange, wanted: str) -> None:
    """``POST /v1/responses/{id}/cancel``; what has ended stays as it is."""
    found = await _found(gateway, x, wanted)
    key = x.key
    if key is None:
        raise LookupError("a found response has a key")
    found = await in_thread(
        lambda: responses.cancel_response(
            decision_id=found.decision_id, client_id=key.public_id, client=key.name
        )
    )
    await x.answer(200, orjson.dumps(as_response(found)))


def as_response(found: responses.Found) -> dict[str, Any]:
    """The response object of what is stored; a person's word about it counts most."""
    body: dict[str, Any]
    if found.body is not None:
        body = orjson.loads(found.body)
    else:
        body = blank(found.decision_id, model=found.model, created_s=found.created_s)
    if found.state == "cancelled":
        return body | {"status": "cancelled"}
    if found.state == "failed" and body["status"] != "failed":
        return failed(body, "server_error", "Its process ended before the answer came.")
    if found.hold is None:
        return body
    hold = found.hold
    body["review"] = {
        "id": str(hold.case_id or hold.decision_id),
        "status": hold.disposition or "pending",
    }
    if hold.state == "waiting":
        return body | {"status": "in_progress" if hold.is_claimed else "queued"}
    if hold.state == "cancelled":
        return body | {"status": "cancelled"}
    if hold.disposition == "refuse":
        return failed(body, "human_review_denied", "A reviewer refused this request.")
    text = hold.text if hold.disposition == "answer" else found.safe_text
    return text_answer(body, found.decision_id, text)
