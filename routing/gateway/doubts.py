"""Serves a request whose answer is judged, and what takes its place when the answer is doubted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

from routing.gateway import ends, held, judging
from routing.gateway.errors import ApiError
from routing.gateway.judging import Doubt, Judge

if TYPE_CHECKING:
    from routing.gateway.application import Gateway
    from routing.gateway.exchange import Exchange


async def serve(gateway: Gateway, x: Exchange, judge: Judge) -> None:
    """Serve a routed request that its policy wants judged."""
    carrier, plan = judge.carrier, judge.carrier.plan
    try:
        if plan.request.is_stream and not judge.is_whole:
            await x.unless_gone(judging.stream(gateway, x, judge))
            return
        carrier.whole_answer = True
        answer = await x.unless_gone(judging.whole_answer(x, judge))
    except Doubt as doubt:
        await _instead(gateway, x, judge, doubt)
        return
    choices = answer["choices"]
    text = orjson.dumps(choices) if plan.route.capture != "none" else b""
    details = {"finish_reason": str(choices[0].get("finish_reason") or "")[:32]}
    kept = x.kept_as("completed", answer=answer)
    await gateway.recorder.durable(ends.completed(gateway, x, carrier, text, details, kept=kept))
    ends.set_outcome(x, carrier, "served")
    gateway.metrics.served(plan, "served", x)
    await ends.deliver(x, plan, answer)


async def _instead(gateway: Gateway, x: Exchange, judge: Judge, doubt: Doubt) -> None:
    followup, carrier = doubt.followup, judge.carrier
    if followup.action == "hold" and followup.hold is not None:
        await held.serve_doubt(gateway, x, carrier, followup, doubt.text)
    elif followup.action == "safe_default":
        await ends.serve_safe_default(gateway, x, carrier)
    else:
        await ends.refuse(gateway, x, carrier, ApiError("refused", followup.sentence), "refused")
