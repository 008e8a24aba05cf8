"""The branches of a policy as formulas over its cells: what every check of the analysis asks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from routing.engine.compiled import CompiledPolicy, compile_policy
from routing.engine.conditions import leaves, negations_inward
from routing.engine.policy import DEFAULT_RULE, FAILURE_RULE, Condition, Outcome, Policy, Test
from routing.engine.reach import FALSE, TRUE, Formula, Space, Undecided
from routing.engine.registry import Registry
from routing.engine.types import BackendFacts, Finding, Scenario, SignalValue

CAPABILITY_SIGNALS = {"has_tools": "tools", "has_images": "images", "wants_json": "json"}


@dataclass(slots=True, kw_only=True)
class Branch:
    """One rule, the default, or a way out of classifier failure, and when it is reached."""

    id: str
    name: str
    path: str
    outcome: Outcome
    own: Formula
    unmatched: Formula
    reached: tuple[Formula, ...]
    is_reachable: bool = True


@dataclass(slots=True, kw_only=True)
class Analysis:
    """What the checks share: the branches, the cells, the registered backends, the time."""

    policy: Policy
    space: Space
    branches: list[Branch]
    backends: Mapping[str, BackendFacts] | None
    now_s: int
    floor: str
    findings: list[Finding] = field(default_factory=list)
    # The way on which an earlier rule took the same hop, because the next one mostly takes it too.
    ways: dict[tuple[str, str], Scenario] = field(default_factory=dict)
    in_vain: Counter[tuple[str, str]] = field(default_factory=Counter)
    _compiled: CompiledPolicy | None = None

    def compiled(self) -> CompiledPolicy:
        """The policy as `decide()` takes it, for the ways that are followed."""
        if self._compiled is None:
            self._compiled = compile_policy(self.policy, number=0, digest="")
        return self._compiled

    def add(
        self,
        code: str,
        path: str,
        message: str,
        *,
        blocking: bool = True,
        witness: Mapping[str, SignalValue] | None = None,
        scenario: Scenario | None = None,
    ) -> None:
        self.findings.append(
            Finding(
                code=code,
                path=path,
                message=message,
                blocking=blocking,
                witness=witness,
                scenario=scenario,
            )
        )

    def witness(self, *formulas: Formula) -> dict[str, SignalValue] | None:
        """A request for which all hold, or None; a search that is too long says so once."""
        masks = self._solved(formulas)
        return None if masks is None else self.space.witness(masks)

    def can_hold(self, *formulas: Formula) -> bool:
        """Whether there is such a request: for checks that show none."""
        return self._solved(formulas) is not None

    def _solved(self, formulas: Iterable[Formula]) -> list[int] | None:
        try:
            return self.space.solve(formulas)
        except Undecided:
            message = "this policy is too entangled to be decided; some findings may be missing"
            if not any(found.code == "undecided" for found in self.findings):
                self.add("undecided", "rules", message, blocking=False)
            return None

    def class_is(self, data_class: str) -> Formula:
        return self.space.formula(Test("data_class", "eq", data_class))

    def classes(self) -> tuple[str, ...]:
        """The data classes that requests of this route can have, the strictest first."""
        ordered = self.policy.registry.data_classes
        return tuple(reversed(ordered[self.policy.registry.rank(self.floor) :]))


def prepare(
    policy: Policy,
    backends: Mapping[str, BackendFacts] | None = None,
    *,
    now_s: int = 0,
    floor: str | None = None,
    space: Space | None = None,
) -> Analysis:
    """The branches of a policy as formulas over its cells, or over those that several share."""
    space = space or shared_space(policy.registry, [policy], backends)
    bottom = floor if floor is not None else policy.registry.data_classes[0]
    analysis = Analysis(
        policy=policy, space=space, branches=[], backends=backends, now_s=now_s, floor=bottom
    )
    above = space.any_of(analysis.class_is(name) for name in analysis.classes())
    earlier: list[Formula] = [] if above == TRUE else [above]
    for place, condition in _conditions(policy):
        rule = policy.rules[place]
        own = space.formula(condition)
        unmatched = space.negated(own)
        analysis.branches.append(
            Branch(
                id=rule.id,
                name=rule.name,
                path=f"rules[{place}]",
                outcome=rule.then,
                own=own,
                unmatched=unmatched,
                reached=(*earlier, own),
            )
        )
        if not may_pass_on(rule.then):
            earlier.append(unmatched)
    analysis.branches.append(
        Branch(
            id=DEFAULT_RULE,
            name="Default",
            path="default",
            outcome=policy.default,
            own=TRUE,
            unmatched=FALSE,
            reached=tuple(earlier),
        )
    )
    analysis.branches.extend(_failure_branches(analysis))
    return analysis


def _conditions(policy: Policy) -> list[tuple[int, Condition]]:
    return [
        (place, negations_inward(rule.when))
        for place, rule in enumerate(policy.rules)
        if rule.is_enabled
    ]


def shared_space(
    registry: Registry,
    policies: Iterable[Policy],
    backends: Mapping[str, BackendFacts] | None = None,
) -> Space:
    """Cells on which every comparison of all these policies agrees."""
    conditions: list[Condition] = []
    for policy in policies:
        conditions += [condition for _, condition in _conditions(policy)]
        conditions += _probes(policy, backends)
    return Space(registry, conditions)


def _failure_branches(analysis: Analysis) -> Iterator[Branch]:
    """Where a failed classifier leads: by data class, whatever the signals are."""
    stated = analysis.policy.on_classifier_failure
    for name, outcome in stated.items():
        if outcome is analysis.policy.default:
            continue
        covered = (
            [name]
            if name != "default"
            else [c for c in analysis.policy.registry.data_classes if c not in stated]
        )
        classes = [analysis.class_is(c) for c in covered if c in analysis.classes()]
        yield Branch(
            id=FAILURE_RULE,
            name="On classifier failure",
            path=f"on_classifier_failure.{name}",
            outcome=outcome,
            own=TRUE,
            unmatched=FALSE,
            reached=(analysis.space.any_of(classes),),
        )


def _probes(policy: Policy, backends: Mapping[str, BackendFacts] | None) -> Iterator[Test]:
    """Comparisons that the checks ask about, so that their borders are cells too."""
    for data_class in policy.registry.data_classes:
        yield Test("data_class", "eq", data_class)
    for invariant in policy.invariants:
        yield from invariant.signals
    for signal in CAPABILITY_SIGNALS:
        yield Test(signal, "eq", True)
    for window in {b.context_window for b in (backends or {}).values()}:
        yield Test("prompt_tokens", "gt", Decimal(window))


def may_pass_on(outcome: Outcome) -> bool:
    """Whether a matched rule may still hand the request to the rules after it."""
    way_out = outcome.on_no_target
    over_cap = outcome.hold.over_cap if outcome.hold and outcome.hold.cap_pct is not None else ""
    return (way_out is not None and way_out.action == "next") or over_cap == "next"


def arrivals(analysis: Analysis, place: int) -> Iterator[tuple[str, tuple[Formula, ...]]]:
    """Every data class with which requests come to a branch, and how: by themselves, or raised.

    An earlier rule that may hand its requests on raises their class all the same.
    """
    branch, stricter = analysis.branches[place], analysis.policy.registry.stricter
    raisers = [
        (earlier.own, earlier.outcome.data_class)
        for earlier in analysis.branches[:place]
        if earlier.outcome.data_class is not None and may_pass_on(earlier.outcome)
    ]
    for arriving in analysis.classes():
        ways: dict[str, list[tuple[Formula, ...]]] = {
            arriving: [(*branch.reached, analysis.class_is(arriving))]
        }
        for own, raised in raisers:
            for name, reached in [(n, w) for n, found in ways.items() for w in found]:
                higher = stricter(name, raised)
                if higher != name:
                    ways.setdefault(higher, []).append((*reached, own))
        for name, found in ways.items():
            yield from ((name, reached) for reached in found)


def capable(analysis: Analysis, backend: BackendFacts) -> list[Formula]:
    """What a request must be so that this backend is able to take it."""
    space = analysis.space
    asked = [
        space.negated(space.formula(Test(signal, "eq", True)))
        for signal, capability in CAPABILITY_SIGNALS.items()
        if capability not in backend.capabilities
    ]
    window = Test("prompt_tokens", "gt", Decimal(backend.context_window))
    return [*asked, space.negated(space.formula(window))]


def used_signals(policy: Policy) -> Mapping[str, list[tuple[str, Test]]]:
    """Each signal that an enabled rule tests, with the rule's path and the comparison."""
    used: dict[str, list[tuple[str, Test]]] = {}
    for place, rule in enumerate(policy.rules):
        if rule.is_enabled:
            for test in leaves(negations_inward(rule.when)):
                used.setdefault(test.signal, []).append((f"rules[{place}]", test))
    return used
