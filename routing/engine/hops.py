"""What comes after the first call: another backend after a failure, a larger one out of doubt.

A fallback never leaves the boundary of the first choice; an escalation leaves it only where the
policy says `cross_boundary`, and then still passes every egress rule.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from routing.engine.compiled import CompiledPolicy
from routing.engine.eligibility import is_wider, rejection
from routing.engine.policy import Escalation, Outcome
from routing.engine.run import Run
from routing.engine.types import BackendFacts, Facts, Followup

FALLBACK_KINDS = ("failure", "context_window", "content_policy")


def fallback(
    policy: CompiledPolicy,
    facts: Facts,
    backends: Mapping[str, BackendFacts],
    *,
    failed: str,
    tried: Sequence[str],
    kind: str,
) -> str | None:
    """The next backend after `failed`, or None. `tried` lists every backend called so far."""
    called = [*tried] if failed in tried else [*tried, failed]
    if len(set(called)) >= policy.policy.limits.attempts or facts.pin is not None:
        return None
    first, last = backends.get(called[0]), backends.get(failed)
    boundary = first.boundary if first else "private"
    run = Run(policy, facts, backends)
    data_class = run.resolve(run.match(0)).data_class
    targets = run.targets(run.settled)[0] if run.settled else []
    cap = run.settled.outcome.max_cost_usd if run.settled else None
    names = _chain(run, called[0], failed, kind, targets)
    for name in names:
        backend = backends.get(name)
        if backend is None or name in called or is_wider(backend, boundary):
            continue
        if kind == "context_window" and last and backend.context_window <= last.context_window:
            continue
        if rejection(backend, facts, data_class, policy, cap) is None:
            return name
    return None


def _chain(run: Run, first: str, failed: str, kind: str, targets: list[str]) -> list[str]:
    """Every hop that the document allows for this kind of failure, in order."""
    fallbacks = run.policy.policy.fallbacks
    if kind == "content_policy":
        return list(fallbacks.content_policy)
    if kind == "context_window":
        return [*fallbacks.context_window, *targets]
    chains = fallbacks.failure
    return [*chains.get(first, ()), *chains.get(failed, ()), *targets]


def judge_answer(
    policy: CompiledPolicy,
    facts: Facts,
    backends: Mapping[str, BackendFacts],
    *,
    backend: str,
    confidence: Decimal | None,
) -> Followup:
    """What to do with the answer of `backend`; no confidence counts as none at all."""
    served = backends.get(backend)
    terms = policy.policy.escalation.get(served.tier) if served else None
    if served is None or terms is None:
        return Followup(action="accept")
    measured = Decimal(0) if confidence is None or not confidence.is_finite() else confidence
    if measured >= terms.accept_gte:
        return Followup(action="accept")
    asked = f"{terms.accept_gte:f}"
    doubt = f"The answer of {backend} is uncertain: {_seen(confidence)}, asked is {asked}."
    if terms.on_uncertain.action != "escalate":
        return _settled(terms.on_uncertain, doubt)
    target = _larger(policy, facts, backends, served, terms)
    if target is None:
        return _settled(terms.then, f"{doubt} No larger model may take it.")
    return Followup(
        action="escalate",
        to=target,
        cause="uncertain_escalated",
        sentence=f"{doubt} It goes to {target}.",
    )


def _larger(
    policy: CompiledPolicy,
    facts: Facts,
    backends: Mapping[str, BackendFacts],
    served: BackendFacts,
    terms: Escalation,
) -> str | None:
    run = Run(policy, facts, backends)
    data_class = run.resolve(run.match(0)).data_class
    for name in terms.to:
        backend = backends.get(name)
        if backend is None or name == served.name:
            continue
        if is_wider(backend, served.boundary) and not terms.cross_boundary:
            continue
        if rejection(backend, facts, data_class, policy) is None:
            return name
    return None


def _settled(outcome: Outcome, doubt: str) -> Followup:
    causes = {"hold": "held", "safe_default": "safe_default"}
    said = {
        "hold": "A person decides.",
        "safe_default": "The safe default answers.",
        "accept": "The policy accepts it.",
    }
    return Followup(
        action=outcome.action,
        hold=outcome.hold,
        cause=causes.get(outcome.action),
        sentence=f"{doubt} {said[outcome.action]}",
    )


def _seen(confidence: Decimal | None) -> str:
    return "nothing was measured" if confidence is None else f"confidence {confidence:f}"
