"""The one sentence of a decision: the rule, the values it saw, and what follows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from routing.engine.policy import DEFAULT_RULE, Outcome
from routing.engine.types import BackendFacts
from routing.engine.wording import listed

if TYPE_CHECKING:
    from routing.engine.compiled import CompiledRule
    from routing.engine.run import Run

REASON_WORDS = {
    "not_signed_off": "has no sign-off for {data_class} data",
    "sign_off_expired": "had a sign-off for {data_class} data, which has ended",
    "data_class": "may not receive {data_class} data",
    "region": "is outside the allowed regions",
    "capability": "lacks something that the request needs",
    "context_window": "has too small a context window",
    "cooldown": "is in cooldown after failures",
    "unhealthy": "is not healthy",
    "over_budget": "is over its budget",
    "key_scope": "is outside what the caller's key may use",
    "disabled": "is switched off",
    "lower_priority": "comes later in the order",
}
TIER_WORDS = {"slm": "small model", "llm": "larger model"}
_MOST_OBSERVATIONS = 4


def tell(
    run: Run, rule: CompiledRule, cause: str, backend: BackendFacts | None, outcome: Outcome
) -> str:
    return f"{_why(run, rule, cause)} {_what(run, rule, cause, backend, outcome)}"


def _why(run: Run, rule: CompiledRule, cause: str) -> str:
    if run.policy.route in run.facts.killed:
        return "This route is switched off."
    if cause == "rollout_baseline":
        return "The rollout leaves this request to the route's baseline."
    if run.cause:
        failed = listed(sorted(name.replace("_", " ") for name in run.failed))
        return f"Signals could not be measured ({failed}), so “{rule.name}” decides."
    if rule.id == DEFAULT_RULE:
        return "No rule matched, so the default decides."
    seen = _observed(run, rule)
    return f"Rule “{rule.name}” matched: {seen}." if seen else f"Rule “{rule.name}” matched."


def _observed(run: Run, rule: CompiledRule) -> str:
    signals, registry = run.signals, run.policy.registry
    said: list[str] = []
    for check, observation in rule.observations:
        if check(signals) is not None:
            continue
        value = signals.get(observation.signal)
        if value is None:
            known = registry.get(observation.signal)
            value = known.absent_as if known else None
        said.append(observation.said(value))
        if len(said) == _MOST_OBSERVATIONS:
            break
    return listed(said)


def _what(
    run: Run, rule: CompiledRule, cause: str, backend: BackendFacts | None, outcome: Outcome
) -> str:
    if backend is not None:
        tier = TIER_WORDS.get(backend.tier, backend.tier)
        chosen = f"It goes to {backend.name} ({tier}, {backend.boundary})"
        return f"{chosen}{_because(run, cause, backend)}."
    passed = ""
    if rule.outcome.action in ("route", "escalate") and run.verdicts:
        passed = f"No backend of it may take the request: {_first_rejected(run)}. "
    return passed + _way_out(outcome)


def _because(run: Run, cause: str, backend: BackendFacts) -> str:
    if cause == "explicit_pin":
        return ", which the caller named"
    if cause == "sticky_session":
        return ", because the session stays on its tier"
    first = next(iter(run.verdicts.values()), None)
    if first is not None and first.name != backend.name:
        return f"; {_first_rejected(run)}"
    return ""


def _first_rejected(run: Run) -> str:
    verdict = next((v for v in run.verdicts.values() if v.verdict == "rejected"), None)
    if verdict is None:
        return "none is registered"
    words = REASON_WORDS[verdict.reason].format(data_class=run.data_class)
    return f"{verdict.name} {words}"


def _way_out(outcome: Outcome) -> str:
    if outcome.action == "hold" and outcome.hold is not None:
        hold = outcome.hold
        return f"It waits for a person in the queue “{hold.queue}”, at most {hold.hold_s} s."
    if outcome.action == "safe_default":
        return "The safe default answers."
    return outcome.message or "It is refused."
