"""How a request ends: its one terminal event, the headers that state it, and the last answer.

No answer ends before its terminal event is durable.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from routing.gateway.answers import STREAM_HEADERS, completion
from routing.gateway.carry import Carrier
from routing.gateway.errors import ApiError
from routing.gateway.exchange import Exchange, Kept
from routing.gateway.planning import Plan
from routing.gateway.recorder import Ticket

if TYPE_CHECKING:
    from routing.gateway.application import Gateway


def end(
    gateway: Gateway,
    x: Exchange,
    carrier: Carrier,
    outcome: str,
    *,
    error_code: str = "",
    details: dict[str, Any] | None = None,
    kept: Kept | None = None,
) -> Ticket:
    """Seal and queue the terminal event; await the ticket before the answer's end.

    A request that has its end keeps it: whoever comes later waits for the same ticket.
    """
    if carrier.ended is not None:
        return carrier.ended
    kept = kept or Kept()
    carrier.ended = gateway.recorder.put(
        gateway.scribe.ended(
            x,
            carrier.plan,
            outcome,
            attempts=carrier.attempts,
            error_code=error_code,
            details=carrier.ending(details),
        ),
        payloads=kept.payloads,
        rows=kept.rows,
    )
    return carrier.ended


def completed(
    gateway: Gateway,
    x: Exchange,
    carrier: Carrier,
    text: bytes,
    details: dict[str, Any],
    *,
    kept: Kept | None = None,
) -> Ticket:
    """The terminal event of a served answer, with what the route keeps of the answer's text."""
    if carrier.ended is not None:
        return carrier.ended
    kept = kept or Kept()
    captured = gateway.scribe.kept(carrier.plan, "answer", text) if text else None
    event = gateway.scribe.ended(
        x,
        carrier.plan,
        "completed",
        attempts=carrier.attempts,
        details=carrier.ending(
            {
                **details,
                "output": {"bytes": len(text), "commitment": captured and captured.commitment},
            }
        ),
    )
    payloads = (*kept.payloads, captured) if captured else kept.payloads
    carrier.ended = gateway.recorder.put(event, payloads=payloads, rows=kept.rows)
    return carrier.ended


async def refuse(
    gateway: Gateway, x: Exchange, carrier: Carrier, error: ApiError, outcome: str
) -> None:
    ticket = end(
        gateway,
        x,
        carrier,
        outcome,
        error_code=error.code,
        details={"reason": getattr(error, "reason", "")},
        kept=x.kept_as("failed", error=error),
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
    """Answer with the policy's own text: a complete answer, or the same as a stream."""
    plan = carrier.plan
    safe = plan.decision.safe_default
    answer = completion(plan, safe.text, finish_reason=safe.finish_reason, extra=extra)
    kept = x.kept_as("completed", answer=answer)
    await gateway.recorder.durable(end(gateway, x, carrier, "safe_default", kept=kept))
    carrier.cause = "safe_default"
    set_outcome(x, carrier, "safe_default")
    gateway.metrics.served(plan, "safe_default", x)
    await deliver(x, plan, answer)


async def deliver(x: Exchange, plan: Plan, answer: dict[str, Any]) -> None:
    """Give the client a chat completion in the shape and the way that it asked for."""
    if not plan.request.is_stream:
        await x.answer(200, x.surface.whole(plan, answer))
        return
    if not x.has_started:
        await x.begin(200, STREAM_HEADERS)
    await x.write(x.surface.replayed(plan, answer))
    await x.end()
