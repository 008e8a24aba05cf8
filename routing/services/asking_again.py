"""Asks one backend a held request again because a person wants another answer.

The engine says who may be asked: with the facts of the recorded decision, and with today's
sign-offs, switches, health and clock. It is asked once for the choice and once more at the sending.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import orjson
from django.conf import settings
from django.utils import timezone

from audit.models import Event
from routing.adapters.connection import Clocks
from routing.adapters.egress import Guard
from routing.adapters.openai_compatible import OpenAICompatible
from routing.adapters.problems import UpstreamProblem
from routing.engine.eligibility import rejection
from routing.engine.telling import REASON_WORDS
from routing.engine.types import WITHHELD, BackendFacts, Facts
from routing.models import Backend
from routing.services import secrets
from routing.services.analysis import registry_facts
from routing.services.health import unhealthy_backends
from routing.services.redecide import compiled_version
from routing.services.replay import backends_of, facts_of, version_of
from routing.services.simulation import killed_for
from screens.errors import Conflict, DomainError, Invalid, NotFound

_WITHHELD = "the trail withholds signals that its guardrails may test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """A backend that could be asked; ``reason`` says why it may not, and is empty when it may."""

    name: str
    tier: str
    boundary: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    text: str
    input_tokens: int | None
    output_tokens: int | None


class NotAllowedToAsk(Conflict):
    default_code = "backend_not_allowed"

    def __init__(self, backend: str, reason: str) -> None:
        super().__init__(
            f"{backend} may not be asked: {reason}.", what_next="Choose another backend."
        )


class NoAnswer(DomainError):
    default_code = "no_answer"


def offers(*, decision_id: uuid.UUID, data_class: str) -> list[Offer]:
    """Every backend and whether it may be asked now, with data of this class."""
    made = Event.objects.filter(pk=decision_id, kind="decision.made").first()
    details: Mapping[str, Any] = made.entry.get("details", {}) if made else {}
    if "facts" not in details or "backends" not in details:
        raise Invalid(
            "What this decision depended on is not in the trail, so nothing can be asked again.",
            code="decision_unknown",
        )
    try:
        policy = compiled_version(version_of(str(details["policy"])))
    except (NotFound, Invalid):
        raise Invalid(
            "The policy version of this decision cannot be read any more.", code="policy_unknown"
        ) from None
    facts = replace(
        facts_of(details, policy.registry),
        data_class=data_class,
        now_s=int(timezone.now().timestamp()),
        killed=killed_for(str(details["route"])),
    )
    is_withheld = WITHHELD in details["decision"]["trace"]["signals"].values()
    return [
        Offer(
            name=backend.name,
            tier=backend.tier,
            boundary=backend.boundary,
            reason=_reason(
                backend, rejection(backend, facts, data_class, policy), facts, is_withheld
            ),
        )
        for _, backend in sorted(_todays(details).items())
    ]


def _reason(backend: BackendFacts, code: str | None, facts: Facts, is_withheld: bool) -> str:
    if code is not None:
        return REASON_WORDS.get(code, code.replace("_", " ")).format(data_class=facts.data_class)
    # A guardrail that tests what the trail hides cannot be asked; inside the company it need not.
    return _WITHHELD if is_withheld and backend.boundary != "private" else ""


def _todays(details: Mapping[str, Any]) -> dict[str, BackendFacts]:
    """Today's registry; whether the client's key may use a backend is as it was."""
    then, unhealthy = backends_of(details["backends"]), unhealthy_backends()
    return {
        name: replace(
            backend,
            healthy=name not in unhealthy,
            key_allowed=name in then and then[name].key_allowed,
            over_budget=name in then and then[name].over_budget,
        )
        for name, backend in registry_facts().items()
    }


def check(*, decision_id: uuid.UUID, data_class: str, backend: str) -> Offer:
    """The offer of one backend. Raises NotAllowedToAsk with the engine's reason."""
    found = next(
        (one for one in offers(decision_id=decision_id, data_class=data_class)
         if one.name == backend),
        None,
    )  # fmt: skip
    if found is None:
        raise NotAllowedToAsk(backend, "there is no such backend")
    if found.reason:
        raise NotAllowedToAsk(backend, found.reason)
    return found


def ask(*, decision_id: uuid.UUID, data_class: str, backend: str, request: bytes) -> Reply:
    """Check once more and ask. Raises NotAllowedToAsk, or NoAnswer with what went wrong."""
    check(decision_id=decision_id, data_class=data_class, backend=backend)
    chosen = Backend.objects.get(name=backend)
    try:
        secret = secrets.resolve(chosen.secret_reference)
        body = _body_for(chosen, orjson.loads(request))
        return _reply_of(asyncio.run(_send(chosen, secret, body, decision_id)))
    except (UpstreamProblem, secrets.SecretMissing) as problem:
        raise NoAnswer(str(problem)[:300] or type(problem).__name__) from None


def _body_for(backend: Backend, fields: Any) -> bytes:
    if not isinstance(fields, dict) or not isinstance(fields.get("messages"), list):
        raise NoAnswer("Only a chat request can be asked again.")
    sent = {**fields, "model": backend.upstream_model, "stream": False}
    sent.pop("stream_options", None)
    return orjson.dumps(sent)


async def _send(backend: Backend, secret: str, body: bytes, decision_id: uuid.UUID) -> bytes:
    adapter = OpenAICompatible(
        name=backend.name,
        base_url=backend.base_url,
        secret=secret,
        guard=Guard(settings.EGRESS_PRIVATE_ALLOWED),
        max_in_flight=1,
    )
    patience = settings.REVIEW_REPLAY_TIMEOUT_S
    clocks = Clocks(first_byte_s=patience, idle_s=patience, total_s=patience)
    try:
        reply = await adapter.send(
            "/chat/completions", body, clocks=clocks, request_id=str(decision_id)
        )
    finally:
        await adapter.close()
    return reply.body


def _reply_of(body: bytes) -> Reply:
    try:
        answer = orjson.loads(body)
        text = answer["choices"][0]["message"]["content"]
        usage = answer.get("usage") or {}
    except (orjson.JSONDecodeError, LookupError, TypeError, AttributeError):
        raise NoAnswer("Its answer is no chat completion.") from None
    if not isinstance(text, str) or not text.strip():
        raise NoAnswer("Its answer has no text.")
    return Reply(
        text=text,
        input_tokens=_whole(usage.get("prompt_tokens")),
        output_tokens=_whole(usage.get("completion_tokens")),
    )


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
