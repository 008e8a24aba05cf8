"""What is written about a request: the decision before it is carried out, and exactly one end.

Seals events; the recorder makes them durable. No prompt or answer text is ever in an event: at most
a commitment under a salt that can be destroyed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson

from audit import payloads, sealing
from audit.actors import Actor
from routing.engine.types import BackendFacts
from routing.gateway.attempts import Attempt
from routing.gateway.exchange import Exchange
from routing.gateway.planning import Plan
from routing.services import replay

_MILLION = Decimal(1_000_000)


def _usd(amount: Decimal) -> str:
    return format(amount.normalize(), "f")


class Scribe:
    def __init__(self, writer: sealing.Writer, payload_key: bytes) -> None:
        self._writer = writer
        self._payload_key = payload_key
        self._seen: tuple[Mapping[str, BackendFacts], orjson.Fragment] = ({}, sealing.fixed([]))

    def _registry(self, backends: Mapping[str, BackendFacts]) -> orjson.Fragment:
        """The registry as it was decided on. The replica hands out one object until it changes."""
        if self._seen[0] is not backends:
            self._seen = (backends, sealing.fixed(replay.backends_as_json(backends)))
        return self._seen[1]

    def payload(self, plan: Plan, kind: str, text: bytes) -> payloads.SealedPayload:
        return payloads.seal(text, decision_id=plan.decision_id, kind=kind, key=self._payload_key)

    def kept(self, plan: Plan, kind: str, text: bytes) -> payloads.SealedPayload | None:
        """What the capture mode keeps of a text: nothing, a commitment, or the text sealed."""
        if plan.route.capture == "encrypted":
            return self.payload(plan, kind, text)
        if plan.route.capture == "commitment":
            return payloads.commit_to(text, decision_id=plan.decision_id, kind=kind)
        return None

    def request_payload(self, plan: Plan) -> payloads.SealedPayload | None:
        """What is kept of the request; a held one can be read by its reviewer in every mode."""
        if plan.decision.action == "hold":
            return self.payload(plan, "request", orjson.dumps(plan.request.fields))
        if plan.route.capture == "none":
            return None
        return self.kept(plan, "request", orjson.dumps(plan.request.fields))

    def made(
        self, x: Exchange, plan: Plan, sealed_request: payloads.SealedPayload | None
    ) -> sealing.SealedEvent:
        decision, facts = plan.decision, plan.facts
        details: dict[str, Any] = {
            "route": plan.route.slug,
            "policy": plan.route.policy_label,
            "policy_digest": plan.route.policy_digest,
            "snapshot": plan.snapshot.digest,
            "endpoint": x.path,
            "requested_model": plan.request.model,
            "client": {"id": plan.key.public_id, "name": plan.key.name, "owner": plan.key.owner},
            "session": plan.session,
            "stream": plan.request.is_stream,
            "deadline_at": _stamp(plan.deadline_at),
            "received_at": _stamp(datetime.fromtimestamp(x.at, UTC)),
            "input": {
                "bytes": plan.request.size,
                "messages": len(plan.request.messages),
                "commitment": sealed_request.commitment if sealed_request else None,
            },
            "facts": sealing.NoFloats(replay.facts_as_json(facts)),
            "backends": self._registry(plan.backends),
            "contributions": [list(pair) for pair in plan.contributions],
            "decision": sealing.NoFloats(decision.as_json()),
        }
        if plan.rollout is not None:
            details["rollout"] = {
                "attempt": plan.rollout.attempt,
                "share": plan.rollout.share,
                "arm": facts.arm,
            }
        if plan.turn is not None:
            details["sticky"] = plan.turn.as_json()
        return self._writer.seal(
            "decision.made",
            event_id=plan.decision_id,
            decision_id=plan.decision_id,
            actor=Actor(kind="api_key", id=plan.key.public_id, name=plan.key.name, roles=()),
            object=("route", plan.route.slug),
            details=details,
            corr=_corr(x),
        )

    def ended(
        self,
        x: Exchange,
        plan: Plan,
        outcome: str,
        *,
        attempts: Sequence[Attempt] = (),
        error_code: str = "",
        details: dict[str, Any] | None = None,
    ) -> sealing.SealedEvent:
        """The one terminal event; ``outcome`` is the part after ``decision.``."""
        last = attempts[-1] if attempts else None
        usage = last.usage if last else None
        baseline = plan.snapshot.backends.get(plan.route.baseline or "")
        content: dict[str, Any] = {
            "route": plan.route.slug,
            "policy": plan.route.policy_label,
            "attempts": [attempt.as_json() for attempt in attempts],
            "backend": last.backend.name if last else None,
            "tier": last.backend.tier if last else None,
            "boundary": last.backend.boundary if last else None,
            "input_tokens": usage and usage.input_tokens,
            "output_tokens": usage and usage.output_tokens,
            "usage_source": usage and usage.source,
            "cost_usd": _usd(sum((a.cost_usd() for a in attempts), Decimal(0))),
            "baseline_cost_usd": usage
            and baseline
            and _usd(
                (baseline.price_in * usage.input_tokens + baseline.price_out * usage.output_tokens)
                / _MILLION
            ),
            "overhead_us": x.overhead_us(),
            "total_ms": round(x.elapsed_s() * 1000),
            "first_token_ms": (
                round((last.started - attempts[0].started + last.first_byte_s) * 1000)
                if last and last.first_byte_s is not None
                else None
            ),
            "error_code": error_code,
            **(details or {}),
        }
        return self._writer.seal(
            f"decision.{outcome}",
            event_id=sealing.terminal_id(plan.decision_id),
            decision_id=plan.decision_id,
            actor=Actor(kind="system", id="router", name="router", roles=()),
            object=("route", plan.route.slug),
            details=content,
            corr=_corr(x),
            result="ok" if outcome in {"completed", "safe_default", "held"} else "failed",
        )


def _corr(x: Exchange) -> dict[str, str]:
    trace = {"trace_id": x.trace.trace_id} if x.trace else {}
    return {"request_id": x.request_id, **trace}


def _stamp(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")[:26] + "Z"
