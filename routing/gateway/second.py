"""A second small model beside the first: to see whether both say the same, or to check an answer.

It passes the same egress check as any hop and is never served; the record shows its cost apart.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from routing.adapters.problems import UpstreamProblem
from routing.gateway import confidence
from routing.gateway.attempts import check_answer, usage_of
from routing.gateway.carry import Carrier
from routing.gateway.errors import ApiError

if TYPE_CHECKING:
    from routing.engine.policy import Escalation
    from routing.gateway.exchange import Exchange

_VERDICT = (
    "Below are a request and an answer to it. Is the answer correct and complete? "
    "Reply with one word, yes or no.\n\nRequest:\n{request}\n\nAnswer:\n{answer}"
)
_LONGEST = 6000


def _beside(carrier: Carrier, first: str) -> str | None:
    """Another backend of the first one's tier that may take this request, inside its boundary."""
    plan = carrier.plan
    chosen = plan.backends.get(first)
    if chosen is None:
        return None
    able = {
        one.name
        for one in plan.decision.trace.candidates
        if one.tier == chosen.tier
        and one.name != first
        and one.reason in ("", "lower_priority")
        and (chosen.boundary != "private" or one.boundary == "private")
    }
    wanted = [*plan.decision.plan, *sorted(able)]
    return next((name for name in wanted if name in able), None)


def begin(
    x: Exchange, carrier: Carrier, terms: Escalation | None
) -> asyncio.Task[str | None] | None:
    """Ask the second model in parallel where the policy judges by agreement."""
    if terms is None or terms.signal != "agreement" or carrier.attempts:
        return None
    name = _beside(carrier, carrier.plan.target)
    if name is None:
        return None
    carrier.beside = carrier.companion("agreement")
    return asyncio.ensure_future(_ask(x, carrier.beside, name))


async def end(carrier: Carrier, task: asyncio.Task[str | None] | None) -> None:
    """Stop what is still running and take its attempts, with their cost, into the record."""
    if task is None or carrier.beside is None:
        return
    if not task.done():
        task.cancel()
    with suppress(asyncio.CancelledError, ApiError):
        await task
    carrier.adopt(carrier.beside)
    carrier.beside = None


async def _ask(x: Exchange, carrier: Carrier, name: str) -> str | None:
    try:
        answer = await _answer(x, carrier, name)
    except asyncio.CancelledError:
        carrier.abandoned()
        raise
    if answer is None:
        return None
    return str((answer["choices"][0].get("message") or {}).get("content") or "")


async def _answer(x: Exchange, carrier: Carrier, name: str) -> dict[str, Any] | None:
    try:
        adapter, clocks = await carrier.begin(name)
        reply = await adapter.send(
            "/chat/completions",
            carrier.body_for(carrier.current.backend),
            clocks=clocks,
            request_id=x.request_id,
            traceparent=carrier.traceparent,
        )
        answer = check_answer(reply.body)
    except UpstreamProblem as problem:
        if carrier.attempts:
            carrier.note(problem)
        return None
    carrier.current.upstream_id = reply.upstream_id
    carrier.current.usage = usage_of(
        answer.get("usage"),
        estimated_in=carrier.plan.prompt_tokens,
        estimated_out=len(reply.body) // 4,
    )
    carrier.succeeded()
    return answer


async def verify(x: Exchange, carrier: Carrier, text: str) -> Decimal | None:
    """The share of yes in a second small model's verdict on an answer; None where none is had."""
    name = _beside(carrier, carrier.current.backend.name)
    if name is None or not text.strip():
        return None
    checker = carrier.companion("verifier")
    asked = " ".join(
        str(one.get("content") or "")
        for one in carrier.plan.request.messages
        if one["role"] == "user"
    )
    content = _VERDICT.format(request=asked[-_LONGEST:], answer=text[:_LONGEST])
    checker.other_fields = {
        "messages": [{"role": "user", "content": content}],
        "max_tokens": 4,
        "temperature": 0,
        "logprobs": True,
        "top_logprobs": 5,
    }
    try:
        answer = await _answer(x, checker, name)
    except ApiError:
        answer = None
    finally:
        carrier.adopt(checker)
    if answer is None:
        return None
    return confidence.share_of_yes(confidence.tokens_of(answer["choices"][0].get("logprobs")))
