"""A dry run: what would be decided about this request, and why.

Nothing is sent, recorded, counted or held. Key, rate and parsing are those of the real call.
"""

from __future__ import annotations

from time import monotonic, time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson

from routing.gateway import keys
from routing.gateway.answers import rate_headers
from routing.gateway.errors import ApiError
from routing.gateway.exchange import Exchange
from routing.gateway.parse import read_body
from routing.gateway.planning import Plan, plan
from routing.gateway.surfaces.surface import Surface

if TYPE_CHECKING:
    from routing.gateway.application import Gateway


async def explain(gateway: Gateway, x: Exchange) -> None:
    """``?for=`` names the path whose body is given; without it, chat completions."""
    snapshot = gateway.current_snapshot()
    x.key = keys.authenticate(x.headers, snapshot, time())
    x.facts += rate_headers(x.key, gateway.rate_limits.take(x.key, monotonic()))
    surface = _surface(gateway, x)
    request = surface.read(await read_body(x.receive, limit=gateway.body_limit))
    made = plan(x, request, x.key, gateway.replica, snapshot)
    await x.answer(200, orjson.dumps(explanation(made), default=str))


def _surface(gateway: Gateway, x: Exchange) -> Surface:
    wanted = parse_qs(x.query.decode("latin-1")).get("for", ["chat/completions"])[0]
    surface = gateway.surfaces.get("/v1/" + wanted.removeprefix("/v1/"))
    if surface is None:
        known = ", ".join(path.removeprefix("/v1/") for path in gateway.surfaces)
        raise ApiError("invalid_request", f"'for' must be one of {known}.", param="for")
    return surface


def explanation(plan: Plan) -> dict[str, Any]:
    decision = plan.decision
    return {
        "object": "route.explanation",
        "dry_run": True,
        "route": plan.route.slug,
        "policy": plan.route.policy_label,
        "policy_digest": plan.route.policy_digest,
        "snapshot": plan.snapshot.digest,
        "decision": decision.as_json(),
        "contributions": [list(pair) for pair in plan.contributions],
    }
