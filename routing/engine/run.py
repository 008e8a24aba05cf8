"""The working of one decision: match a rule, find its target, trace what was passed over.

Nothing here may widen a boundary: every name passes `eligibility.rejection` before it is chosen.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal

from routing.engine.compiled import (
    CompiledInvariant,
    CompiledPolicy,
    CompiledRule,
)
from routing.engine.eligibility import invariants_on, is_killed, is_wider, rejection
from routing.engine.matching import Matching
from routing.engine.policy import BASELINE_RULE, DEFAULT_RULE, Outcome
from routing.engine.telling import tell
from routing.engine.types import (
    BackendFacts,
    CandidateTrace,
    Decision,
    Facts,
    HoldTerms,
    Trace,
)

_ROUTES = ("route", "escalate")
_WAYS_OUT = {"hold": "held", "safe_default": "safe_default", "refuse": "refused"}
# Why an earlier target was passed over, where that is the cause of what happened.
_DIVERTED = {
    "context_window": "context_window",
    "capability": "capability",
    "over_budget": "budget",
    "unhealthy": "fallback_error",
    "cooldown": "fallback_error",
}


class Run(Matching):
    """The working state of one decision, from its rule to its backend."""

    __slots__ = ("_invariants", "settled", "verdicts")

    def __init__(
        self, policy: CompiledPolicy, facts: Facts, backends: Mapping[str, BackendFacts]
    ) -> None:
        super().__init__(policy, facts, backends)
        self.verdicts: dict[str, CandidateTrace] = {}
        self.settled: CompiledRule | None = None
        self._invariants: tuple[str, Sequence[CompiledInvariant]] | None = None

    def _rejection(self, backend: BackendFacts, cap: Decimal | None = None) -> str | None:
        known = self._invariants
        if known is None or known[0] != self.data_class:
            on = invariants_on(self.facts, self.data_class, self.policy)
            known = self._invariants = (self.data_class, on)
        return rejection(backend, self.facts, self.data_class, self.policy, cap, known[1])

    def resolve(self, rule: CompiledRule) -> Decision:
        """Follow a matched rule to a backend, or to the way out that it names."""
        facts = self.facts
        self.settled = rule
        self.raise_class(rule.outcome)
        if not facts.in_rollout and facts.baseline is not None and facts.pin is None:
            decided = self._by_baseline(rule, facts.baseline)
            if decided is not None:
                return decided
        while True:
            self.settled = rule
            outcome = instead = rule.outcome
            self.raise_class(outcome)
            if outcome.action in _ROUTES:
                decided, instead = self._route(rule)
                if decided is not None:
                    return decided
            elif outcome.hold is not None and rule.id in facts.capped_rules:
                instead = Outcome(action=outcome.hold.over_cap)
            if instead.action != "next":
                return self.way_out(rule, instead)
            if rule.id == DEFAULT_RULE or self.cause:
                # Nothing comes after the default, nor after a reading without all signals.
                return self.way_out(rule, self.policy.no_target)
            rule = self.match(len(self.rules))

    def _by_baseline(self, rule: CompiledRule, baseline: str) -> Decision | None:
        """Outside the rollout the baseline serves; a refusal and the egress rules still win."""
        backend = self.backends.get(baseline)
        if backend is None or rule.outcome.action == "refuse":
            return None
        if self._rejection(backend) is not None:
            return None
        self._judge([baseline], None)
        return self._routed(rule, backend, (), "rollout_baseline", rule_id=BASELINE_RULE)

    def _route(self, rule: CompiledRule) -> tuple[Decision | None, Outcome]:
        """The first target that may take the request, or what the rule says where none may."""
        outcome = rule.outcome
        names, cause = self.targets(rule)
        self.verdicts.clear()
        allowed = self._judge(names, outcome)
        if not allowed and self.facts.pin is None:
            hops, hop_cause = self._hops(names)
            names = [*names, *hops]
            allowed = self._judge(hops, outcome)
            cause = hop_cause if allowed else cause
        if allowed:
            first = names[0]
            if allowed[0].name != first and cause in (
                "rule_match",
                "default_route",
                "uncertain_escalated",
            ):
                cause = self._diverted(first, cause)
            return self._routed(rule, allowed[0], tuple(allowed[1:]), cause), outcome
        if self.facts.pin is not None:
            return None, Outcome(action="refuse")
        return None, outcome.on_no_target or self.policy.no_target

    def targets(self, rule: CompiledRule) -> tuple[list[str], str]:
        """The backends that the rule wants in order, after pins and sessions, and the cause."""
        outcome, facts = rule.outcome, self.facts
        if facts.pin is not None:
            return [facts.pin], "explicit_pin"
        tier = outcome.tier
        names = list(outcome.targets) or self._of_tier(tier)
        cause = self.cause or (
            "uncertain_escalated"
            if outcome.action == "escalate"
            else "default_route"
            if rule.id == DEFAULT_RULE
            else "rule_match"
        )
        session = self.policy.policy.session
        if facts.sticky_tier is None or not session.sticky or not outcome.sticky or self.cause:
            return names, cause
        first = self.backends.get(names[0]) if names else None
        wanted = first.tier if first else tier
        rises, stays = wanted == "llm", facts.sticky_tier
        if wanted == stays or (session.may_rise if rises else session.may_fall):
            return names, cause
        kept = self._kept(stays)
        return (
            (kept + [n for n in names if n not in kept], "sticky_session")
            if kept
            else (
                names,
                cause,
            )
        )

    def _kept(self, tier: str) -> list[str]:
        """The backends on which a session keeps its tier, if one of them may take the request."""
        names = [n for n in self.policy.tier_targets.get(tier, ()) if n in self.backends]
        able = any(self._rejection(self.backends[n]) is None for n in names)
        return names if able else []

    def _of_tier(self, tier: str | None) -> list[str]:
        of_tier = [b for b in self.backends.values() if b.tier == tier]
        of_tier.sort(key=lambda b: (b.price_in + b.price_out, b.name))
        return [b.name for b in of_tier]

    def _hops(self, names: list[str]) -> tuple[list[str], str]:
        """The declared fallbacks of a rule none of whose targets may take the request."""
        reasons = {self.verdicts[name].reason for name in names if name in self.verdicts}
        fallbacks = self.policy.policy.fallbacks
        hops: list[str] = []
        cause = "fallback_error"
        if "context_window" in reasons:
            hops += fallbacks.context_window
            cause = "context_window"
        if reasons & {"unhealthy", "cooldown", "over_budget", "disabled"} and names:
            hops += fallbacks.failure.get(names[0], ())
        boundary = self._boundary_of(names)
        return [
            name
            for name in dict.fromkeys(hops)
            if name not in names
            and name in self.backends
            and not is_wider(self.backends[name], boundary)
        ], cause

    def _boundary_of(self, names: list[str]) -> str:
        first = self.backends.get(names[0]) if names else None
        return first.boundary if first else "private"

    def _judge(self, names: list[str], outcome: Outcome | None) -> list[BackendFacts]:
        """Those that may take the request, in order; every verdict is kept for the trace."""
        allowed: list[BackendFacts] = []
        cap = outcome.max_cost_usd if outcome else None
        for name in names:
            backend = self.backends.get(name)
            if backend is None or name in self.verdicts:
                continue
            reason = self._rejection(backend, cap)
            if reason is None:
                verdict = "eligible" if allowed else "chosen"
                allowed.append(backend)
                reason = "lower_priority" if verdict == "eligible" else ""
            else:
                verdict = "rejected"
            self.verdicts[name] = CandidateTrace(
                name, backend.tier, backend.boundary, verdict, reason
            )
        return allowed

    def _diverted(self, first: str, cause: str) -> str:
        backend = self.backends.get(first)
        if backend is not None and is_killed(backend, self.facts.killed):
            return "kill_switch"
        verdict = self.verdicts.get(first)
        return _DIVERTED.get(verdict.reason, cause) if verdict else cause

    # results

    def _routed(
        self,
        rule: CompiledRule,
        backend: BackendFacts,
        others: tuple[BackendFacts, ...],
        cause: str,
        rule_id: str = "",
    ) -> Decision:
        plan = tuple(b.name for b in others if not is_wider(b, backend.boundary))
        return self._decision(
            rule, action="route", cause=cause, backend=backend, plan=plan, rule_id=rule_id
        )

    def way_out(self, rule: CompiledRule, outcome: Outcome) -> Decision:
        """Hold, safe default or refusal, by the rule's own word or because no target is left."""
        self.raise_class(outcome)
        action = outcome.action
        cause, no_target = self.cause or _WAYS_OUT[action], None
        if rule.outcome.action in _ROUTES:
            reasons = [v.reason for v in self.verdicts.values() if v.verdict == "rejected"]
            no_target = max(reasons, key=reasons.count) if reasons else "disabled"
            names = [n for n in self.verdicts if is_killed(self.backends[n], self.facts.killed)]
            if names and len(names) == len(self.verdicts):
                cause = "kill_switch"
            elif reasons and set(reasons) == {"over_budget"}:
                cause = "budget"
        return self._decision(
            rule, action=action, cause=cause, way_out=outcome, no_target=no_target
        )

    def stopped(self) -> Decision:
        """The whole route is switched off: no rule is asked."""
        no_target = self.policy.no_target
        return self._decision(
            self.policy.default, action=no_target.action, cause="kill_switch", way_out=no_target
        )

    def _candidate_of(self, hold: HoldTerms | None) -> HoldTerms | None:
        """The terms without a draft's backend that may not see this request."""
        if hold is None or hold.candidate is None:
            return hold
        backend = self.backends.get(hold.candidate)
        if backend and self._rejection(backend) is None:
            return hold
        return HoldTerms(
            queue=hold.queue,
            hold_s=hold.hold_s,
            on_timeout=hold.on_timeout,
            cap_pct=hold.cap_pct,
            over_cap=hold.over_cap,
        )

    def _candidates(self) -> tuple[CandidateTrace, ...]:
        """Every registered backend once: the wanted ones in order, then the others by name."""
        verdicts = self.verdicts
        for name in sorted(self.backends):
            if name not in verdicts:
                backend = self.backends[name]
                reason = self._rejection(backend)
                verdicts[name] = CandidateTrace(
                    name, backend.tier, backend.boundary, "rejected", reason or "lower_priority"
                )
        return tuple(verdicts.values())

    def _decision(
        self,
        rule: CompiledRule,
        *,
        action: str,
        cause: str,
        backend: BackendFacts | None = None,
        plan: tuple[str, ...] = (),
        rule_id: str = "",
        way_out: Outcome | None = None,
        no_target: str | None = None,
    ) -> Decision:
        policy = self.policy
        traced = self.rules
        if len(traced) < len(policy.rules):
            traced.extend(later.not_reached for later in policy.rules[len(traced) :])
        outcome = way_out or rule.outcome
        safe_default = outcome.safe_default or policy.policy.safe_default
        candidates = self._candidates()
        return Decision(
            action=action,
            backend=backend.name if backend else None,
            tier=backend.tier if backend else None,
            boundary=backend.boundary if backend else None,
            rule=rule_id or rule.id,
            cause=cause,
            sentence=tell(self, rule, cause, backend, outcome),
            plan=plan,
            hold=self._candidate_of(outcome.hold) if action == "hold" else None,
            limits=rule.limits,
            safe_default=safe_default,
            data_class=self.data_class,
            trace=Trace(
                policy=policy.label,
                digest=policy.digest,
                classifier=policy.policy.classifier,
                signals=self.signals,
                rules=tuple(traced),
                candidates=candidates,
                personal=policy.registry.personal,
            ),
            no_target=no_target,
            sticky=self._may_stick(rule, action, cause),
            shadow=rule.outcome.shadow,
        )

    def _may_stick(self, rule: CompiledRule, action: str, cause: str) -> bool:
        """Only a plain choice of tier is remembered: nothing decided around a failure."""
        return (
            action == "route"
            and self.policy.policy.session.sticky
            and rule.outcome.sticky
            and cause in ("rule_match", "default_route", "uncertain_escalated", "sticky_session")
        )
