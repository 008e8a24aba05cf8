"""A held request: the client waits on its connection while a person reads, decides, and answers.

A candidate answer is asked of a private backend meanwhile, never of a public one: nothing leaves
the company before a person has said so. The router itself ends the wait at the deadline.
"""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import TYPE_CHECKING, Any

import orjson

from audit.payloads import SealedPayload
from routing.engine.types import Followup
from routing.gateway import asking, ends
from routing.gateway.answers import STREAM_HEADERS, completion
from routing.gateway.carry import Carrier
from routing.gateway.errors import ApiError
from routing.gateway.exchange import ClientGone, Exchange
from routing.gateway.planning import Plan
from routing.gateway.replica import in_thread
from routing.services import holds

if TYPE_CHECKING:
    from routing.gateway.application import Gateway

_POLL_S = 2.0
_COMMENT_S = 15.0
_PROXY_IDLE_S = 60.0
# A case that outlives its client's wait is due like any other that nobody waits for.
_PENDING_DUE = timedelta(hours=4)


def _hold_s(x: Exchange, plan: Plan) -> float:
    """The shortest of: the rule's hold, the client's patience, the proxy's, the deadline."""
    left = plan.deadline - monotonic() - 0.5
    return max(0.0, min(plan.terms.hold_s, _PROXY_IDLE_S - 5, left))


def hold_row(x: Exchange, plan: Plan, sealed: SealedPayload) -> dict[str, object]:
    """The row that the recorder writes in the commit of the decision."""
    terms, decision = plan.terms, plan.decision
    opened = datetime.now(UTC)
    seed = orjson.dumps(plan.request.fields, option=orjson.OPT_SORT_KEYS)
    wait = _PENDING_DUE if terms.on_timeout == "pending" else timedelta(seconds=_hold_s(x, plan))
    repeat = x.header(b"idempotency-key") or hashlib.sha256(seed).hexdigest()
    return {
        "decision_id": plan.decision_id,
        "opened_at": opened,
        "deadline_at": opened + wait,
        "route": plan.route.slug,
        "policy": plan.route.policy_label,
        "rule": decision.rule,
        "queue": terms.queue,
        "data_class": decision.data_class,
        "client": plan.key.name,
        "sentence": decision.sentence,
        "on_timeout": terms.on_timeout,
        "safe_text": decision.safe_default.text,
        "request_payload": sealed.id,
        "candidate_state": "making" if terms.candidate else "none",
        "dedupe_key": hashlib.sha256(
            f"{plan.key.public_id}:{plan.session}:{repeat}".encode()
        ).hexdigest(),
    }


async def serve(gateway: Gateway, x: Exchange, carrier: Carrier) -> None:
    """Hold the request until a person answers, the hold ends, or the client leaves."""
    plan = carrier.plan
    hold_ends = monotonic() + _hold_s(x, plan)
    await gateway.recorder.durable(carrier.made)
    started = monotonic()
    open_case = asyncio.ensure_future(gateway.announce_hold(plan.decision_id))
    candidate = asyncio.ensure_future(_make_candidate(gateway, x, carrier))
    try:
        if plan.request.is_stream:
            carrier.cause = "held"
            ends.set_outcome(x, carrier, "held")
            await x.begin(200, STREAM_HEADERS)
        hold = await x.unless_gone(_wait(gateway, x, plan, hold_ends))
    except ClientGone:
        await in_thread(lambda: holds.note_delivery(plan.decision_id, "client_gone"))
        raise
    finally:
        candidate.cancel()
        with suppress(asyncio.CancelledError):
            await candidate
        await asyncio.gather(open_case, return_exceptions=True)
    x.upstream_s = monotonic() - started
    await _answer(gateway, x, carrier, hold)


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
    ticket = gateway.recorder.put(payloads=[request], hold=hold_row(x, plan, request))
    # Without its row nobody would ever see the case: then the request fails, and says so.
    await gateway.recorder.durable(ticket)
    candidate = gateway.scribe.payload(plan, "candidate", text.encode())
    await in_thread(
        lambda: holds.store_candidate(
            decision_id=plan.decision_id, payload=candidate, backend=backend
        )
    )
    await serve(gateway, x, carrier)


async def _wait(gateway: Gateway, x: Exchange, plan: Plan, hold_ends: float) -> holds.Answer:
    event = gateway.hold_events.setdefault(str(plan.decision_id), asyncio.Event())
    next_comment = monotonic() + _COMMENT_S
    try:
        while True:
            answer = await in_thread(lambda: holds.answer_of(plan.decision_id))
            if answer is not None:
                return answer
            left = hold_ends - monotonic()
            if left <= 0:
                # Whoever is first wins: a reviewer in this very moment, or the deadline.
                if plan.terms.on_timeout == "pending":
                    return await in_thread(
                        lambda: holds.leave_pending(decision_id=plan.decision_id)
                    )
                return await in_thread(lambda: holds.expire_hold(decision_id=plan.decision_id))
            with suppress(TimeoutError):
                async with asyncio.timeout(min(left, _POLL_S)):
                    await event.wait()
                    event.clear()
            if plan.request.is_stream and monotonic() >= next_comment:
                await x.write(b": review pending\n\n")
                next_comment += _COMMENT_S
    finally:
        gateway.hold_events.pop(str(plan.decision_id), None)


async def _make_candidate(gateway: Gateway, x: Exchange, carrier: Carrier) -> None:
    """Ask the rule's private backend for a draft, so that the reviewer has something to read."""
    plan = carrier.plan
    backend = plan.snapshot.backends.get(plan.terms.candidate or "")
    if backend is None or backend.boundary != "private":
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
    }
    details = {"review": {"disposition": hold.disposition, "state": hold.state}}
    if hold.disposition == "answer":
        await gateway.recorder.durable(ends.end(gateway, x, carrier, "completed", details=details))
        await _delivered(plan)
        carrier.cause = "held"
        ends.set_outcome(x, carrier, "served")
        gateway.metrics.served(plan, "served", x)
        answer = completion(plan, hold.text, finish_reason="stop", extra={"review": review})
        await ends.deliver(x, plan, answer)
    elif hold.disposition == "safe_default":
        await _delivered(plan)
        await ends.serve_safe_default(gateway, x, carrier, {"review": review})
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
            await _delivered(plan)
        carrier.cause = "held" if is_pending else "refused"
        ends.set_outcome(x, carrier, outcome)
        gateway.metrics.served(plan, outcome, x)
        await x.refuse(error, {"review": review})


async def _delivered(plan: Plan) -> None:
    await in_thread(lambda: holds.note_delivery(plan.decision_id, "delivered"))
