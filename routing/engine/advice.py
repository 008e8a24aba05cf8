"""Advice on a policy that works: overlaps, idle rules, thresholds that nearly meet."""

from __future__ import annotations

from decimal import Decimal

from routing.engine.branches import Analysis, Branch, used_signals
from routing.engine.policy import DEFAULT_RULE, FAILURE_RULE, Outcome
from routing.engine.reach import LITERAL, Formula
from routing.engine.registry import NUMBER

NEAR = Decimal("0.02")
_NEGATED = ("ne", "not_in", "outside", "contains_none", "lacks_some", "starts_otherwise")


def find(analysis: Analysis) -> None:
    rules = [b for b in analysis.branches if b.id not in (DEFAULT_RULE, FAILURE_RULE)]
    default = next(b for b in analysis.branches if b.id == DEFAULT_RULE)
    reachable = [branch for branch in rules if branch.is_reachable]
    for place, branch in enumerate(reachable):
        _find_redundant(analysis, branch, [*reachable[place + 1 :], default])
        _find_overlap(analysis, branch, reachable[:place])
    _find_near_thresholds(analysis)
    _find_absent(analysis)
    _find_unscored(analysis)


def _same(one: Outcome, other: Outcome) -> bool:
    return one == other


def _find_redundant(analysis: Analysis, branch: Branch, later: list[Branch]) -> None:
    """Whether without this rule every request of it would have the same outcome."""
    passed: list[Formula] = []
    for other in later:
        if not _same(branch.outcome, other.outcome) and (
            analysis.can_hold(*branch.reached, *passed, other.own)
        ):
            return
        passed.append(other.unmatched)
    message = f"“{branch.name}” changes nothing: without it the same would happen to its requests"
    witness = analysis.witness(*branch.reached)
    analysis.add("redundant", branch.path, message, blocking=False, witness=witness)


def _find_overlap(analysis: Analysis, branch: Branch, earlier: list[Branch]) -> None:
    """The first earlier rule that takes some of this rule's requests elsewhere."""
    own = _units(branch.own)
    for other in earlier:
        if _same(branch.outcome, other.outcome) or _apart(own, _units(other.own)):
            continue
        witness = analysis.witness(branch.own, other.own)
        if witness is not None:
            message = (
                f"“{other.name}” and “{branch.name}” can both match; “{other.name}” comes first "
                "and decides"
            )
            analysis.add("overlap", branch.path, message, blocking=False, witness=witness)
            return


def _units(formula: Formula) -> dict[int, int]:
    """What a condition demands of single variables, for a quick look before solving."""
    parts = (formula,) if formula[0] == LITERAL else formula[1] if formula[0] == 1 else ()
    return {part[1]: part[2] for part in parts if part[0] == LITERAL}


def _apart(one: dict[int, int], other: dict[int, int]) -> bool:
    return any(not mask & other[variable] for variable, mask in one.items() if variable in other)


def _find_near_thresholds(analysis: Analysis) -> None:
    for name, uses in used_signals(analysis.policy).items():
        signal = analysis.policy.registry.get(name)
        if signal is None or signal.kind != NUMBER or signal.high != 1:
            continue
        numbers = {
            number: path
            for path, test in uses
            for number in (test.constant if isinstance(test.constant, tuple) else (test.constant,))
            if isinstance(number, Decimal)
        }
        ordered = sorted(numbers)
        for low, high in zip(ordered, ordered[1:], strict=False):
            if high - low < NEAR:
                message = (
                    f"{signal.words} is compared with {low:f} and with {high:f}: meant as one?"
                )
                analysis.add("near_thresholds", numbers[high], message, blocking=False)


def _find_absent(analysis: Analysis) -> None:
    """Negated comparisons read as if they held for a signal that is not there; they do not."""
    for name, uses in used_signals(analysis.policy).items():
        signal = analysis.policy.registry.get(name)
        if signal is None or signal.absent_as is not None:
            continue
        if any(test.operator in ("present", "absent") for _, test in uses):
            continue
        path = next((path for path, test in uses if test.operator in _NEGATED), None)
        if path is not None:
            message = f"where {signal.words} is absent this comparison is false too; say what then"
            analysis.add("nullable", path, message, blocking=False)


def _find_unscored(analysis: Analysis) -> None:
    policy = analysis.policy
    scored = {"gain", "score", "unfamiliar"} & used_signals(policy).keys()
    if scored and not policy.on_classifier_failure:
        message = "rules use the classifier; say what happens when it fails"
        analysis.add("no_failure_plan", "on_classifier_failure", message, blocking=False)
