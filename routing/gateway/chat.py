"""Chat completions: decide, record, carry, answer. Their order is the product's promise.

``decision.made`` is durable before any byte goes to a public backend and before the first byte of
an answer; exactly one terminal event is durable before the answer's end.
"""

from __future__ import annotations

from time import monotonic, time
from typing import TYPE_CHECKING, Any

import orjson

from routing.adapters.problems import BadAnswer, UpstreamProblem
from routing.gateway import held, keys
from routing.gateway.answers import (
    STREAM_HEADERS,
    completion,
    decision_headers,
    rate_headers,
    sse_completion,
)
from routing.gateway.carry import Blocked, Carrier, check_answer, usage_of
from routing.gateway.errors import ApiError
from routing.gateway.exchange import ClientGone, Exchange
from routing.gateway.parse import chat_request, read_body
from routing.gateway.planning import Plan, plan
from routing.gateway.recorder import Ticket
from routing.gateway.sse import ChatStream

if TYPE_CHECKING:
    from routing.gateway.application import Gateway


async def chat_completions(gateway: Gateway, x: Exchange) -> None:
    """Serve one request. Raises ApiError only before a decision exists; then it answers itself."""
    snapshot = gateway.current_snapshot()
    x.key = keys.authenticate(x.headers, snapshot, time())
    x.facts += rate_headers(x.key, gateway.rate_limits.take(x.key, monotonic()))
    gateway.recorder.check()
    request = chat_request(await read_body(x.receive, limit=gateway.body_limit))
    made_plan = plan(x, request, x.key, gateway.replica, snapshot)
    sealed = gateway.scribe.request_payload(made_plan)
    event = gateway.scribe.made(x, made_plan, sealed)
    action = made_plan.decision.action
    ticket = gateway.recorder.put(
        event,
        payloads=[sealed] if sealed is not None else (),
        hold=held.hold_row(x, made_plan, sealed) if sealed and action == "hold" else None,
        may_linger=action == "route",
    )
    x.decision_id = str(made_plan.decision_id)
    x.facts += decision_headers(made_plan)
    await _carry_out(gateway, x, made_plan, ticket)


async def _carry_out(gateway: Gateway, x: Exchange, plan: Plan, made: Ticket) -> None:
    carrier = Carrier(
        replica=gateway.replica,
        recorder=gateway.recorder,
        plan=plan,
        made=made,
        request_id=x.request_id,
    )
    try:
        match plan.decision.action:
            case "route" if plan.request.is_stream:
                await _stream(gateway, x, carrier)
            case "route":
                await _send(gateway, x, carrier)
            case "hold":
                await held.serve(gateway, x, carrier)
            case "safe_default":
                await serve_safe_default(gateway, x, carrier)
            case _:
                await _refuse(
                    gateway, x, carrier, ApiError("refused", plan.decision.sentence), "refused"
                )
    except ApiError as error:
        await _refuse(
            gateway, x, carrier, error, "blocked" if isinstance(error, Blocked) else "failed"
        )
    except ClientGone:
        carrier.abandoned()
        end(gateway, x, carrier, "aborted", error_code="client_gone")
        gateway.metrics.served(plan, "aborted", x)
    except Exception:
        gateway.log.exception("A request failed in the router itself.")
        await _refuse(
            gateway,
            x,
            carrier,
            ApiError("internal_error", "The router failed; the request id finds it."),
            "failed",
        )


def end(gateway: Gateway, x: Exchange, carrier: Carrier, outcome: str, **details: Any) -> Ticket:
    """Seal and queue the terminal event; await the ticket before the answer's end."""
    return gateway.recorder.put(
        gateway.scribe.ended(x, carrier.plan, outcome, attempts=carrier.attempts, **details)
    )


def completed(
    gateway: Gateway, x: Exchange, carrier: Carrier, text: bytes, details: dict[str, Any]
) -> Ticket:
    """The terminal event of a served answer, with what the route keeps of the answer's text."""
    kept = gateway.scribe.kept(carrier.plan, "answer", text) if text else None
    event = gateway.scribe.ended(
        x,
        carrier.plan,
        "completed",
        attempts=carrier.attempts,
        details={**details, "output": {"bytes": len(text), "commitment": kept and kept.commitment}},
    )
    return gateway.recorder.put(event, payloads=[kept] if kept else ())


async def _refuse(
    gateway: Gateway, x: Exchange, carrier: Carrier, error: ApiError, outcome: str
) -> None:
    ticket = end(
        gateway,
        x,
        carrier,
        outcome,
        error_code=error.code,
        details={"reason": getattr(error, "reason", "")},
    )
    try:
        await gateway.recorder.durable(ticket)
    except ApiError as unavailable:
        error = unavailable
    set_outcome(x, carrier, outcome)
    gateway.metrics.served(carrier.plan, outcome, x)
    await x.refuse(error)


def set_outcome(x: Exchange, carrier: Carrier, outcome: str) -> None:
    backend = carrier.current.backend if carrier.attempts else None
    x.facts += [
        (b"x-signalbox-outcome", outcome.encode()),
        (b"x-signalbox-attempts", str(len(carrier.attempts)).encode()),
        (b"x-signalbox-cause", carrier.cause.encode()),
    ]
    if backend is not None:
        x.facts += [
            (b"x-signalbox-backend", backend.name.encode()),
            (b"x-signalbox-tier", backend.tier.encode()),
        ]


async def serve_safe_default(
    gateway: Gateway, x: Exchange, carrier: Carrier, extra: dict[str, object] | None = None
) -> None:
    """Answer with the policy's own text: a complete completion, or the same as a stream."""
    plan = carrier.plan
    safe = plan.decision.safe_default
    await gateway.recorder.durable(end(gateway, x, carrier, "safe_default"))
    carrier.cause = "safe_default"
    set_outcome(x, carrier, "safe_default")
    gateway.metrics.served(plan, "safe_default", x)
    answer = completion(plan, safe.text, finish_reason=safe.finish_reason, extra=extra)
    await deliver(x, plan, answer)


async def deliver(x: Exchange, plan: Plan, answer: dict[str, Any]) -> None:
    if not plan.request.is_stream:
        await x.answer(200, orjson.dumps(answer))
        return
    if not x.has_started:
        await x.begin(200, STREAM_HEADERS)
    await x.write(sse_completion(answer, wants_usage=plan.request.wants_usage))
    await x.end()


async def complete_once(
    gateway: Gateway, x: Exchange, carrier: Carrier, first: str
) -> dict[str, Any]:
    """Carry a request whole, over retries and fallbacks; return the backend's checked answer."""
    name = first
    while True:
        started = monotonic()
        try:
            adapter, clocks = await carrier.begin(name)
            reply = await adapter.send(
                "/chat/completions",
                carrier.body_for(carrier.current.backend),
                clocks=clocks,
                request_id=x.request_id,
            )
            answer = check_answer(reply.body)
        except UpstreamProblem as problem:
            if not carrier.attempts:
                raise ApiError(
                    "upstream_timeout", "The deadline passed before a backend was called."
                ) from None
            name = await carrier.after(problem)
        else:
            carrier.current.upstream_id = reply.upstream_id
            carrier.current.usage = usage_of(
                answer.get("usage"),
                estimated_in=int(carrier.plan.facts.signals.get("prompt_tokens") or 0),  # type: ignore[call-overload]
                estimated_out=len(reply.body) // 4,
            )
            carrier.succeeded()
            answer["model"] = carrier.plan.request.model
            return answer
        finally:
            x.upstream_s += monotonic() - started


async def _send(gateway: Gateway, x: Exchange, carrier: Carrier) -> None:
    answer = await x.unless_gone(complete_once(gateway, x, carrier, carrier.plan.target))
    text = orjson.dumps(answer["choices"]) if carrier.plan.route.capture != "none" else b""
    # One commit may hold both; the decision is durable no later than its end.
    await gateway.recorder.durable(
        completed(gateway, x, carrier, text, {"finish_reason": _finish_reason(answer)})
    )
    set_outcome(x, carrier, "served")
    gateway.metrics.served(carrier.plan, "served", x)
    await x.answer(200, orjson.dumps(answer))


def _finish_reason(answer: dict[str, Any]) -> str:
    return str(answer["choices"][0].get("finish_reason") or "")[:32]


async def _stream(gateway: Gateway, x: Exchange, carrier: Carrier) -> None:
    await x.unless_gone(_stream_over_backends(gateway, x, carrier, carrier.plan.target))


async def _stream_over_backends(gateway: Gateway, x: Exchange, carrier: Carrier, name: str) -> None:
    while True:
        try:
            await _stream_once(gateway, x, carrier, name)
            return
        except UpstreamProblem as problem:
            if not carrier.attempts:
                raise ApiError(
                    "upstream_timeout", "The deadline passed before a backend was called."
                ) from None
            if x.has_started:
                # After the commit point no other backend's words may follow.
                carrier.note(problem)
                raise ApiError(
                    "upstream_error", "The backend broke off in the middle of its answer."
                ) from None
            name = await carrier.after(problem)


async def _stream_once(gateway: Gateway, x: Exchange, carrier: Carrier, name: str) -> None:
    plan = carrier.plan
    started = monotonic()
    adapter, clocks = await carrier.begin(name)
    attempt = carrier.current
    events = ChatStream(
        upstream_model=attempt.backend.upstream_model,
        alias=plan.request.model,
        wants_usage=plan.request.wants_usage,
        keeps_text=plan.route.capture != "none",
    )
    body = carrier.body_for(attempt.backend)
    buffered: list[bytes] = []
    try:
        async with adapter.stream(
            "/chat/completions", body, clocks=clocks, request_id=x.request_id
        ) as chunks:
            async for chunk in chunks:
                passed = events.feed(chunk)
                if x.has_started:
                    if passed:
                        await x.write(passed)
                    continue
                buffered.append(passed)
                if events.has_content:
                    attempt.first_byte_s = monotonic() - attempt.started
                    x.upstream_s += monotonic() - started
                    await _commit(gateway, x, carrier)
                    started = monotonic()
                    await x.write(b"".join(buffered))
    finally:
        attempt.usage = usage_of(
            events.usage,
            estimated_in=int(plan.facts.signals.get("prompt_tokens") or 0),  # type: ignore[call-overload]
            estimated_out=events.events,
        )
        x.upstream_s += monotonic() - started
    if not events.has_finished:
        raise BadAnswer("The stream ended without a finish reason.")
    if not x.has_started:
        await _commit(gateway, x, carrier)
        await x.write(b"".join(buffered))
    carrier.succeeded()
    text = "".join(events.text).encode()
    await gateway.recorder.durable(completed(gateway, x, carrier, text, {}))
    gateway.metrics.served(plan, "served", x)
    await x.write(b"data: [DONE]\n\n")
    await x.end()


async def _commit(gateway: Gateway, x: Exchange, carrier: Carrier) -> None:
    """The commit point: the decision is durable, the backend settled, the first byte may leave."""
    await gateway.recorder.durable(carrier.made)
    set_outcome(x, carrier, "served")
    await x.begin(200, STREAM_HEADERS)
