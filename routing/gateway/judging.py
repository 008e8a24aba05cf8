"""Judges an answer before its client sees it: how sure the model was, and what follows from that.

What follows is the engine's word (`judge_answer`); here it is measured, calibrated and carried out.
Only a tier for which the policy states an `escalation` is judged; the others cost nothing here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from routing.engine.decide import judge_answer
from routing.engine.types import BackendFacts, Followup
from routing.gateway import asking, confidence, second
from routing.gateway.carry import Carrier
from routing.gateway.errors import ApiError
from routing.gateway.logprobs import Tap, trimmed
from routing.gateway.parse import CHAT_PATH

if TYPE_CHECKING:
    from routing.engine.policy import Escalation
    from routing.gateway.application import Gateway
    from routing.gateway.attempts import Attempt
    from routing.gateway.exchange import Exchange

_ON_PREFIX = ("token_logprob_q10", "token_logprob_mean")
_WITH_OTHERS = ("label_margin",)
_ALTERNATIVES = 5
# An answer this short is waited for; a longer one begins to flow when its beginning is sure.
_SHORT_TOKENS = 256
_MOST_ESCALATIONS = 2
_CAPPED = "escalation"


class Doubt(Exception):  # noqa: N818
    """The answer that is being made is not to be served; ``followup`` is what happens instead."""

    def __init__(self, followup: Followup, text: str = "") -> None:
        super().__init__(followup.sentence)
        self.followup = followup
        self.text = text


@dataclass(slots=True, kw_only=True)
class Judge:
    """The judging of one request: ``asked`` says what its client wants of log-probabilities."""

    carrier: Carrier
    asked: int | None
    escalations: int = 0
    # The answer that was doubted, for a policy that accepts it where nobody better answers.
    kept: dict[str, Any] | None = None

    def terms_for(self, tier: str) -> Escalation | None:
        return self.carrier.plan.policy.policy.escalation.get(tier)

    @property
    def is_whole(self) -> bool:
        """Whether the answer is waited for: closed, short, or one that a person may get to see."""
        plan = self.carrier.plan
        terms = self.terms_for(plan.decision.tier or "")
        limit = plan.request.output_tokens
        limit = limit or plan.snapshot.backends[plan.target].max_output_tokens
        return (
            terms is None
            or terms.signal not in _ON_PREFIX
            or limit <= _SHORT_TOKENS
            or plan.facts.signals.get("wants_json") is True
            or "hold" in (terms.on_uncertain.action, terms.then.action)
        )

    def tap(self) -> Tap | None:
        """The reader of this attempt's log-probabilities, where its tier is judged."""
        judged = self.terms_for(self.carrier.current.backend.tier) is not None
        return Tap(self.asked) if judged else None

    def prefix(self, tap: Tap) -> None:
        """Judge a stream by its beginning. Raises Doubt; after this nothing is judged any more."""
        terms = self.terms_for(self.carrier.current.backend.tier)
        if terms is not None and not tap.is_settled:
            self.judge(of_tokens(terms.signal, tap.tokens))
        tap.is_settled = True

    def judge(self, measured: Decimal | None, text: str = "") -> None:
        """Let the current attempt's answer pass, or raise Doubt with what happens instead."""
        carrier, attempt = self.carrier, self.carrier.current
        terms = self.terms_for(attempt.backend.tier)
        if terms is None:
            return
        value, is_calibrated = self._calibrated(attempt, terms.signal, measured)
        followup = self._followup(attempt.backend.name, value)
        attempt.confidence = {
            "signal": terms.signal,
            "raw": None if measured is None else format(measured, "f"),
            "value": None if value is None else format(value, "f"),
            "is_calibrated": is_calibrated,
            "accept_gte": format(terms.accept_gte, "f"),
        }
        if followup.action == "accept":
            return
        carrier.doubted(followup)
        raise Doubt(followup, text)

    def _calibrated(
        self, attempt: Attempt, signal: str, measured: Decimal | None
    ) -> tuple[Decimal | None, bool]:
        if measured is None:
            return None, False
        known = attempt.backend.calibrations
        found = known.get((signal, self.carrier.plan.route.slug)) or known.get((signal, ""))
        return (found.apply(measured), True) if found else (measured, False)

    def _followup(self, backend: str, value: Decimal | None) -> Followup:
        """The engine's word, on the backends as they are now and as far as the time goes."""
        carrier, plan = self.carrier, self.carrier.plan
        facts = carrier.facts_now()
        followup = judge_answer(
            plan.policy, plan.facts, self._in_time(facts), backend=backend, confidence=value
        )
        return self._within_cap(followup)

    def _in_time(self, backends: Mapping[str, BackendFacts]) -> Mapping[str, BackendFacts]:
        """Those already asked, and those that usually need longer than is left, take nothing."""
        carrier = self.carrier
        out = {attempt.backend.name for attempt in carrier.attempts}
        if self.escalations >= _MOST_ESCALATIONS:
            out |= backends.keys()
        left = carrier.left_s
        slow = set()
        for name in backends.keys() - out:
            usual = carrier.replica.latencies.quantile(name, 0.9)
            if usual is not None and usual > left:
                slow.add(name)
        if slow:
            carrier.notes["no_time_for"] = sorted(slow)
        return {
            name: replace(one, cooling=True) if name in out or name in slow else one
            for name, one in backends.items()
        }

    def _within_cap(self, followup: Followup) -> Followup:
        """Holds out of doubt have their share of the route's traffic too."""
        hold, caps = followup.hold, self.carrier.replica.hold_caps
        if followup.action != "hold" or hold is None or hold.cap_pct is None:
            return followup
        slug = self.carrier.plan.route.slug
        if _CAPPED in caps.used_up(slug, {_CAPPED: hold.cap_pct}):
            action = hold.over_cap if hold.over_cap == "refuse" else "safe_default"
            return replace(followup, action=action, hold=None, cause=action)
        caps.note(slug, _CAPPED)
        return followup

    def escalates(self, doubt: Doubt) -> str:
        """Begin the escalation that a doubt asks for; other doubts are raised again."""
        target = doubt.followup.to
        if doubt.followup.action != "escalate" or target is None:
            raise doubt
        self.escalations += 1
        self.carrier.escalate()
        return target

    def after_failure(self, error: ApiError) -> Doubt | None:
        """What a failed escalation leads to: what the policy says where no larger model may."""
        doubted = next((one for one in self.carrier.attempts if one.confidence), None)
        if not self.escalations or doubted is None or doubted.confidence is None:
            return None
        self.escalations = _MOST_ESCALATIONS
        self.carrier.notes["escalation_failed"] = error.code
        value = doubted.confidence["value"]
        followup = self._followup(doubted.backend.name, None if value is None else Decimal(value))
        if followup.action == "accept":
            doubted.verdict = ""
            return Doubt(followup) if self.kept else None
        self.carrier.doubted(followup)
        return Doubt(followup, _text(self.kept) if self.kept else "")


def judge_for(carrier: Carrier) -> Judge | None:
    """The judge of a request, or None where nothing is judged: pins, baselines, other tiers."""
    plan = carrier.plan
    decision = plan.decision
    if not plan.policy.policy.escalation or plan.facts.pin is not None:
        return None
    if decision.cause == "rollout_baseline" or plan.request.path != CHAT_PATH:
        return None
    terms = plan.policy.policy.escalation.get(decision.tier or "")
    if terms is None:
        return None
    fields = plan.request.fields
    has_asked = fields.get("logprobs") is True
    asked = int(fields.get("top_logprobs") or 0) if has_asked else None
    judge = Judge(carrier=carrier, asked=asked)
    carrier.judged_fields = _extra(terms.signal, asked)
    return judge


def _extra(signal: str, asked: int | None) -> dict[str, Any]:
    if signal == "agreement":
        return {}
    extra: dict[str, Any] = {"logprobs": True}
    if signal in _WITH_OTHERS:
        extra["top_logprobs"] = max(asked or 0, _ALTERNATIVES)
    return extra


async def whole_answer(x: Exchange, judge: Judge) -> dict[str, Any]:
    """A whole answer that may be served. Raises Doubt where none may, ApiError where none came."""
    name = judge.carrier.plan.target
    while True:
        try:
            answer = await _judged_once(x, judge, name)
        except Doubt as doubt:
            name = judge.escalates(doubt)
            continue
        except ApiError as error:
            after = judge.after_failure(error)
            if after is None:
                raise
            if after.followup.action != "accept" or judge.kept is None:
                raise after from None
            answer = judge.kept
        for choice in answer["choices"]:
            trimmed(choice, judge.asked)
        return answer


async def _judged_once(x: Exchange, judge: Judge, name: str) -> dict[str, Any]:
    carrier = judge.carrier
    helper = second.begin(x, carrier, judge.terms_for(carrier.tier_of(name)))
    try:
        answer = await asking.for_whole(x, carrier, name)
        measured = await _measure(x, judge, answer, helper)
    finally:
        await second.end(carrier, helper)
    judge.kept = answer
    judge.judge(measured, _text(answer))
    return answer


async def _measure(
    x: Exchange, judge: Judge, answer: dict[str, Any], helper: asyncio.Task[str | None] | None
) -> Decimal | None:
    terms = judge.terms_for(judge.carrier.current.backend.tier)
    if terms is None:
        return None
    if terms.signal == "agreement":
        said = None
        if helper is not None:
            with suppress(ApiError):
                said = await helper
        return confidence.agreement(_text(answer), said)
    if terms.signal == "verifier":
        return await second.verify(x, judge.carrier, _text(answer))
    # The least sure of several choices speaks for all of them.
    values = [_of_choice(judge, terms.signal, choice) for choice in answer["choices"]]
    known = [value for value in values if value is not None]
    return min(known) if len(known) == len(values) else None


def _of_choice(judge: Judge, signal: str, choice: dict[str, Any]) -> Decimal | None:
    tokens = confidence.tokens_of(choice.get("logprobs"))
    match signal:
        case "label_margin":
            return confidence.label_margin(tokens)
        case "json_field_min":
            text = str((choice.get("message") or {}).get("content") or "")
            return confidence.json_field_min(text, tokens, _schema(judge))
        case _:
            return of_tokens(signal, tokens)


def of_tokens(signal: str, tokens: list[confidence.Token]) -> Decimal | None:
    if signal == "token_logprob_mean":
        return confidence.token_mean(tokens)
    return confidence.token_q10(tokens)


async def stream(gateway: Gateway, x: Exchange, judge: Judge) -> None:
    """Carry a stream that is judged by its beginning. Raises Doubt, and nothing was sent then."""
    name = judge.carrier.plan.target
    while True:
        try:
            await asking.for_stream(gateway, x, judge.carrier, name, judge)
            return
        except Doubt as doubt:
            name = judge.escalates(doubt)
        except ApiError as error:
            doubt_after = None if x.has_started else judge.after_failure(error)
            if doubt_after is None:
                raise
            raise doubt_after from None


def _schema(judge: Judge) -> Any:
    wanted = judge.carrier.plan.request.fields.get("response_format")
    described = wanted.get("json_schema") if isinstance(wanted, dict) else None
    return described.get("schema") if isinstance(described, dict) else None


def _text(answer: dict[str, Any]) -> str:
    return str((answer["choices"][0].get("message") or {}).get("content") or "")
