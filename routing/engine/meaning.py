"""What changes between two policies in meaning: which requests are treated differently, and how.

Every pair of an old and a new rule that can decide the same request is compared; a pair that can
meet is shown with such a request. Exact over rules, like the analysis: nothing is sampled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from routing.engine.branches import Analysis, Branch, may_pass_on, prepare, shared_space
from routing.engine.effects import Effect, effect_of, holds_less, sends
from routing.engine.explain import outcome_words
from routing.engine.policy import FAILURE_RULE, Policy
from routing.engine.reach import FALSE, LITERAL, TRUE, Formula, Undecided
from routing.engine.registry import Registry, Signal
from routing.engine.types import BackendFacts, SignalValue
from routing.engine.wording import listed

NEWLY_POSSIBLE, NEWLY_IMPOSSIBLE, OTHER = "newly_possible", "newly_impossible", "other"
_ORDER = {NEWLY_POSSIBLE: 0, NEWLY_IMPOSSIBLE: 1, OTHER: 2}

# Two policies that share almost nothing are not compared to the end; the result then says so.
MOST_PAIRS = 20_000
# How often the rules after two that hand on are looked at.
MOST_STEPS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Requests that one rule decided and another decides now; `witness` is one of them.

    `after_passing` means: only where earlier rules that matched handed the request on. Without a
    witness it is a guarantee that ended, not a request that is treated differently.
    """

    kind: str
    words: str
    old_rule: str
    new_rule: str
    old_name: str
    new_name: str
    before: str
    after: str
    classes: tuple[str, ...] = ()
    witness: Mapping[str, SignalValue] | None = None
    classifier_failed: bool = False
    after_passing: bool = False
    loosens_boundary: bool = False
    touches_restricted: bool = False
    removes_hold: bool = False
    changes_tier: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """All changes, what is newly possible first. Not complete: some pairs were not decided."""

    changes: tuple[Change, ...]
    is_complete: bool = True

    def of_kind(self, kind: str) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.kind == kind)


@dataclass(slots=True, kw_only=True)
class _Comparison:
    old: Analysis
    new: Analysis
    found: dict[tuple[str, str], Change] = field(default_factory=dict)
    solved: int = 0
    is_complete: bool = True


def compare(
    old: Policy,
    new: Policy,
    backends: Mapping[str, BackendFacts] | None = None,
    *,
    floor: str | None = None,
) -> Meaning:
    """Everything that the new policy treats differently from the old one.

    `backends` says which are public and what is behind a tier; `floor` is the route's data class.
    """
    registry = Registry(
        signals={**old.registry.signals, **new.registry.signals},
        data_classes=new.registry.data_classes,
    )
    space = shared_space(registry, (old, new), backends)
    both = _Comparison(
        old=prepare(old, backends, floor=floor, space=space),
        new=prepare(new, backends, floor=floor, space=space),
    )
    shared = old.registry.signals.keys() & new.registry.signals.keys()
    if any(
        _reads(old.registry.signals[name]) != _reads(new.registry.signals[name]) for name in shared
    ):
        # The same word means two things; cells of one reading cannot speak for the other.
        both.is_complete = False
    _Walk(both).follow()
    changes = [*both.found.values(), *_failure_changes(both), *_ended_guarantees(both)]
    changes.sort(key=lambda one: (_ORDER[one.kind], not one.loosens_boundary, not one.removes_hold))
    return Meaning(changes=tuple(changes), is_complete=both.is_complete)


def _reads(signal: Signal) -> tuple[object, ...]:
    return (signal.kind, signal.values, signal.low, signal.high, signal.absent_as)


# pairs of rules


class _Walk:
    """Follows a request through both policies at once: first match against first match.

    Where both matched rules do the same and may hand the request on, the rules after them are
    compared for the requests that matched so far, and so on. Every other pair ends the walk.
    """

    def __init__(self, both: _Comparison) -> None:
        self.both = both
        self.olds = [b for b in both.old.branches if b.id != FAILURE_RULE]
        self.news = [b for b in both.new.branches if b.id != FAILURE_RULE]
        self.before = [effect_of(both.old, branch) for branch in self.olds]
        self.after = [effect_of(both.new, branch) for branch in self.news]
        self.steps = 0

    def follow(
        self, start: tuple[int, int] = (0, 0), matched: tuple[Formula, ...] | None = None
    ) -> None:
        self.steps += 1
        if self.steps > MOST_STEPS:
            self.both.is_complete = False
            return
        is_later = matched is not None
        known = matched if matched is not None else _above(self.both.new)
        olds = _first_matches(self.both.old, self.olds, start[0])
        news = _first_matches(self.both.new, self.news, start[1])
        old_place, new_place = _first_places(olds), _first_places(news)
        for i, (old, old_reached) in olds.items():
            units = _units(old.own)
            for j, (new, new_reached) in news.items():
                # A twin that comes earlier on the other side has taken every such request.
                if new_place.get(old.own, j) < j or old_place.get(new.own, i) < i:
                    continue
                is_same = self.before[i] == self.after[j]
                hands_on = is_same and may_pass_on(old.outcome)
                if (is_same and not hands_on) or _apart(units, _units(new.own)):
                    continue
                reached = [*known, *old_reached, *new_reached]
                if hands_on:
                    if _is_met(self.both, reached):
                        both_matched = (*known, *old_reached, *new_reached)
                        self.follow((i + 1, j + 1), both_matched)
                elif (old.id, new.id) not in self.both.found:
                    self._note(i, j, reached, is_later)

    def _note(self, i: int, j: int, reached: list[Formula], after_passing: bool) -> None:
        old, new = (self.olds[i], self.before[i]), (self.news[j], self.after[j])
        change = _meeting(self.both, old, new, reached, after_passing)
        if change is not None:
            self.both.found[old[0].id, new[0].id] = change


_Matches = dict[int, tuple[Branch, list[Formula]]]


def _above(analysis: Analysis) -> tuple[Formula, ...]:
    """That the data class is one that requests of this route can have."""
    above = analysis.space.any_of(analysis.class_is(name) for name in analysis.classes())
    return () if above == TRUE else (above,)


def _first_matches(analysis: Analysis, branches: list[Branch], start: int) -> _Matches:
    """By place: each rule from `start` on, and when it is the first of them to match."""
    earlier: list[Formula] = []
    matches: _Matches = {}
    for place in range(start, len(branches)):
        matches[place] = (branches[place], [*earlier, branches[place].own])
        earlier.append(branches[place].unmatched)
    return matches


def _first_places(matches: _Matches) -> dict[Formula, int]:
    places: dict[Formula, int] = {}
    for place, (branch, _) in matches.items():
        places.setdefault(branch.own, place)
    return places


def _is_met(both: _Comparison, reached: list[Formula]) -> bool:
    both.solved += 1
    if both.solved > MOST_PAIRS:
        both.is_complete = False
        return False
    return _solved(both, reached) is not None


def _meeting(
    both: _Comparison,
    old: tuple[Branch, Effect],
    new: tuple[Branch, Effect],
    reached: list[Formula],
    after_passing: bool,
) -> Change | None:
    """The change if some request takes both ways, with one of the strictest class that does."""
    if not _is_met(both, reached):
        return None
    witnesses = {}
    for name in both.new.classes():
        witness = _solved(both, [*reached, both.new.class_is(name)])
        if witness is not None:
            witnesses[name] = witness
    if not witnesses:
        return None
    return _change(
        both,
        old,
        new,
        classes=tuple(witnesses),
        witness=next(iter(witnesses.values())),
        after_passing=after_passing,
    )


def _solved(both: _Comparison, formulas: list[Formula]) -> dict[str, SignalValue] | None:
    space = both.new.space
    try:
        masks = space.solve(formulas)
    except Undecided:
        # One such pair takes long enough; the rest is not tried.
        both.is_complete, both.solved = False, MOST_PAIRS
        return None
    return None if masks is None else space.witness(masks)


def _units(formula: Formula) -> dict[int, int]:
    """What a condition demands of single variables, for a quick look before solving."""
    parts = (formula,) if formula[0] == LITERAL else formula[1] if formula[0] == 1 else ()
    return {part[1]: part[2] for part in parts if part[0] == LITERAL}


def _apart(one: dict[int, int], other: dict[int, int]) -> bool:
    return any(not mask & other[variable] for variable, mask in one.items() if variable in other)


# words


def _change(
    both: _Comparison,
    old: tuple[Branch, Effect],
    new: tuple[Branch, Effect],
    *,
    classes: tuple[str, ...],
    witness: Mapping[str, SignalValue],
    after_passing: bool = False,
    classifier_failed: bool = False,
) -> Change:
    (was, before), (now, after) = old, new
    ordered = both.new.policy.registry.data_classes
    raised = {before.outcome.data_class, after.outcome.data_class}
    removes_hold = holds_less(before, after)
    kind, said = _difference(before, after, removes_hold)
    subject = _subject(classes, len(both.new.classes()))
    return Change(
        kind=kind,
        words=f"{subject[:1].upper()}{subject[1:]} {'; '.join(said)}",
        old_rule=was.id,
        new_rule=now.id,
        old_name=was.name,
        new_name=now.name,
        before=outcome_words(before.outcome),
        after=outcome_words(after.outcome),
        classes=classes,
        witness=witness,
        classifier_failed=classifier_failed,
        after_passing=after_passing,
        loosens_boundary=bool(after.public - before.public),
        touches_restricted=ordered[-1] in classes or ordered[-1] in raised,
        removes_hold=removes_hold,
        changes_tier=sends(after.outcome) and before.outcome.tier != after.outcome.tier,
    )


def _subject(classes: tuple[str, ...], possible: int) -> str:
    if len(classes) == possible > 1:
        return "data of every class"
    return f"{listed(classes)} data"


def _difference(before: Effect, after: Effect, removes_hold: bool) -> tuple[str, list[str]]:
    gained, lost = after.names - before.names, before.names - after.names
    public = sorted(gained & after.public)
    private = sorted(gained - after.public)
    said = [f"may now reach the public backend{'s' * (len(public) > 1)} {listed(public)}"]
    said = said if public else []
    if removes_hold:
        said.append(
            "is no longer held for a person"
            if before.outcome.action == "hold" and after.outcome.action != "hold"
            else "is held for a person less often"
        )
    if private:
        said.append(f"may now reach {listed(private)}")
    kind = NEWLY_POSSIBLE if said else OTHER
    if lost:
        said.append(f"no longer reaches {listed(sorted(lost))}")
    if after.outcome.action != before.outcome.action and not sends(after.outcome):
        said.append(_ENDS[after.outcome.action])
    if said and kind == OTHER:
        kind = NEWLY_IMPOSSIBLE
    return kind, said or ["is treated differently by the same backends"]


_ENDS = {
    "hold": "is now held for a person",
    "refuse": "is now refused",
    "safe_default": "now gets the safe default",
}


# beside the rules


def _failure_changes(both: _Comparison) -> Iterator[Change]:
    """What the policies state for a classifier that fails, class by class."""
    for data_class in reversed(both.new.classes()):
        old = _on_failure(both.old, data_class)
        new = _on_failure(both.new, data_class)
        if old is None or new is None:
            if old is not new:
                yield _unstated(both, data_class, old, new)
        elif old[1] != new[1]:
            yield _change(
                both,
                old,
                new,
                classes=(data_class,),
                witness={"data_class": data_class},
                classifier_failed=True,
            )


def _on_failure(analysis: Analysis, data_class: str) -> tuple[Branch, Effect] | None:
    stated = analysis.policy.on_classifier_failure
    outcome = stated.get(data_class) or stated.get("default")
    if outcome is None:
        return None
    branch = Branch(
        id=FAILURE_RULE,
        name="On classifier failure",
        path=f"on_classifier_failure.{data_class}",
        outcome=outcome,
        own=TRUE,
        unmatched=FALSE,
        reached=(),
    )
    return branch, effect_of(analysis, branch)


_STRICTEST = "follow the strictest rule that could have matched"


def _unstated(
    both: _Comparison,
    data_class: str,
    old: tuple[Branch, Effect] | None,
    new: tuple[Branch, Effect] | None,
) -> Change:
    """One side leaves it to the strictest rule; a stated way out can only be wider than that."""
    public = new[1].public if new else frozenset()
    said = f"may now reach {listed(sorted(new[1].names))}" if new and new[1].names else ""
    ordered = both.new.policy.registry.data_classes
    return Change(
        kind=NEWLY_POSSIBLE if said else OTHER,
        words=f"{data_class[:1].upper()}{data_class[1:]} data "
        f"{said or 'is treated differently'} when the classifier fails",
        old_rule=FAILURE_RULE,
        new_rule=FAILURE_RULE,
        old_name="On classifier failure",
        new_name="On classifier failure",
        before=outcome_words(old[1].outcome) if old else _STRICTEST,
        after=outcome_words(new[1].outcome) if new else _STRICTEST,
        classes=(data_class,),
        witness={"data_class": data_class},
        classifier_failed=True,
        loosens_boundary=bool(public),
        touches_restricted=data_class == ordered[-1],
    )


def _ended_guarantees(both: _Comparison) -> Iterator[Change]:
    """An invariant that the new policy no longer states: later versions may break it."""
    for place, invariant in enumerate(both.old.policy.invariants, 1):
        if invariant not in both.new.policy.invariants:
            yield Change(
                kind=NEWLY_POSSIBLE,
                words=f"Invariant {place} is no longer stated, so nothing proves it any more",
                old_rule="",
                new_rule="",
                old_name="",
                new_name="",
                before="proved for every request",
                after="not stated",
                loosens_boundary=True,
            )


def sends_outside(
    policy: Policy, backends: Mapping[str, BackendFacts], *, floor: str | None = None
) -> bool:
    """Whether some request can reach a public backend at all: what a first policy opens."""
    analysis = prepare(policy, backends, floor=floor)
    return any(
        effect_of(analysis, branch).public and analysis.can_hold(*branch.reached)
        for branch in analysis.branches
    )
