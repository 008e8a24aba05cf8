"""Asks the backends for an answer, whole or as a stream, over retries and fallbacks.

The commit point is here: what has been read before it is dropped when another backend takes over,
and after it no other backend's words may follow.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING, Any

from routing.adapters.problems import BadAnswer, TooSlow, UpstreamProblem
from routing.gateway import ends
from routing.gateway.answers import STREAM_HEADERS
from routing.gateway.attempts import usage_of
from routing.gateway.carry import Carrier
from routing.gateway.errors import ApiError
from routing.gateway.exchange import Exchange

if TYPE_CHECKING:
    from routing.gateway.application import Gateway
    from routing.gateway.judging import Judge


async def _next(carrier: Carrier, problem: UpstreamProblem) -> str:
    if not carrier.attempts:
        raise ApiError(
            "upstream_timeout", "The deadline passed before a backend was called."
        ) from None
    return await carrier.after(problem)


async def for_whole(x: Exchange, carrier: Carrier, first: str) -> dict[str, Any]:
    """Carry a request whole, over retries and fallbacks; return the backend's checked answer."""
    name = first
    while True:
        started = monotonic()
        try:
            adapter, clocks = await carrier.begin(name)
            reply = await adapter.send(
                carrier.plan.request.path,
                carrier.body_for(carrier.current.backend),
                clocks=clocks,
                request_id=x.request_id,
                traceparent=carrier.traceparent,
            )
            answer = x.surface.check(reply.body)
        except UpstreamProblem as problem:
            name = await _next(carrier, problem)
        except asyncio.CancelledError:
            carrier.abandoned()
            raise
        else:
            carrier.current.upstream_id = reply.upstream_id
            carrier.current.usage = usage_of(
                x.surface.usage(answer),
                estimated_in=carrier.plan.prompt_tokens,
                estimated_out=len(reply.body) // 4 if x.surface.speaks else 0,
            )
            carrier.current.answered_as(answer.get("model"))
            carrier.succeeded()
            answer["model"] = carrier.plan.request.model
            return answer
        finally:
            x.upstream_s += monotonic() - started


async def for_stream(
    gateway: Gateway, x: Exchange, carrier: Carrier, first: str, judge: Judge | None = None
) -> None:
    """Carry a stream, over retries and fallbacks until its first word, and end it.

    A judge reads its beginning before the client does, and may raise Doubt.
    """
    name = first
    while True:
        try:
            await _stream_once(gateway, x, carrier, name, judge)
            return
        except UpstreamProblem as problem:
            if x.has_started:
                carrier.note(problem)
                raise ApiError(
                    "upstream_error", "The backend broke off in the middle of its answer."
                ) from None
            name = await _next(carrier, problem)


async def _stream_once(
    gateway: Gateway, x: Exchange, carrier: Carrier, name: str, judge: Judge | None
) -> None:
    plan = carrier.plan
    started = monotonic()
    adapter, clocks = await carrier.begin(name)
    attempt = carrier.current
    events = x.reader = x.surface.reader(plan, attempt.backend)
    tap = judge.tap() if judge else None
    body = carrier.body_for(attempt.backend)
    buffered: list[bytes] = []
    try:
        async with (
            adapter.stream(
                plan.request.path,
                body,
                clocks=clocks,
                request_id=x.request_id,
                traceparent=carrier.traceparent,
            ) as chunks,
            carrier.first_content_clock() as clock,
        ):
            async for chunk in chunks:
                passed = events.feed(tap.feed(chunk) if tap else chunk)
                if x.has_started:
                    if passed:
                        await x.write(passed)
                    continue
                buffered.append(passed)
                if events.has_content:
                    clock.reschedule(None)
                    if judge and tap:
                        if not tap.is_due:
                            continue
                        judge.prefix(tap)
                    attempt.first_byte_s = monotonic() - attempt.started
                    x.upstream_s += monotonic() - started
                    await _commit(gateway, x, carrier)
                    started = monotonic()
                    await x.write(b"".join(buffered))
    except TimeoutError:
        raise TooSlow("The stream began without a word in time.") from None
    finally:
        attempt.usage = usage_of(
            events.usage,
            estimated_in=plan.prompt_tokens,
            estimated_out=events.events,
        )
        x.upstream_s += monotonic() - started
    if not events.has_finished:
        raise BadAnswer("The stream ended without a finish reason.")
    if not x.has_started:
        if judge and tap:
            judge.prefix(tap)
        await _commit(gateway, x, carrier)
        await x.write(b"".join(buffered))
    attempt.answered_as(getattr(events, "model", ""))
    carrier.succeeded()
    text = "".join(events.text).encode()
    await gateway.recorder.durable(ends.completed(gateway, x, carrier, text, {}))
    gateway.metrics.served(plan, "served", x)
    await x.write(events.closing(attempt.usage))
    await x.end()


async def _commit(gateway: Gateway, x: Exchange, carrier: Carrier) -> None:
    """The commit point: the decision is durable, the backend settled, the first byte may leave."""
    await gateway.recorder.durable(carrier.made)
    ends.set_outcome(x, carrier, "served")
    await x.begin(200, STREAM_HEADERS)
