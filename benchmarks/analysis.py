"""Times the static analysis of a policy by its number of rules.

    python -m benchmarks.analysis [--rounds 15]

Policies are random in a fixed way: conditions over eight signals, nested, with targets, fallbacks
and an invariant, so that rules meet, cover and shadow each other. Every finding is made, advice
and the search for leaks too. Ends with 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
from decimal import Decimal
from time import perf_counter_ns
from typing import Any

from routing.engine.analyse import analyse
from routing.engine.document import parse_policy
from routing.engine.policy import Policy
from routing.engine.types import BackendFacts

# Rules, and the milliseconds within which their analysis is promised.
BARS = ((15, None), (50, 50), (100, None), (200, 300))
_TOPICS = ("legal", "medical", "math", "other")
_CLASSES = ("public", "internal", "confidential", "restricted")
_TARGETS = ("small-a", "small-b", "large-a", "large-b")


def _leaf(pick: random.Random) -> dict[str, Any]:
    low, high = sorted((pick.randint(0, 30), pick.randint(0, 30)))
    edge = pick.randint(0, 100) / 100
    return pick.choice(
        (
            {"gain": {pick.choice(("lt", "lte", "gt", "gte")): edge}},
            {"score": {pick.choice(("lt", "gte")): edge}},
            {"turns": {"between": [low, high]}},
            {"prompt_tokens": {pick.choice(("lte", "gt")): 100 * high}},
            {"topic": {pick.choice(("in", "not_in")): pick.sample(_TOPICS, 2)}},
            {"data_class": {"in": pick.sample(_CLASSES, 2)}},
            {"client": {pick.choice(("eq", "starts_with")): f"team-{low}"}},
            {"has_code": {"eq": pick.random() < 0.5}},
        )
    )


def _condition(pick: random.Random, depth: int) -> dict[str, Any]:
    shape = pick.random()
    if depth == 0 or shape < 0.2:
        return _leaf(pick)
    if shape < 0.3:
        return {"not": _condition(pick, depth - 1)}
    parts = [_condition(pick, depth - 1) for _ in range(pick.randint(2, 3))]
    return {"all" if shape < 0.8 else "any": parts}


def policy(rules: int, seed: int) -> Policy:
    """A policy of `rules` rules, the same for the same seed."""
    pick = random.Random(seed)
    return parse_policy(
        {
            "schema": "signalbox.policy/1",
            "route": "measured",
            "owner": "measured",
            "rules": [
                {
                    "id": f"rule-{number}",
                    "name": f"Rule {number}",
                    "when": {"all": [_condition(pick, 2), _leaf(pick)]},
                    "then": {"route": {"tier": "llm", "targets": [pick.choice(_TARGETS[2:])]}},
                }
                for number in range(rules)
            ],
            "default": {"then": {"route": {"tier": "llm", "targets": ["large-a"]}}},
            "fallbacks": {"failure": {"large-a": ["large-b"], "large-b": ["large-a"]}},
            "safe_default": {"text": "Later.", "finish_reason": "stop"},
            "invariants": [
                {
                    "forbid": {
                        "data_class": {"in": ["confidential", "restricted"]},
                        "boundary": {"in": ["public"]},
                    }
                }
            ],
        }
    )


def _backend(name: str) -> BackendFacts:
    return BackendFacts(
        name=name,
        tier="slm" if name.startswith("small") else "llm",
        boundary="private",
        state="active",
        healthy=True,
        cooling=False,
        context_window=32_768,
        capabilities=frozenset({"stream", "json", "tools", "images"}),
        data_classes=frozenset(_CLASSES),
        signoffs={},
        price_in=Decimal("2.50"),
        price_out=Decimal("10"),
        over_budget=False,
        key_allowed=True,
    )


def measure(rules: int, rounds: int) -> tuple[float, float]:
    """Median and longest time of an analysis in milliseconds, a policy of its own each round."""
    backends = {name: _backend(name) for name in _TARGETS}
    times = []
    for seed in range(rounds):
        one = policy(rules, seed)
        begin = perf_counter_ns()
        analyse(one, backends, now_s=1_800_000_000)
        times.append((perf_counter_ns() - begin) / 1e6)
    return statistics.median(times), max(times)


def main() -> int:
    ask = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    ask.add_argument("--rounds", type=int, default=15)
    rounds = ask.parse_args().rounds
    missed = 0
    print(f"{'rules':>5}  {'median':>10}  {'longest':>10}  bar, for the median")
    for rules, bar in BARS:
        median, longest = measure(rules, rounds)
        said = "none" if bar is None else f"{bar} ms"
        if bar is not None and median > bar:
            missed += 1
            said += ", missed"
        print(f"{rules:5}  {median:7.1f} ms  {longest:7.1f} ms  {said}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
