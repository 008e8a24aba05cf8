"""Reachability is exact: the same as trying every cell of every signal."""

from __future__ import annotations

import itertools
import random

import pytest

from routing.engine.analyse import analyse
from routing.engine.branches import prepare
from routing.engine.compiled import compile_policy
from routing.engine.document import parse_policy
from routing.engine.reach import ABSENT, Space
from tests.engine.cases import rule, small, to

POLICIES, RULES = 500, 10


KINDS = ("gain", "turns", "topic", "client", "personal_data", "has_code", "score")


def leaf(pick: random.Random, kinds):
    kind = pick.choice(kinds)
    if kind == "gain":
        operator = pick.choice(("lt", "lte", "gt", "gte", "eq", "ne"))
        return {"gain": {operator: pick.choice((-1, 0.25, 0.5, 1))}}
    if kind == "score":
        return {"score": {pick.choice(("absent", "present")): True}}
    if kind == "turns":
        low, high = sorted((pick.randint(0, 4), pick.randint(0, 4)))
        one = pick.choice(({"between": [low, high]}, {"gt": low}, {"in": [high]}, {"lt": high}))
        return {"turns": one}
    if kind == "topic":
        return {
            "topic": {pick.choice(("in", "not_in")): pick.sample(("legal", "math", "other"), 2)}
        }
    if kind == "client":
        word = pick.choice(("a", "ab", "abc", "b"))
        return {"client": {pick.choice(("eq", "ne", "starts_with")): word}}
    if kind == "personal_data":
        operator = pick.choice(("contains_any", "contains_all", "contains_none", "present"))
        tags = pick.sample(("email", "iban", "phone"), pick.randint(1, 2))
        return {"personal_data": {operator: True if operator == "present" else tags}}
    return {"has_code": {pick.choice(("eq", "ne")): pick.random() < 0.5}}


def tree(pick: random.Random, kinds, depth: int):
    shape = pick.random()
    if depth == 0 or shape < 0.3:
        return leaf(pick, kinds)
    if shape < 0.45:
        return {"not": tree(pick, kinds, depth - 1)}
    parts = [tree(pick, kinds, depth - 1) for _ in range(pick.randint(1, 3))]
    return {pick.choice(("all", "any")): parts}


def random_policy(seed: int):
    pick = random.Random(seed)
    # Few signals a policy: the rules meet and cover each other, and every request can be tried.
    kinds = pick.sample(KINDS, 3)
    rules = [rule(f"r{n}", tree(pick, kinds, 3), to("large")) for n in range(RULES)]
    return parse_policy(small(rules))


def every_request(space):
    """One value of every cell of every signal, tags as every set of them."""
    choices = {}
    for variable, (name, tag) in enumerate(space.variables):
        if name == "personal_data":
            tags = [t for other, t in space.variables if other == name and t is not None]
            sets = itertools.product((False, True), repeat=len(tags))
            choices[name] = [ABSENT] + [frozenset(itertools.compress(tags, one)) for one in sets]
        elif tag is None:
            choices[name] = space.cells[variable]
    for values in itertools.product(*choices.values()):
        pairs = zip(choices, values, strict=True)
        yield {name: value for name, value in pairs if value is not ABSENT}


def brute_force(policy):
    """The paths of rules that no request reaches."""
    version = compile_policy(policy, number=1, digest="")
    space = Space(policy.registry, [one.condition for one in version.rules])
    reached = set()
    for request in every_request(space):
        reached.add(next((n for n, r in enumerate(version.rules) if r.check(request) is None), -1))
    return {f"rules[{place}]" for place in range(RULES) if place not in reached}


def proved(policy):
    findings = [f for f in analyse(policy) if f.code in ("unreachable", "contradiction")]
    return {finding.path.removesuffix(".when") for finding in findings}


@pytest.mark.slow
def test_reachability_agrees_with_brute_force_on_5000_random_rules():
    wrong = [
        seed
        for seed in range(POLICIES)
        if proved(random_policy(seed)) != brute_force(random_policy(seed))
    ]
    assert wrong == []


@pytest.mark.parametrize("seed", range(60))
def test_witness_of_every_reachable_rule_reaches_that_rule(seed):
    policy = random_policy(seed)
    analysis = prepare(policy)
    version = compile_policy(policy, number=1, digest="")
    for branch in analysis.branches[:RULES]:
        witness = analysis.witness(*branch.reached)
        if witness is not None:
            first = next(one for one in version.rules if one.check(witness) is None)
            assert first.id == branch.id
            assert policy.registry.admit(witness) == witness
