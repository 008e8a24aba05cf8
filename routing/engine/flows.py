"""Where requests of each data class can go under a policy: every backend, by every way, proved.

A flow is permitted when there is a request that the engine would send there: a target, a fallback,
an escalation, the draft for a reviewer, the baseline outside the rollout, a session that keeps its
tier, a pin. Each flow carries such a request, save those of failed signals, which have no values.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from routing.engine.branches import (
    Analysis,
    Branch,
    arrivals,
    capable,
    may_pass_on,
    prepare,
)
from routing.engine.compiled import compile_invariant, strictness, tier_targets
from routing.engine.conditions import compile_test, negations_inward
from routing.engine.eligibility import is_wider
from routing.engine.policy import FAILURE_RULE, Condition, Outcome, Policy, Test
from routing.engine.reach import FALSE, TRUE, Formula, Undecided
from routing.engine.types import BackendFacts, SignalValue

ROUTES = ("route", "escalate")
KINDS = (
    "target",
    "session",
    "baseline",
    "pin",
    "fallback",
    "escalation",
    "draft",
    "failed signal",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """Data of this class (as the rule may have raised it) can reach this backend by this way."""

    data_class: str
    backend: str
    boundary: str
    kind: str
    rule: str
    name: str
    path: str
    witness: Mapping[str, SignalValue] | None


@dataclass(frozen=True, slots=True)
class _Entry:
    """A way into a rule: its formulas, and the class that its data then has."""

    branch: Branch
    data_class: str
    reached: tuple[Formula, ...]
    kind: str = ""


def permitted(
    policy: Policy,
    backends: Mapping[str, BackendFacts],
    *,
    now_s: int,
    floor: str | None = None,
    baseline: str | None = None,
    may_pin: bool = False,
) -> list[Flow]:
    """Every flow once per class, backend, way and rule. `baseline` only with a partial rollout."""
    search = _Search(prepare(policy, backends, now_s=now_s, floor=floor), baseline, may_pin)
    found: dict[tuple[str, str, str, str], Flow] = {}
    for entry in search.entries():
        for flow in search.flows(entry):
            found.setdefault((flow.data_class, flow.backend, flow.kind, flow.rule), flow)
    reached = {(f.data_class, f.backend) for f in found.values()}
    for entry in search.without_signals():
        for flow in search.flows(entry):
            if (flow.data_class, flow.backend) not in reached:
                found.setdefault((flow.data_class, flow.backend, flow.kind, flow.rule), flow)
    rank = policy.registry.rank
    return sorted(
        found.values(),
        key=lambda f: (-rank(f.data_class), f.boundary, f.backend, KINDS.index(f.kind), f.rule),
    )


class _Search:
    def __init__(self, analysis: Analysis, baseline: str | None, may_pin: bool) -> None:
        self.analysis = analysis
        self.policy = analysis.policy
        self.known: Mapping[str, BackendFacts] = analysis.backends or {}
        self.baseline = baseline
        self.may_pin = may_pin
        self.kept = tier_targets(self.policy)
        self.invariants = [
            (one, compile_invariant(one, self.policy.registry)) for one in self.policy.invariants
        ]
        self._able: dict[tuple[str, str], tuple[Formula, ...] | None] = {}

    def _ask(self, *formulas: Formula) -> tuple[bool, Mapping[str, SignalValue] | None]:
        """Whether a request can be all of this, and one that is. What is too long to decide can."""
        space = self.analysis.space
        try:
            masks = space.solve(formulas)
        except Undecided:
            return True, None
        return masks is not None, None if masks is None else space.witness(masks)

    # ways into a rule

    def entries(self) -> Iterator[_Entry]:
        stricter = self.policy.registry.stricter
        for place, branch in enumerate(self.analysis.branches):
            for name, reached in arrivals(self.analysis, place):
                if self._ask(*reached)[0]:
                    yield _Entry(branch, stricter(name, branch.outcome.data_class), reached)

    def without_signals(self) -> Iterator[_Entry]:
        """Rules that may decide while signals cannot be measured: only the class is sure then."""
        analysis, stricter = self.analysis, self.policy.registry.stricter
        rules = [branch for branch in analysis.branches if branch.id != FAILURE_RULE]
        conditions = [rule.when for rule in self.policy.rules if rule.is_enabled]
        weights = [strictness(branch.outcome, self.known) for branch in rules]
        for place, branch in enumerate(rules):
            after = weights[place + 1 :]
            if after and min(after) > weights[place]:
                continue
            own = conditions[place] if place < len(conditions) else None
            sure = [
                analysis.space.negated(self._of_class(conditions[n], FALSE))
                for n, earlier in enumerate(rules[:place])
                if not may_pass_on(earlier.outcome)
            ]
            possible = TRUE if own is None else self._of_class(own, TRUE)
            raised = [b.outcome.data_class for b in rules if b.outcome.data_class is not None]
            for arriving in analysis.classes():
                reached = (*sure, possible, analysis.class_is(arriving))
                if not self._ask(*reached)[0]:
                    continue
                names = {stricter(arriving, one) for one in raised} | {arriving}
                for name in sorted(names):
                    effective = stricter(name, branch.outcome.data_class)
                    yield _Entry(branch, effective, reached, "failed signal")
        for branch in analysis.branches:
            if branch.id == FAILURE_RULE:
                for name in sorted({str(b.outcome.data_class) for b in rules} - {"None"}):
                    yield _Entry(branch, name, (TRUE,), "failed signal")

    def _of_class(self, condition: Condition, other: Formula) -> Formula:
        """The condition with every comparison of another signal than the class as `other`."""
        space = self.analysis.space
        inward = negations_inward(condition)
        if isinstance(inward, Test):
            return space.formula(inward) if inward.signal == "data_class" else other
        parts = [self._of_class(item, other) for item in inward.items]
        return space.all_of(parts) if inward.kind == "all" else space.any_of(parts)

    # ways out of it

    def flows(self, entry: _Entry) -> Iterator[Flow]:
        outcome = entry.branch.outcome
        yield from self._drafts(entry)
        if self.baseline in self.known and outcome.action != "refuse":
            yield from self._from(entry, str(self.baseline), "baseline", self._targets(outcome))
        if outcome.action not in ROUTES:
            return
        if self.may_pin:
            for name in self.known:
                yield from self._flow(entry, name, "pin", "a key that may pin", ())
        names = self._targets(outcome)
        for first, kind in self._firsts(outcome, names):
            yield from self._from(entry, first, kind, names)

    def _targets(self, outcome: Outcome) -> list[str]:
        if outcome.targets:
            return [name for name in outcome.targets if name in self.known]
        return [b.name for b in self.known.values() if outcome.tier and b.tier == outcome.tier]

    def _firsts(self, outcome: Outcome, names: Sequence[str]) -> Iterator[tuple[str, str]]:
        """What may be called first: a target, a declared hop where none may, a session's tier."""
        fallbacks, session = self.policy.fallbacks, self.policy.session
        lists = [(list(names), "target")]
        if session.sticky and outcome.sticky:
            wanted = self.known[names[0]].tier if names else outcome.tier
            stays = "slm" if wanted == "llm" else "llm"
            if not (session.may_rise if wanted == "llm" else session.may_fall):
                kept = [name for name in self.kept.get(stays, ()) if name in self.known]
                lists.append((kept, "session"))
        for found, kind in lists:
            yield from ((name, kind) for name in found)
            if found:
                boundary = self.known[found[0]].boundary
                hops = [*fallbacks.context_window, *fallbacks.failure.get(found[0], ())]
                for name in dict.fromkeys(hops):
                    if name in self.known and not is_wider(self.known[name], boundary):
                        yield name, "fallback"

    def _from(self, entry: _Entry, first: str, kind: str, names: Sequence[str]) -> Iterator[Flow]:
        """The first call, and every hop after it that the document allows."""
        able = self.able(first, entry.data_class)
        if able is None:
            return
        where = {"target": f"{entry.branch.path}.then", "baseline": "rollout", "session": "session"}
        yield from self._flow(entry, first, kind, where.get(kind, "fallbacks"), ())
        if not self._holds(entry, able):
            return
        waiting: list[tuple[tuple[str, ...], tuple[Formula, ...]]] = [((first,), able)]
        seen: set[tuple[str, frozenset[str]]] = set()
        while waiting:
            called, sure = waiting.pop(0)
            for name, way, path in self._next(called, names):
                more = self.able(name, entry.data_class)
                if more is None or not self._holds(entry, (*sure, *more)):
                    continue
                yield from self._flow(entry, name, way, path, sure)
                state = (name, frozenset((*called, name)))
                if state not in seen and len(called) + 1 < self.policy.limits.attempts:
                    seen.add(state)
                    waiting.append(((*called, name), (*sure, *more)))

    def _next(
        self, called: tuple[str, ...], names: Sequence[str]
    ) -> Iterator[tuple[str, str, str]]:
        fallbacks, escalation = self.policy.fallbacks, self.policy.escalation
        first, last = self.known[called[0]], self.known[called[-1]]
        chains: list[tuple[Iterable[str], str]] = [
            (fallbacks.failure.get(first.name, ()), f"fallbacks.failure.{first.name}"),
            (fallbacks.failure.get(last.name, ()), f"fallbacks.failure.{last.name}"),
            (fallbacks.context_window, "fallbacks.context_window"),
            (fallbacks.content_policy, "fallbacks.content_policy"),
            (names, "the rule's other targets"),
        ]
        if len(called) < self.policy.limits.attempts:
            for chain, path in chains:
                for name in chain:
                    is_new = name in self.known and name not in called
                    if is_new and not is_wider(self.known[name], first.boundary):
                        yield name, "fallback", path
        terms = escalation.get(last.tier)
        if terms is not None and terms.on_uncertain.action == "escalate":
            for name in terms.to:
                is_new = name in self.known and name not in called
                crosses = is_new and is_wider(self.known[name], last.boundary)
                if is_new and (terms.cross_boundary or not crosses):
                    yield name, "escalation", f"escalation.{last.tier}.to"

    def _drafts(self, entry: _Entry) -> Iterator[Flow]:
        """The answer that a reviewer sees is asked of a private backend, never of a public one."""
        outcome, stricter = entry.branch.outcome, self.policy.registry.stricter
        for held in (outcome, outcome.on_no_target):
            if held is None or held.hold is None or held.hold.candidate not in self.known:
                continue
            name = str(held.hold.candidate)
            if self.known[name].boundary == "private":
                at = _Entry(
                    entry.branch,
                    stricter(entry.data_class, held.data_class),
                    entry.reached,
                    entry.kind,
                )
                yield from self._flow(at, name, "draft", f"{entry.branch.path}.then.hold", ())

    def _flow(
        self, entry: _Entry, name: str, kind: str, path: str, sure: tuple[Formula, ...]
    ) -> Iterator[Flow]:
        able = self.able(name, entry.data_class)
        if able is None:
            return
        is_possible, witness = self._ask(*entry.reached, *sure, *able)
        if not is_possible:
            return
        yield Flow(
            data_class=entry.data_class,
            backend=name,
            boundary=self.known[name].boundary,
            kind=entry.kind or kind,
            rule=entry.branch.id,
            name=entry.branch.name,
            path=path,
            witness=None if entry.kind else witness,
        )

    def _holds(self, entry: _Entry, sure: tuple[Formula, ...]) -> bool:
        return self._ask(*entry.reached, *sure)[0]

    def able(self, name: str, data_class: str) -> tuple[Formula, ...] | None:
        """What a request must be so that this backend may take it; None where none may."""
        key = (name, data_class)
        if key not in self._able:
            self._able[key] = self._ability(self.known[name], data_class)
        return self._able[key]

    def _ability(self, backend: BackendFacts, data_class: str) -> tuple[Formula, ...] | None:
        space = self.analysis.space
        if backend.state != "active" or refusal(backend, data_class, self.analysis.now_s):
            return None
        asked: list[Formula] = []
        for invariant, compiled in self.invariants:
            if not compiled.applies_to(backend):
                continue
            of_class = [test for test in invariant.signals if test.signal == "data_class"]
            seen: dict[str, SignalValue] = {"data_class": data_class}
            if any(compile_test(t, self.policy.registry)(seen) is not None for t in of_class):
                continue
            others = [space.formula(t) for t in invariant.signals if t.signal != "data_class"]
            if not others:
                return None
            asked.append(space.negated(space.all_of(others)))
        asked += capable(self.analysis, backend)
        return tuple(asked)


def refusal(backend: BackendFacts, data_class: str, now_s: int) -> str:
    """Why the registry and the sign-offs alone keep this class from this backend, or nothing."""
    if data_class not in backend.data_classes:
        return "data_class"
    if backend.boundary == "private":
        return ""
    expiry = backend.signoffs.get(data_class)
    if expiry is None:
        return "not_signed_off"
    return "sign_off_expired" if expiry <= now_s else ""
