"""Serves one request: decide, record, carry, answer. Their order is the product's promise.

``decision.made`` is durable before any byte goes to a public backend and before the first byte of
an answer; exactly one terminal event is durable before the answer's end. Every surface comes
through here.
"""

from __future__ import annotations

import asyncio
from time import monotonic, time
from typing import TYPE_CHECKING, Any

import orjson

from routing.gateway import asking, background, doubts, ends, held, judging, keys, refusals
from routing.gateway.answers import debug_headers, decision_headers, rate_headers
from routing.gateway.carry import Carrier
from routing.gateway.errors import ApiError
from routing.gateway.exchange import ClientGone, Exchange
from routing.gateway.parse import read_body
from routing.gateway.planning import Plan, plan
from routing.gateway.recorder import Ticket
from routing.gateway.refusals import Blocked

if TYPE_CHECKING:
    from routing.gateway.application import Gateway


async def serve(gateway: Gateway, x: Exchange) -> None:
    """Serve one request. Raises ApiError only before a decision exists; then it answers itself."""
    snapshot = gateway.current_snapshot()
    x.key = keys.authenticate(x.headers, snapshot, time())
    x.facts += rate_headers(x.key, gateway.rate_limits.take(x.key, monotonic()))
    gateway.recorder.check()
    request = x.surface.read(await read_body(x.receive, limit=gateway.body_limit))
    made_plan = plan(x, request, x.key, gateway.replica, snapshot)
    gateway.metrics.classified(made_plan.route.slug, x.decided_at - x.parsed_at)
    if made_plan.budgeted:
        x.facts += gateway.rate_limits.admit(made_plan, monotonic())
    ticket = record(gateway, x, made_plan)
    carrier = Carrier(
        replica=gateway.replica,
        recorder=gateway.recorder,
        plan=made_plan,
        made=ticket,
        request_id=x.request_id,
        trace=x.trace,
        caller_trace=x.caller_trace,
    )
    # Before anything waits: another request must find what this one may cost.
    carrier.reserve()
    if request.is_background:
        await background.start(gateway, x, carrier, carry_out)
        return
    await carry_out(gateway, x, carrier)


def record(gateway: Gateway, x: Exchange, plan: Plan) -> Ticket:
    """Queue the decision with all that is written in its commit, and state it in the headers."""
    sealed = gateway.scribe.request_payload(plan)
    action, rule = plan.decision.action, plan.decision.rule
    gateway.replica.hold_caps.note(plan.route.slug, rule if action == "hold" else None)
    begun = background.begun(gateway.scribe, plan)
    ticket = gateway.recorder.put(
        gateway.scribe.made(x, plan, sealed),
        payloads=begun.payloads if sealed is None else (sealed, *begun.payloads),
        rows=(*(held.rows(x, plan, sealed) if sealed and waits(x, plan) else ()), *begun.rows),
        may_linger=action == "route",
    )
    x.decision_id = str(plan.decision_id)
    x.facts += decision_headers(plan)
    if x.wants_debug:
        x.facts += debug_headers(plan)
    return ticket


def waits(x: Exchange, plan: Plan) -> bool:
    """Whether a person will answer; where the answer is no text, nobody can."""
    return plan.decision.action == "hold" and x.surface.speaks


async def carry_out(gateway: Gateway, x: Exchange, carrier: Carrier) -> None:
    """Do what was decided, and give it its one end whatever happens."""
    plan = carrier.plan
    x.carrier = carrier
    try:
        match plan.decision.action:
            case "route" if (judge := judging.judge_for(carrier)) is not None:
                await doubts.serve(gateway, x, judge)
            case "route" if plan.request.is_stream:
                await x.unless_gone(asking.for_stream(gateway, x, carrier, plan.target))
            case "route":
                await _send(gateway, x, carrier)
            case "hold" if x.surface.speaks:
                await held.serve(gateway, x, carrier)
            case "safe_default" if x.surface.speaks:
                await ends.serve_safe_default(gateway, x, carrier)
            case _:
                refusal, outcome = refusals.of_decision(plan, gateway.replica)
                if not x.surface.speaks:
                    refusal.message += " A text cannot answer it, so it is refused."
                await ends.refuse(gateway, x, carrier, refusal, outcome)
    except ApiError as error:
        outcome = "blocked" if isinstance(error, Blocked) else "failed"
        await ends.refuse(gateway, x, carrier, error, outcome)
    except ClientGone:
        carrier.abandoned()
        ends.end(gateway, x, carrier, "aborted", error_code="client_gone")
        gateway.metrics.served(plan, "aborted", x)
    except asyncio.CancelledError as stopped:
        # This process stops and its patience is over: the request ends here, not at its deadline.
        # Or the client of a response in the background has cancelled it.
        carrier.abandoned()
        why = background.BY_CLIENT if background.BY_CLIENT in stopped.args else "router_stopped"
        kept = x.kept_as("failed", error=ApiError("internal_error", "The router was stopped."))
        ends.end(gateway, x, carrier, "aborted", error_code=why, kept=kept)
        gateway.metrics.served(plan, "aborted", x)
        raise
    except Exception:
        gateway.log.exception("A request failed in the router itself.")
        broken = ApiError("internal_error", "The router failed; the request id finds it.")
        await ends.refuse(gateway, x, carrier, broken, "failed")
    finally:
        if carrier.reservation is not None:
            used = sum(attempt.tokens() for attempt in carrier.attempts)
            gateway.rate_limits.correct(plan, used)
            carrier.settle()


async def _send(gateway: Gateway, x: Exchange, carrier: Carrier) -> None:
    plan = carrier.plan
    answer = await x.unless_gone(asking.for_whole(x, carrier, plan.target))
    is_kept = x.surface.speaks and plan.route.capture != "none"
    text = orjson.dumps(answer["choices"]) if is_kept else b""
    # One commit may hold both; the decision is durable no later than its end.
    await gateway.recorder.durable(
        ends.completed(
            gateway,
            x,
            carrier,
            text,
            {"finish_reason": _finish_reason(answer)},
            kept=x.kept_as("completed", answer=answer),
        )
    )
    ends.set_outcome(x, carrier, "served")
    gateway.metrics.served(plan, "served", x)
    await x.answer(200, x.surface.whole(plan, answer))


def _finish_reason(answer: dict[str, Any]) -> str:
    choices = answer.get("choices") or [{}]
    return str(choices[0].get("finish_reason") or "")[:32]
