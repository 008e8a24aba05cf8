"""What a branch of a policy can lead to: its outcome, its backends, and the doubt after it."""

from __future__ import annotations

from dataclasses import dataclass

from routing.engine.boundaries import hops_of, leaves_boundary
from routing.engine.branches import Analysis, Branch
from routing.engine.policy import Escalation, Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What a branch can lead to: its outcome, every backend behind it, and the doubt after it."""

    outcome: Outcome
    hops: frozenset[tuple[str, str]]
    doubts: tuple[tuple[str, Escalation], ...]
    tiers: frozenset[str]
    public: frozenset[str]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for _, name in self.hops)


def effect_of(analysis: Analysis, branch: Branch) -> Effect:
    known, outcome = analysis.backends or {}, branch.outcome
    hops = {
        (hop.kind, hop.name)
        for hop in (hops_of(analysis, branch) if sends(outcome) else ())
        if not leaves_boundary(analysis, hop)
    }
    hops |= {("target", name) for name in outcome.targets}
    if outcome.hold and outcome.hold.candidate:
        hops.add(("draft", outcome.hold.candidate))
    tiers = {known[name].tier for kind, name in hops if name in known and kind != "draft"}
    tiers |= {outcome.tier} if outcome.tier else set()
    escalation = analysis.policy.escalation
    return Effect(
        outcome=outcome,
        hops=frozenset(hops),
        doubts=tuple((tier, escalation[tier]) for tier in sorted(tiers) if tier in escalation),
        tiers=frozenset(tiers),
        public=frozenset(n for _, n in hops if n in known and known[n].boundary != "private"),
    )


def sends(outcome: Outcome) -> bool:
    return outcome.action in ("route", "escalate")


def holds_less(before: Effect, after: Effect) -> bool:
    """Whether a person who would have been asked is not asked, or for fewer requests."""
    old, new = before.outcome, after.outcome
    if old.hold is not None and old.action == "hold":
        if new.hold is None or new.action != "hold":
            return True
        was, now = old.hold.cap_pct, new.hold.cap_pct
        return now is not None and (was is None or now < was)
    if new.action == "hold":
        return False
    way_out = old.on_no_target
    if way_out is not None and way_out.action == "hold":
        instead = new.on_no_target
        if sends(new) and (instead is None or instead.action != "hold"):
            return True
    now_doubts = dict(after.doubts)
    return any(
        _may_hold(terms) and tier in after.tiers and not _may_hold(now_doubts.get(tier))
        for tier, terms in before.doubts
    )


def _may_hold(terms: Escalation | None) -> bool:
    if terms is None:
        return False
    return "hold" in (terms.on_uncertain.action, terms.then.action)
