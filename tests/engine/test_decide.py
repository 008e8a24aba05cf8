"""What is decided, and the reason that is given: every cause and every rejection reason."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from routing.engine.types import CAUSES, REJECTIONS
from tests.engine.cases import (
    DAY,
    EXAMPLE,
    NARROW,
    NOW,
    backend,
    decided,
    document,
    example_fleet,
    fleet,
    rule,
    small,
    to,
)

D = Decimal
LEGAL = {"score": D("0.2"), "topic": "legal"}
EITHER = fleet(backend("first"), backend("large"))
ALWAYS = {"turns": {"gte": 0}}
ONE = {"turns": 1}


def example(**facts):
    return decided(EXAMPLE, example_fleet(), **facts)


def reason_of(decision, name):
    return next(c.reason for c in decision.trace.candidates if c.name == name)


def test_first_matching_rule_decides_and_later_ones_are_not_reached():
    decision = example(signals=NARROW)
    assert (decision.action, decision.backend, decision.tier) == ("route", "phi-4-mini", "slm")
    assert (decision.rule, decision.cause, decision.plan) == (
        "narrow-work",
        "rule_match",
        ("smollm",),
    )
    assert [one.state for one in decision.trace.rules] == ["no_match", "matched", "not_reached"]


def test_rule_that_does_not_match_shows_its_first_failing_leaf():
    first, second, _ = example(signals={**NARROW, "unfamiliar": True}).trace.rules
    assert tuple(first.failing) == ("data_class", "in", ("restricted",), "internal")
    assert tuple(second.failing) == ("unfamiliar", "eq", False, True)


def test_every_registered_backend_is_in_the_trace_once():
    decision = example(signals=NARROW)
    verdicts = {c.name: (c.verdict, c.reason) for c in decision.trace.candidates}
    assert verdicts == {
        "phi-4-mini": ("chosen", ""),
        "smollm": ("eligible", "lower_priority"),
        "private-llama-70b": ("rejected", "lower_priority"),
        "private-llama-70b-long": ("rejected", "lower_priority"),
    }


def test_disabled_rule_is_not_asked():
    source = small([rule("one", ALWAYS, to("first"), enabled=False)])
    assert decided(source, EITHER, signals=ONE).trace.rules == ()


def test_decision_as_json_has_no_floats_and_round_trips():
    text = json.dumps(example(signals=NARROW).as_json())
    assert json.loads(text, parse_float=pytest.fail)["trace"]["signals"]["gain"] == "0.021"


# one sentence


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [
        (
            {"signals": NARROW},
            "Rule “Narrow work” matched: gain 0.021 (at most 0.04), request is familiar and prompt "
            "tokens 212 (at most 1,500). It goes to phi-4-mini (small model, private).",
        ),
        (
            {"signals": LEGAL},
            "Rule “Unsure and high stakes” matched: score 0.2 (below 0.35) and topic legal. It "
            "waits for a person in the queue “clinical”, at most 25 s.",
        ),
        (
            {"signals": {}},
            "No rule matched, so the default decides. It goes to private-llama-70b (larger model, "
            "private).",
        ),
        (
            {"signals": NARROW, "classifier_failed": True},
            "Signals could not be measured (gain, score and unfamiliar), so “On classifier "
            "failure” decides. It goes to private-llama-70b (larger model, private).",
        ),
    ],
)
def test_sentence_names_the_rule_and_what_it_saw(facts, sentence):
    assert example(**facts).sentence == sentence


def test_sentence_and_record_withhold_personal_metadata_and_free_text():
    source = small(
        [
            rule("one", {"metadata.name": {"eq": "Ada"}}, to("first")),
            rule("two", {"step": {"ne": "intake"}}, to("first")),
        ],
        signals={"metadata.name": {"type": "text"}},
    )
    signals = {"metadata.name": "Grace Hopper", "step": "grace@example.com"}
    decision = decided(source, EITHER, signals=signals)
    record = json.dumps(decision.as_json()["trace"]["rules"]) + decision.sentence
    assert "Grace" not in record and "grace" not in decision.sentence
    assert decision.as_json()["trace"]["signals"]["metadata.name"] == "withheld"


# causes


def with_first(**state):
    source = small([rule("one", ALWAYS, to("first", "large"))])
    return decided(source, fleet(backend("first", **state), backend("large")), signals=ONE)


CAUSE_CASES = {
    "rule_match": lambda: example(signals=NARROW),
    "default_route": lambda: example(),
    "explicit_pin": lambda: example(signals=NARROW, pin="smollm"),
    "sticky_session": lambda: example(signals=NARROW, sticky_tier="llm"),
    "classifier_unavailable": lambda: example(signals=NARROW, classifier_failed=True),
    "context_window": lambda: example(signals={"prompt_tokens": 40_000}),
    "capability": lambda: with_first_needing_tools(),
    "uncertain_escalated": lambda: decided(
        small([rule("one", ALWAYS, {"escalate": {"tier": "llm", "targets": ["large"]}})]),
        EITHER,
        signals=ONE,
    ),
    "fallback_error": lambda: with_first(healthy=False),
    "budget": lambda: with_first(over_budget=True),
    "safe_default": lambda: decided(
        small([rule("one", ALWAYS, {"safe_default": True})]), {}, signals=ONE
    ),
    "held": lambda: example(signals=LEGAL),
    "refused": lambda: decided(small([rule("one", ALWAYS, {"refuse": True})]), {}, signals=ONE),
    "kill_switch": lambda: example(signals=NARROW, killed=frozenset({"phi-4-mini"})),
    "rollout_baseline": lambda: example(in_rollout=False, baseline="private-llama-70b"),
}


def with_first_needing_tools():
    backends = fleet(backend("first", capabilities=frozenset()), backend("large"))
    source = small([rule("one", ALWAYS, to("first", "large"))])
    return decided(source, backends, signals=ONE, needs=frozenset({"tools"}))


@pytest.mark.parametrize("cause", CAUSE_CASES)
def test_cause_is_given(cause):
    assert CAUSE_CASES[cause]().cause == cause


def test_only_the_cause_of_a_late_timeout_is_left_to_the_gateway():
    assert set(CAUSES) - CAUSE_CASES.keys() == {"fallback_timeout"}


# rejection reasons

PUBLIC = {"boundary": "public"}
REJECTED = {
    "not_signed_off": ({**PUBLIC, "signoffs": {}}, {}),
    "sign_off_expired": ({**PUBLIC, "signoffs": {"internal": NOW}}, {}),
    "data_class": ({"data_classes": frozenset({"public"})}, {}),
    "region": ({"region": "us"}, {"regions": frozenset({"eu"})}),
    "capability": ({"capabilities": frozenset()}, {"needs": frozenset({"json"})}),
    "context_window": ({"context_window": 100}, {"output_tokens": 100}),
    "cooldown": ({"cooling": True}, {}),
    "unhealthy": ({"healthy": False}, {}),
    "over_budget": ({"over_budget": True}, {}),
    "key_scope": ({"key_allowed": False}, {}),
    "disabled": ({"state": "disabled"}, {}),
    "lower_priority": ({}, {}),
}


@pytest.mark.parametrize("reason", REJECTED)
def test_backend_is_rejected_for(reason):
    state, more = REJECTED[reason]
    first = "large" if reason == "lower_priority" else "odd"
    source = small([rule("one", ALWAYS, to(first))])
    facts = {"signals": {**ONE, "prompt_tokens": 1}, "boundary_ceiling": "public", **more}
    decision = decided(source, fleet(backend("odd", **state), backend("large")), **facts)
    assert reason_of(decision, "odd") == reason


def test_every_rejection_reason_has_its_case():
    assert set(REJECTED) == set(REJECTIONS)


def test_draining_backend_gets_no_new_request():
    assert reason_of(with_first(state="draining"), "first") == "disabled"


def test_key_without_public_ceiling_keeps_out_of_public_backends():
    source = small([rule("one", ALWAYS, to("outside", "large"))])
    backends = fleet(backend("outside", boundary="public"), backend("large"))
    assert decided(source, backends, signals=ONE).backend == "large"
    assert decided(source, backends, signals=ONE, boundary_ceiling="public").backend == "outside"


def test_boundary_of_an_unknown_word_counts_as_public():
    source = small([rule("one", ALWAYS, to("odd", "large"))])
    backends = fleet(backend("odd", boundary="partner"), backend("large"))
    decision = decided(source, backends, signals=ONE, boundary_ceiling="public")
    assert reason_of(decision, "odd") == "not_signed_off"


def test_invariant_rejects_what_the_backend_alone_would_allow():
    everything = {"signoffs": {"restricted": NOW + DAY}, "data_classes": frozenset({"restricted"})}
    backends = {**example_fleet(), **fleet(backend("outside", boundary="public", **everything))}
    source = document(rules=[rule("one", ALWAYS, to("outside"))])
    facts = {"signals": ONE, "data_class": "restricted", "boundary_ceiling": "public"}
    assert decided(source, backends, **facts).no_target == "data_class"


def test_request_that_costs_too_much_is_over_budget():
    source = small([rule("one", ALWAYS, to("first", "large", max_cost_usd=0.000001))])
    backends = fleet(backend("first"), backend("large", price_in=D(0), price_out=D(0)))
    decision = decided(source, backends, signals={**ONE, "prompt_tokens": 1000})
    assert (decision.backend, decision.cause) == ("large", "budget")


# order, and ways out


def test_rule_without_targets_takes_the_cheapest_of_its_tier():
    source = small([rule("one", ALWAYS, {"route": {"tier": "llm"}})])
    backends = fleet(backend("dear", price_in=D(9)), backend("cheap"), backend("tiny", "slm"))
    decision = decided(source, backends, signals=ONE)
    assert (decision.backend, decision.plan) == ("cheap", ("dear",))


@pytest.mark.parametrize(
    ("way_out", "action", "cause"),
    [
        ("hold", "hold", "held"),
        ("refuse", "refuse", "refused"),
        ("safe_default",) * 2 + ("safe_default",),
    ],
)
def test_rule_says_what_happens_when_no_target_may_take_it(way_out, action, cause):
    source = small([rule("one", ALWAYS, to("gone", on_no_target=way_out))])
    decision = decided(source, EITHER, signals=ONE)
    assert (decision.action, decision.cause, decision.backend) == (action, cause, None)


def test_next_hands_the_request_to_the_following_rules():
    source = small(
        [
            rule("one", ALWAYS, to("gone", on_no_target="next")),
            rule("two", {"turns": {"gt": 5}}, to("first")),
            rule("three", ALWAYS, to("first")),
        ]
    )
    decision = decided(source, EITHER, signals=ONE)
    assert (decision.rule, decision.backend) == ("three", "first")
    assert [one.state for one in decision.trace.rules] == ["matched", "no_match", "matched"]


def test_without_a_word_for_it_the_safe_default_of_the_document_answers_else_nobody():
    rules = [rule("one", ALWAYS, to("gone"))]
    assert decided(small(rules), EITHER, signals=ONE).action == "refuse"
    answered = small(rules, safe_default={"text": "Later."})
    decision = decided(answered, EITHER, signals=ONE)
    assert (decision.action, decision.safe_default.text) == ("safe_default", "Later.")


def test_declared_fallback_steps_in_before_the_way_out():
    backends = example_fleet(private_llama_70b={"context_window": 1_000})
    decision = decided(EXAMPLE, backends, signals={"prompt_tokens": 5_000})
    assert (decision.backend, decision.cause) == ("private-llama-70b-long", "context_window")


def test_hold_carries_its_terms_and_drops_a_draft_that_may_not_see_the_data():
    hold = {"queue": "q", "hold_s": 9, "on_timeout": "pending", "candidate": "first"}
    source = small([rule("one", ALWAYS, {"hold": hold})])
    assert decided(source, EITHER, signals=ONE).hold.candidate == "first"
    closed = fleet(backend("first", data_classes=frozenset()))
    assert decided(source, closed, signals=ONE).hold.candidate is None


@pytest.mark.parametrize(
    ("over_cap", "action"),
    [("safe_default", "safe_default"), ("refuse", "refuse"), ("next", "route")],
)
def test_hold_over_its_cap_does_what_the_rule_says(over_cap, action):
    hold = {"queue": "q", "hold_s": 9, "on_timeout": "refuse", "cap_pct": 3, "over_cap": over_cap}
    source = small([rule("one", ALWAYS, {"hold": hold})])
    decision = decided(source, EITHER, signals=ONE, capped_rules=frozenset({"one"}))
    assert decision.action == action


def test_rule_may_raise_the_data_class_and_never_lower_it():
    source = small([rule("one", ALWAYS, to("first", "large", data_class="confidential"))])
    backends = fleet(backend("first", data_classes=frozenset({"internal"})), backend("large"))
    raised = decided(source, backends, signals=ONE)
    assert (raised.data_class, raised.backend) == ("confidential", "large")
    assert (
        decided(source, backends, signals=ONE, data_class="restricted").data_class == "restricted"
    )


# pins, sessions, rollout, kill switches


def test_pin_never_passes_an_egress_rule_or_a_refusal():
    backends = fleet(backend("outside", boundary="public", signoffs={}), backend("large"))
    pinned = {"signals": ONE, "pin": "outside", "boundary_ceiling": "public"}
    decision = decided(small([]), backends, **pinned)
    assert (decision.action, decision.no_target) == ("refuse", "not_signed_off")
    refusing = small([rule("one", ALWAYS, {"refuse": {"message": "Not here."}})])
    assert decided(refusing, backends, **pinned).sentence.endswith("Not here.")


def test_pin_to_an_unknown_backend_is_refused():
    assert example(pin="elsewhere").action == "refuse"


def test_session_may_rise_and_not_fall():
    assert example(signals=NARROW, sticky_tier="llm").tier == "llm"
    assert example(signals={}, sticky_tier="slm").cause == "default_route"


def test_session_stays_where_it_may_not_rise():
    source = document(session={"sticky": True, "may_rise": False})
    decision = decided(source, example_fleet(), signals={}, sticky_tier="slm")
    assert (decision.tier, decision.cause) == ("slm", "sticky_session")


def test_session_gives_way_where_its_tier_cannot_take_the_request():
    backends = example_fleet(private_llama_70b={"healthy": False})
    decision = decided(EXAMPLE, backends, signals=NARROW, sticky_tier="llm")
    assert (decision.tier, decision.cause) == ("slm", "rule_match")


def test_only_a_plain_choice_may_be_remembered():
    assert example(signals=NARROW).sticky
    assert not example(signals=NARROW, classifier_failed=True).sticky
    assert not example(signals=NARROW, killed=frozenset({"phi-4-mini"})).sticky
    assert not with_first(healthy=False).sticky


def test_baseline_serves_outside_the_rollout_but_not_past_the_egress_rules():
    outside = {"signals": NARROW, "in_rollout": False}
    decision = example(**outside, baseline="private-llama-70b")
    assert (decision.rule, decision.backend) == ("baseline", "private-llama-70b")
    assert example(**outside, baseline="elsewhere").cause == "rule_match"
    closed = example_fleet(private_llama_70b={"data_classes": frozenset()})
    assert decided(EXAMPLE, closed, **outside, baseline="private-llama-70b").tier == "slm"


def test_baseline_does_not_undo_a_refusal():
    source = small([rule("one", ALWAYS, {"refuse": True})])
    decision = decided(source, EITHER, signals=ONE, in_rollout=False, baseline="large")
    assert decision.action == "refuse"


def test_killed_route_asks_no_rule_and_reaches_no_backend():
    decision = example(signals=NARROW, killed=frozenset({"support-triage"}))
    assert (decision.action, decision.cause) == ("safe_default", "kill_switch")
    assert {one.state for one in decision.trace.rules} == {"not_reached"}
    assert {one.reason for one in decision.trace.candidates} == {"disabled"}


def test_stopping_public_traffic_stops_public_backends_only():
    source = small([rule("one", ALWAYS, to("outside", "large"))])
    backends = fleet(backend("outside", boundary="public"), backend("large"))
    stopped = {"signals": ONE, "boundary_ceiling": "public", "killed": frozenset({"public"})}
    decision = decided(source, backends, **stopped)
    assert (decision.backend, decision.cause) == ("large", "kill_switch")


def test_nothing_left_after_the_kill_switch_says_so():
    decision = decided(small([]), EITHER, killed=frozenset({"large"}))
    assert (decision.action, decision.cause) == ("refuse", "kill_switch")


# signals that failed


def test_failed_classifier_does_not_matter_where_no_rule_needed_it():
    decision = example(data_class="restricted", classifier_failed=True)
    assert (decision.rule, decision.cause) == ("restricted-stays-private", "rule_match")


def test_failed_classifier_reads_the_way_out_of_the_data_class():
    source = document(
        rules=EXAMPLE["rules"][1:],
        on_classifier_failure={"confidential": "refuse", "default": "default"},
    )
    failed = {"signals": {"prompt_tokens": 5}, "classifier_failed": True}
    assert decided(source, example_fleet(), **failed).action == "route"
    refused = decided(source, example_fleet(), data_class="confidential", **failed)
    assert (refused.action, refused.rule) == ("refuse", "on_classifier_failure")


def test_failed_classifier_never_undoes_a_stricter_rule_that_holds():
    rules = [
        rule("easy", {"gain": {"lte": 0.04}}, to("first")),
        rule("secrets", {"personal_data": {"contains_any": ["secret"]}}, {"refuse": True}),
    ]
    source = small(rules, on_classifier_failure={"default": "default"})
    signals = {"personal_data": frozenset({"secret"})}
    decision = decided(source, EITHER, signals=signals, classifier_failed=True)
    assert (decision.action, decision.rule) == ("refuse", "secrets")


def test_failed_detector_brings_the_strictest_reading():
    rules = [
        rule("clean", {"personal_data": {"contains_none": ["iban"]}}, to("outside")),
        rule("rest", ALWAYS, {"hold": {"queue": "q", "hold_s": 5, "on_timeout": "refuse"}}),
    ]
    backends = fleet(backend("outside", boundary="public"))
    failed = {"failed_signals": frozenset({"personal_data"}), "boundary_ceiling": "public"}
    decision = decided(small(rules), backends, signals=ONE, **failed)
    assert (decision.action, decision.cause) == ("hold", "classifier_unavailable")


def test_value_of_a_failed_signal_is_not_believed():
    decision = example(signals=NARROW, classifier_failed=True)
    assert "gain" not in decision.trace.signals


def test_rule_may_shorten_the_deadline_and_keep_out_of_sessions_and_shadow():
    then = to("first", deadline_ms=900, sticky=False, shadow=False)
    source = small([rule("one", ALWAYS, then)], session={"sticky": True})
    decision = decided(source, EITHER, signals=ONE)
    assert (decision.limits.deadline_ms, decision.sticky, decision.shadow) == (900, False, False)
