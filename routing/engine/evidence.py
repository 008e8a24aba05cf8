"""Which pairs of backends a policy's score decides between, and what must be proved of that score.

A classifier belongs to its pair: moved to another one it falls to a coin's level. Nothing enforces
before its lower bound is above a coin's on enough prompts that it was not trained on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from routing.engine.conditions import leaves
from routing.engine.policy import Outcome, Policy
from routing.engine.registry import CLASSIFIER_SIGNALS
from routing.engine.types import BackendFacts

FEWEST_TO_TRAIN = 300
FEWEST_TO_PROVE = 500
COIN = 0.5


class Pair(NamedTuple):
    """Names of backends; None where the score never decides for that tier."""

    small: str | None
    large: str | None

    def __str__(self) -> str:
        return " and ".join(name for name in self if name) or "what comes after the score"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """One measurement on one pair. `trained_on` is None for weights that were set by hand.

    `judged` counts prompts that the classifier was not trained on.
    """

    small: str
    large: str
    trained_on: int | None
    judged: int
    apgr: float | None
    low: float | None

    def is_of(self, small: frozenset[str], large: frozenset[str]) -> bool:
        """Whether it was measured on these two; an empty set of names is any model."""
        return (not small or self.small.casefold() in small) and (
            not large or self.large.casefold() in large
        )

    def shortcomings(self) -> tuple[str, ...]:
        """Why it may not decide about requests yet, as clauses; empty where it may."""
        found = []
        if self.apgr is None or self.low is None:
            found.append("both models were equally good on the prompts")
        elif self.low <= COIN:
            found.append(
                f"the lower 95 % bound of its APGR is {self.low:.3f}, and a coin has {COIN:.3f}"
            )
        if self.trained_on is not None and self.trained_on < FEWEST_TO_TRAIN:
            found.append(
                f"it was trained on {self.trained_on:,} labelled prompts of the "
                f"{FEWEST_TO_TRAIN} needed"
            )
        if self.judged < FEWEST_TO_PROVE:
            found.append(
                f"it was judged by {self.judged:,} other prompts of the {FEWEST_TO_PROVE} needed"
            )
        return tuple(found)


def score_place(policy: Policy) -> int | None:
    """The first enabled rule that tests the score; None where no rule does."""
    for place, rule in enumerate(policy.rules):
        if rule.is_enabled and any(test.signal in CLASSIFIER_SIGNALS for test in leaves(rule.when)):
            return place
    return None


def scored_pairs(policy: Policy, backends: Mapping[str, BackendFacts]) -> tuple[Pair, ...]:
    """Every pair between which the score decides: targets from the first rule that tests it on.

    Rules before it see every request whatever its score is; those after it, and the default, get
    what it leaves over.
    """
    place = score_place(policy)
    if place is None:
        return ()
    outcomes = [rule.then for rule in policy.rules[place:] if rule.is_enabled]
    targets = [name for one in (*outcomes, policy.default) for name in _targets(one, backends)]
    small, large = (
        sorted({name for name in targets if backends[name].tier == tier}) or (None,)
        for tier in ("slm", "llm")
    )
    return tuple(Pair(one, other) for one in small for other in large)


def _targets(outcome: Outcome, backends: Mapping[str, BackendFacts]) -> list[str]:
    if outcome.action not in ("route", "escalate"):
        return []
    if outcome.targets:
        return [name for name in outcome.targets if name in backends]
    return [one.name for one in backends.values() if one.tier == outcome.tier]
