from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from routing.engine.document import parse_policy
from routing.engine.evidence import Evidence, Pair, scored_pairs
from routing.engine.types import BackendFacts

GOOD = Evidence(small="phi", large="llama", trained_on=800, judged=800, apgr=0.66, low=0.6)


def backend(name, tier):
    return BackendFacts(
        name=name,
        tier=tier,
        boundary="private",
        state="active",
        context_window=8_000,
        capabilities=frozenset(),
        data_classes=frozenset({"internal"}),
        signoffs={},
        price_in=Decimal(1),
        price_out=Decimal(1),
    )


BACKENDS = {
    name: backend(name, tier)
    for name, tier in (("phi", "slm"), ("smol", "slm"), ("llama", "llm"), ("large", "llm"))
}


def to(tier, *targets):
    return {"route": {"tier": tier, "targets": list(targets)}}


def rule(name, when, then, **more):
    return {"id": name, "name": name, "when": {"all": [when]}, "then": then, **more}


def policy(*rules):
    return parse_policy(
        {
            "schema": "signalbox.policy/1",
            "route": "support",
            "owner": "somebody",
            "rules": list(rules),
            "default": {"then": to("llm", "llama")},
            "safe_default": {"text": "Later.", "finish_reason": "stop"},
        }
    )


CODE = rule("code", {"has_code": {"eq": True}}, to("llm", "large"))
NARROW = rule("narrow", {"gain": {"lte": 0.04}}, to("slm", "phi"))


def test_evidence_that_suffices_has_no_shortcomings():
    assert GOOD.shortcomings() == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"low": 0.5}, "a coin has 0.500"),
        ({"low": None}, "equally good"),
        ({"trained_on": 299}, "299 labelled prompts of the 300"),
        ({"judged": 499}, "499 other prompts of the 500"),
    ],
)
def test_each_bound_counts_by_itself(change, said):
    (reason,) = replace(GOOD, **change).shortcomings()
    assert said in reason


def test_weights_set_by_hand_need_no_labels_to_train():
    assert replace(GOOD, trained_on=None).shortcomings() == ()


def test_rules_before_the_score_are_not_its_pair():
    assert scored_pairs(policy(CODE, NARROW), BACKENDS) == (Pair("phi", "llama"),)


def test_rules_after_the_score_get_what_it_leaves_over():
    assert set(scored_pairs(policy(NARROW, CODE), BACKENDS)) == {
        Pair("phi", "llama"),
        Pair("phi", "large"),
    }


def test_every_target_counts_and_no_target_is_the_whole_tier():
    any_small = rule("any", {"score": {"gte": 0.9}}, {"route": {"tier": "slm"}})
    assert set(scored_pairs(policy(any_small), BACKENDS)) == {
        Pair("phi", "llama"),
        Pair("smol", "llama"),
    }


def test_a_policy_that_tests_no_score_has_no_pair():
    switched_off = NARROW | {"enabled": False}
    assert scored_pairs(policy(CODE, switched_off), BACKENDS) == ()


def test_a_negated_test_of_the_score_is_a_test_of_the_score():
    negated = rule("far", {"not": {"unfamiliar": {"eq": True}}}, to("slm", "smol"))
    assert scored_pairs(policy(negated), BACKENDS) == (Pair("smol", "llama"),)


def test_a_score_that_only_holds_is_judged_on_what_comes_after_it():
    held = rule(
        "unsure",
        {"score": {"lt": 0.3}},
        {"hold": {"queue": "q", "hold_s": 20, "on_timeout": "safe_default"}},
    )
    assert scored_pairs(policy(held), BACKENDS) == (Pair(None, "llama"),)
