from __future__ import annotations

from decimal import Decimal

from routing.engine.document import parse_policy
from routing.engine.examples import run_tests
from routing.engine.explain import changes, policy_lines
from tests.engine.cases import EXAMPLE, compiled, document, example_fleet, facts, rule, small, to

TALKS = {"turns": {"gt": 1}}
HOLD = {"queue": "q", "hold_s": 5, "on_timeout": "refuse"}


def test_policy_reads_as_english():
    lines = policy_lines(parse_policy(EXAMPLE))
    assert lines[0] == (
        "1. Restricted data stays inside: If data class is restricted: go to the larger model "
        "(private-llama-70b); if no backend may take it, hold for a person in “triage” for at most "
        "25 s, then the safe default answers."
    )
    assert "Otherwise: go to the larger model (private-llama-70b)." in lines
    assert "If phi-4-mini fails: smollm then private-llama-70b." in lines
    assert "Never: data class is confidential or restricted and boundary is public." in lines
    assert not any("None" in line for line in lines)


def test_every_modifier_is_said():
    then = to("large", data_class="restricted", deadline_ms=900, max_cost_usd=0.5, sticky=False)
    line, *_ = policy_lines(parse_policy(small([rule("one", {"turns": {"gt": 1}}, then)])))
    for words in ("at least restricted", "900 ms", "0.5 USD", "do not bind the session"):
        assert words in line


def test_what_would_have_to_change_is_the_fewest_failing_comparisons():
    source = small(
        [
            rule(
                "one",
                {
                    "any": [
                        {"all": [{"topic": {"eq": "legal"}}, {"gain": {"lte": 0.04}}]},
                        {
                            "all": [
                                {"has_code": {"eq": True}},
                                {"hour": {"lt": 9}},
                                {"turns": {"gt": 1}},
                            ]
                        },
                    ]
                },
                to("large"),
            )
        ]
    )
    signals = {"topic": "legal", "gain": Decimal("0.2"), "hour": 12}
    (change,) = changes(compiled(source), facts(signals=signals))
    assert change.needed == ("gain is at most 0.04",)
    assert change.now == ("gain is 0.2",)


def test_rule_that_matches_needs_no_change():
    assert [c.rule for c in changes(compiled(EXAMPLE), facts("restricted"))] == [
        "narrow-work",
        "unsure-and-high-stakes",
    ]


def test_tests_of_the_example_pass_with_its_backends_and_with_stand_ins():
    policy = parse_policy(EXAMPLE)
    assert all(result.passed for result in run_tests(policy, example_fleet()))
    assert all(result.passed for result in run_tests(policy))


def test_failing_test_says_what_came_instead():
    expect = {"rule": "narrow-work", "tier": "slm", "queue": "clinical", "backend": "phi-4-mini"}
    source = document(tests=[{"name": "wrong", "given": {}, "expect": expect}])
    (result,) = run_tests(parse_policy(source), example_fleet())
    assert not result.passed
    assert result.wrong == (
        "expected rule narrow-work, got restricted-stays-private",
        "expected tier slm, got llm",
        "expected queue clinical, got none",
        "expected backend phi-4-mini, got private-llama-70b",
    )


def test_test_may_expect_an_escalation_a_hold_and_a_failed_classifier():
    rules = [
        rule("up", {"turns": {"gt": 5}}, {"escalate": {"tier": "llm", "targets": ["large"]}}),
        rule(
            "ask",
            {"gain": {"gt": 0.5}},
            {"hold": {"queue": "q", "hold_s": 5, "on_timeout": "refuse"}},
        ),
    ]
    tests = [
        {"given": {"turns": 9}, "expect": {"outcome": "escalate", "cause": "uncertain_escalated"}},
        {"given": {"gain": 0.6}, "expect": {"outcome": "hold", "queue": "q"}},
        {"given": {"turns": 1, "classifier_failed": True}, "expect": {"rule": "ask"}},
    ]
    results = run_tests(parse_policy(small(rules, tests=tests)))
    assert [result.wrong for result in results] == [(), (), ()]
