"""A held request: the client waits on its connection while a person reads, decides, and answers.

A candidate answer is asked of a private backend meanwhile, never of a public one: nothing leaves
the company before a person has said so. The router itself ends the wait at the deadline.
"""

from __future__ import annotations

import asyncio
import hashlib
import uuid
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any

import orjson

from audit.payloads import SealedPayload
from routing.engine.types import Followup
from routing.gateway import asking, background, ends
from routing.gateway.answers import STREAM_HEADERS, completion
from routing.gateway.carry import Carrier
from routing.gateway.errors import ApiError
from routing.gateway.exchange import ClientGone, Exchange
from routing.gateway.planning import Plan
from routing.gateway.recorder import Row
from routing.gateway.replica import in_thread
from routing.gateway.surfaces.shapes import response_id
from routing.services import holds, responses

if TYPE_CHECKING:
    from routing.gateway.application import Gateway

_POLL_S = 2.0
_COMMENT_S = 15.0
_PROXY_IDLE_S = 60.0
# A case that outlives its client's wait is due like any other that nobody waits for.
_PENDING_DUE = timedelta(hours=4)
# A client that repeats its request within this time asks about the same case.
_REPEATS = timedelta(minutes=15)
_REPEATS_WITH_KEY = timedelta(hours=24)
_RETRY_AFTER_S = 5
_RELEASE_SQL = """
UPDATE routing_hold SET repeats_until = NULL
WHERE dedupe_key = %(dedupe_key)s AND repeats_until < %(opened_at)s
"""
_HOLD_SQL = """
INSERT INTO routing_hold (
    decision_id, opened_at, deadline_at, route, policy, rule, queue, data_class, client, client_id,
    sentence, on_timeout, safe_text, state, delivery, request_payload, candidate_backend,
    candidate_state, disposition, dedupe_key, repeats_until
) VALUES (
    %(decision_id)s, %(opened_at)s, %(deadline_at)s, %(route)s, %(policy)s, %(rule)s, %(queue)s,
    %(data_class)s, %(client)s, %(client_id)s, %(sentence)s, %(on_timeout)s, %(safe_text)s,
    'waiting', 'waiting', %(request_payload)s, '', %(candidate_state)s, '', %(dedupe_key)s,
    %(repeats_until)s
) ON CONFLICT DO NOTHING
"""


def _hold_s(x: Exchange, plan: Plan) -> float:
    """The shortest of: the rule's hold, the client's patience, the proxy's, the deadline."""
    left = plan.deadline - monotonic() - 0.5
    return max(0.0, min(plan.terms.hold_s, _PROXY_IDLE_S - 5, left))


def _outlives_the_wait(x: Exchange, plan: Plan) -> bool:
    """Whether the case goes on when its client stops waiting."""
    return plan.terms.on_timeout == "pending" or plan.request.is_background or _is_async(x, plan)


def _is_async(x: Exchange, plan: Plan) -> bool:
    # A stream's headers go out before anybody can say that nobody came.
    return x.preferred_wait_s() is not None and not plan.request.is_stream


def _repeat_key(x: Exchange, plan: Plan) -> str:
    """The same for the same request again, by the same key and in the same session."""
    body = hashlib.sha256(orjson.dumps(plan.request.fields, option=orjson.OPT_SORT_KEYS))
    given = x.header(b"idempotency-key")[:200]
    seed = "\n".join((plan.key.public_id, plan.route.slug, plan.session, given, body.hexdigest()))
    return hashlib.sha256(seed.encode()).hexdigest()


def rows(
    x: Exchange, plan: Plan, sealed: SealedPayload, *, left_s: float | None = None
) -> tuple[Row, ...]:
    """What the recorder writes in the commit of the decision; ``left_s`` where a wait goes on."""
    terms, decision = plan.terms, plan.decision
    opened = datetime.now(UTC)
    wait = timedelta(seconds=_hold_s(x, plan) if left_s is None else left_s)
    if _outlives_the_wait(x, plan):
        wait = _PENDING_DUE
    repeats = _REPEATS_WITH_KEY if x.header(b"idempotency-key") else _REPEATS
    values: dict[str, object] = {
        "decision_id": plan.decision_id,
        "opened_at": opened,
        "deadline_at": opened + wait,
        "route": plan.route.slug,
        "policy": plan.route.policy_label,
        "rule": decision.rule,
        "queue": terms.queue,
        "data_class": decision.data_class,
        "client": plan.key.name,
        "client_id": plan.key.public_id,
        "sentence": decision.sentence,
        "on_timeout": terms.on_timeout,
        "safe_text": decision.safe_default.text,
        "request_payload": sealed.id,
        "candidate_state": "making" if terms.candidate else "none",
        "dedupe_key": _repeat_key(x, plan),
        "repeats_until": opened + repeats,
    }
    return (_RELEASE_SQL, values), (_HOLD_SQL, values)


async def serve(gateway: Gateway, x: Exchange, carrier: Carrier) -> None:
    """Hold the request until a person answers, the hold ends, or the client leaves."""
    plan = carrier.plan
    hold_ends = monotonic() + _wait_s(x, plan)
    await gateway.recorder.durable(carrier.made)
    started = monotonic()
    held_by = await in_thread(lambda: holds.joined(plan.decision_id, _repeat_key(x, plan)))
    if plan.request.is_background:
        await _leave(gateway, x, carrier, held_by)
        return
    while True:
        hold = await _attend(gateway, x, carrier, hold_ends, held_by)
        if not _is_anothers_end(hold, plan):
            break
        held_by = await _held_anew(gateway, x, plan, max(0.0, hold_ends - monotonic()))
    x.upstream_s = monotonic() - started
    await _answer(gateway, x, carrier, hold)


async def _attend(
    gateway: Gateway, x: Exchange, carrier: Carrier, hold_ends: float, held_by: uuid.UUID
) -> holds.Answer:
    """Open the case, have a draft made, and wait until the hold has ended or time has."""
    plan = carrier.plan
    is_first = held_by == plan.decision_id
    open_case = asyncio.ensure_future(_opened(gateway, plan, is_first=is_first))
    candidate = asyncio.ensure_future(_make_candidate(gateway, x, carrier, is_first=is_first))
    try:
        if plan.request.is_stream and not x.has_started:
            carrier.cause = "held"
            ends.set_outcome(x, carrier, "held")
            await x.begin(200, STREAM_HEADERS)
        return await x.unless_gone(_wait(gateway, x, plan, hold_ends, held_by))
    except ClientGone:
        if is_first:
            await in_thread(lambda: holds.note_delivery(held_by, "client_gone"))
        raise
    finally:
        candidate.cancel()
        with suppress(asyncio.CancelledError):
            await candidate
        await asyncio.gather(open_case, return_exceptions=True)


def _is_anothers_end(hold: holds.Answer, plan: Plan) -> bool:
    """Whether the request that this one repeats was cancelled: its client's word, not ours."""
    return hold.state == "cancelled" and hold.decision_id != plan.decision_id


async def _held_anew(gateway: Gateway, x: Exchange, plan: Plan, left_s: float) -> uuid.UUID:
    """A case of its own for a request that waited on one that is no more."""
    request = gateway.scribe.payload(plan, "request", orjson.dumps(plan.request.fields))
    ticket = gateway.recorder.put(payloads=[request], rows=rows(x, plan, request, left_s=left_s))
    await gateway.recorder.durable(ticket)
    return await in_thread(lambda: holds.joined(plan.decision_id, _repeat_key(x, plan)))


async def serve_doubt(
    gateway: Gateway, x: Exchange, carrier: Carrier, followup: Followup, text: str
) -> None:
    """Hold a request whose answer is doubted; that answer is the candidate of its case."""
    terms = followup.hold
    if terms is None:
        raise LookupError("only a hold has terms")
    decision = replace(
        carrier.plan.decision,
        action="hold",
        hold=replace(terms, candidate=None),
        sentence=followup.sentence,
    )
    plan = carrier.plan = replace(carrier.plan, decision=decision)
    request = gateway.scribe.payload(plan, "request", orjson.dumps(plan.request.fields))
    backend = carrier.current.backend.name
    ticket = gateway.recorder.put(payloads=[request], rows=rows(x, plan, request))
    # Without its row nobody would ever see the case: then the request fails, and says so.
    await gateway.recorder.durable(ticket)
    candidate = gateway.scribe.payload(plan, "candidate", text.encode())
    await in_thread(
        lambda: holds.store_candidate(
            decision_id=plan.decision_id, payload=candidate, backend=backend
        )
    )
    await serve(gateway, x, carrier)


def _wait_s(x: Exchange, plan: Plan) -> float:
    wait = _hold_s(x, plan)
    asked = x.preferred_wait_s() if _is_async(x, plan) else None
    return wait if asked is None else min(wait, asked)


async def _opened(gateway: Gateway, plan: Plan, *, is_first: bool) -> None:
    if is_first:
        await gateway.announce_hold(plan.decision_id)


async def _leave(gateway: Gateway, x: Exchange, carrier: Carrier, held_by: uuid.UUID) -> None:
    """Nobody waits on a connection: the case goes on, and its answer is asked for later."""
    plan = carrier.plan
    is_first = held_by == plan.decision_id
    await _opened(gateway, plan, is_first=is_first)
    await _make_candidate(gateway, x, carrier, is_first=is_first)
    details = {"review": {"disposition": "pending", "state": "waiting", "hold": str(held_by)}}
    kept = x.kept_as("held", held_by=held_by)
    await gateway.recorder.durable(
        ends.end(gateway, x, carrier, "held", details=details, kept=kept)
    )
    # Only now is this one seen among those that wait; a cancel that came before is seen here.
    while True:
        seen = await in_thread(partial(holds.leave_pending, decision_id=held_by))
        if not _is_anothers_end(seen, plan):
            break
        held_by = await _held_anew(gateway, x, plan, 0.0)
        await in_thread(partial(responses.attach, plan.decision_id, held_by=held_by))
        await _opened(gateway, plan, is_first=held_by == plan.decision_id)
    gateway.metrics.served(plan, "held", x)


async def _wait(
    gateway: Gateway, x: Exchange, plan: Plan, hold_ends: float, held_by: uuid.UUID
) -> holds.Answer:
    is_first, event = held_by == plan.decision_id, asyncio.Event()
    waiters = gateway.hold_events.setdefault(str(held_by), set())
    waiters.add(event)
    next_comment = monotonic() + _COMMENT_S
    try:
        while True:
            answer = await in_thread(lambda: holds.answer_of(held_by))
            if answer is not None:
                return answer
            left = hold_ends - monotonic()
            if left <= 0:
                # Whoever is first wins: a reviewer in this very moment, or the deadline.
                # Whoever only repeats the request never ends the hold of who came first.
                if not is_first or _outlives_the_wait(x, plan):
                    return await in_thread(lambda: holds.leave_pending(decision_id=held_by))
                return await in_thread(lambda: holds.expire_hold(decision_id=held_by))
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, _POLL_S)):
                    await event.wait()
                    event.clear()
            if plan.request.is_stream and monotonic() >= next_comment:
                await x.write(b": review pending\n\n")
                next_comment += _COMMENT_S
    finally:
        waiters.discard(event)
        if not waiters:
            gateway.hold_events.pop(str(held_by), None)


async def _make_candidate(
    gateway: Gateway, x: Exchange, carrier: Carrier, *, is_first: bool
) -> None:
    """Ask the rule's private backend for a draft, so that the reviewer has something to read."""
    plan = carrier.plan
    backend = plan.snapshot.backends.get(plan.terms.candidate or "")
    if backend is None or backend.boundary != "private" or not is_first:
        return
    carrier.whole_answer = True
    try:
        answer = await asking.for_whole(x, carrier, backend.name)
        text = answer["choices"][0].get("message", {}).get("content") or ""
    except ApiError:
        # The attempt and its problem are in the decision's terminal event.
        await in_thread(lambda: holds.note_no_candidate(decision_id=plan.decision_id))
        return
    sealed = gateway.scribe.payload(plan, "candidate", str(text).encode())
    await in_thread(
        lambda: holds.store_candidate(
            decision_id=plan.decision_id, payload=sealed, backend=carrier.current.backend.name
        )
    )


async def _answer(gateway: Gateway, x: Exchange, carrier: Carrier, hold: holds.Answer) -> None:
    plan = carrier.plan
    review: dict[str, Any] = {
        "id": str(hold.case_id or plan.decision_id),
        "status": hold.disposition,
        "url": f"{gateway.url}/review/{hold.case_id}/" if hold.case_id else None,
        "response": f"/v1/responses/{response_id(hold.decision_id)}",
    }
    details: dict[str, Any] = {"review": {"disposition": hold.disposition, "state": hold.state}}
    if hold.decision_id != plan.decision_id:
        details["review"]["hold"] = str(hold.decision_id)
    if hold.disposition == "answer":
        await gateway.recorder.durable(ends.end(gateway, x, carrier, "completed", details=details))
        await _delivered(hold)
        carrier.cause = "held"
        ends.set_outcome(x, carrier, "served")
        gateway.metrics.served(plan, "served", x)
        answer = completion(plan, hold.text, finish_reason="stop", extra={"review": review})
        await ends.deliver(x, plan, answer)
    elif hold.disposition == "safe_default":
        await _delivered(hold)
        await ends.serve_safe_default(gateway, x, carrier, {"review": review})
    elif hold.disposition == "pending" and _is_async(x, plan):
        await _accept(gateway, x, carrier, review, details)
    elif hold.state == "cancelled":
        await _let_go(gateway, x, carrier, details)
    else:
        is_pending = hold.disposition == "pending"
        error = (
            ApiError(
                "human_review_pending", "A person has not decided in time; the case stays open."
            )
            if is_pending
            else ApiError("human_review_denied", "A reviewer refused this request.")
        )
        outcome = "held" if is_pending else "refused"
        await gateway.recorder.durable(
            ends.end(gateway, x, carrier, outcome, error_code=error.code, details=details)
        )
        if not is_pending:
            await _delivered(hold)
        carrier.cause = "held" if is_pending else "refused"
        ends.set_outcome(x, carrier, outcome)
        gateway.metrics.served(plan, outcome, x)
        if is_pending:
            x.facts.append((b"location", review["response"].encode()))
        await x.refuse(error, {"review": review})


async def _let_go(gateway: Gateway, x: Exchange, carrier: Carrier, details: dict[str, Any]) -> None:
    """The client itself has cancelled, on another connection: nobody refused anything."""
    error = ApiError("request_cancelled", "This request was cancelled by its client.")
    await gateway.recorder.durable(
        ends.end(gateway, x, carrier, "aborted", error_code=background.BY_CLIENT, details=details)
    )
    gateway.metrics.served(carrier.plan, "aborted", x)
    await x.refuse(error)


async def _accept(
    gateway: Gateway,
    x: Exchange,
    carrier: Carrier,
    review: dict[str, Any],
    details: dict[str, Any],
) -> None:
    """202 for who asked for it: where the answer will be, and still a body that SDKs can read."""
    plan = carrier.plan
    await gateway.recorder.durable(ends.end(gateway, x, carrier, "held", details=details))
    carrier.cause = "held"
    ends.set_outcome(x, carrier, "held")
    gateway.metrics.served(plan, "held", x)
    safe = plan.decision.safe_default
    answer = completion(plan, safe.text, finish_reason=safe.finish_reason, extra={"review": review})
    headers = [
        (b"location", review["response"].encode()),
        (b"retry-after", str(_RETRY_AFTER_S).encode()),
        (b"preference-applied", b"respond-async"),
    ]
    await x.answer(202, x.surface.whole(plan, answer), headers)


async def _delivered(hold: holds.Answer) -> None:
    await in_thread(lambda: holds.note_delivery(hold.decision_id, "delivered"))
