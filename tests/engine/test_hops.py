"""After the first call: fallback, the check at every dispatch, and doubt about an answer."""

from __future__ import annotations

from decimal import Decimal

import pytest

from routing.engine.decide import fallback, judge_answer, may_send
from tests.engine.cases import (
    DAY,
    EXAMPLE,
    NARROW,
    NOW,
    backend,
    compiled,
    document,
    example_fleet,
    facts,
    fleet,
    rule,
    small,
    to,
)

D = Decimal


def next_after(failed, tried, kind="failure", backends=None, source=EXAMPLE, **more):
    known = backends or example_fleet()
    given = facts(**{"signals": NARROW, **more})
    return fallback(compiled(source), given, known, failed=failed, tried=tried, kind=kind)


def test_fallback_follows_the_declared_chain():
    assert next_after("phi-4-mini", ["phi-4-mini"]) == "smollm"
    assert next_after("smollm", ["phi-4-mini", "smollm"]) == "private-llama-70b"


def test_fallback_ends_with_the_attempts():
    tried = ["phi-4-mini", "smollm", "private-llama-70b"]
    assert next_after("private-llama-70b", tried) is None
    two = document(limits={"attempts": 2})
    assert next_after("smollm", ["phi-4-mini", "smollm"], source=two) is None


def test_retry_of_one_backend_uses_no_place_in_the_chain():
    assert next_after("phi-4-mini", ["phi-4-mini", "phi-4-mini"]) == "smollm"


def test_fallback_passes_over_what_may_not_take_the_request():
    backends = example_fleet(smollm={"cooling": True})
    assert next_after("phi-4-mini", ["phi-4-mini"], backends=backends) == "private-llama-70b"


def test_fallback_never_leaves_the_boundary_of_the_first_choice():
    source = small([], to("inside"), fallbacks={"failure": {"inside": ["outside", "other"]}})
    backends = fleet(backend("inside"), backend("outside", boundary="public"), backend("other"))
    asked = {"source": source, "backends": backends, "boundary_ceiling": "public"}
    assert next_after("inside", ["inside"], **asked) == "other"


def test_fallback_from_public_may_become_stricter():
    source = small([], to("outside"), fallbacks={"failure": {"outside": ["inside"]}})
    backends = fleet(backend("inside"), backend("outside", boundary="public"))
    asked = {"source": source, "backends": backends, "boundary_ceiling": "public"}
    assert next_after("outside", ["outside"], **asked) == "inside"


def test_fallback_holds_to_the_data_class_that_the_rule_raised():
    raised = to("inside", data_class="restricted")
    source = small(
        [rule("one", {"turns": {"gte": 0}}, raised)],
        fallbacks={"failure": {"inside": ["other"]}},
    )
    backends = fleet(backend("inside"), backend("other", data_classes=frozenset({"internal"})))
    asked = {"source": source, "backends": backends, "signals": {"turns": 1}}
    assert next_after("inside", ["inside"], **asked) is None


def test_too_long_prompt_goes_to_a_wider_window_only():
    assert next_after("phi-4-mini", ["phi-4-mini"], "context_window") == "private-llama-70b-long"
    backends = example_fleet(private_llama_70b_long={"context_window": 2_000})
    assert next_after("phi-4-mini", ["phi-4-mini"], "context_window", backends) is None


def test_declined_content_goes_nowhere_unless_the_policy_says_so():
    assert next_after("phi-4-mini", ["phi-4-mini"], "content_policy") is None


def test_pinned_request_has_no_fallback():
    assert next_after("phi-4-mini", ["phi-4-mini"], pin="phi-4-mini") is None


def test_killed_route_has_no_fallback():
    assert next_after("phi-4-mini", ["phi-4-mini"], killed=frozenset({"support-triage"})) is None


OUTSIDE = backend("outside", boundary="public")


@pytest.mark.parametrize(
    ("change", "asked", "reason"),
    [
        ({}, {}, None),
        ({}, {"now_s": NOW + DAY}, "sign_off_expired"),
        ({}, {"now_s": NOW + DAY - 1}, None),
        ({}, {"data_class": "restricted"}, "data_class"),
        ({"signoffs": {"public": NOW + DAY}}, {}, "not_signed_off"),
        ({}, {"boundary_ceiling": "private"}, "key_scope"),
        ({"key_allowed": False}, {}, "key_scope"),
        ({}, {"killed": frozenset({"public"})}, "disabled"),
        ({}, {"killed": frozenset({"outside"})}, "disabled"),
        ({"state": "disabled"}, {}, "disabled"),
        ({"state": "draining"}, {}, None),
    ],
)
def test_dispatch_is_checked_again(change, asked, reason):
    given = {
        "data_class": "internal",
        "now_s": NOW,
        "boundary_ceiling": "public",
        "killed": frozenset(),
        **asked,
    }
    assert may_send(backend("outside", boundary="public", **change), **given) == reason


def test_private_backend_needs_no_sign_off():
    assert may_send(backend("inside"), "restricted", NOW, "private", frozenset()) is None


def test_dispatch_keeps_the_invariants_of_the_policy():
    open_to_all = backend(
        "outside",
        boundary="public",
        data_classes=frozenset({"restricted"}),
        signoffs={"restricted": NOW + DAY},
    )
    asked = (open_to_all, "restricted", NOW, "public", frozenset())
    assert may_send(*asked) is None
    assert may_send(*asked, policy=compiled(EXAMPLE)) == "data_class"


def judged(confidence, backend_name="phi-4-mini", source=EXAMPLE, backends=None, **more):
    known = backends or example_fleet()
    given = facts(**{"signals": NARROW, **more})
    asked = {"backend": backend_name, "confidence": confidence}
    return judge_answer(compiled(source), given, known, **asked)


def test_confident_answer_is_accepted():
    assert judged(D("0.62")).action == "accept"


def test_uncertain_answer_escalates():
    followup = judged(D("0.61"))
    assert (followup.action, followup.to) == ("escalate", "private-llama-70b")
    assert followup.cause == "uncertain_escalated"


@pytest.mark.parametrize("nothing", [None, D("NaN")])
def test_answer_without_confidence_counts_as_uncertain(nothing):
    assert judged(nothing).action == "escalate"


def test_answer_waits_for_a_person_where_no_larger_model_may_take_it():
    backends = example_fleet(private_llama_70b={"healthy": False})
    followup = judged(D("0.1"), backends=backends)
    assert (followup.action, followup.hold.queue) == ("hold", "triage")


def test_tier_without_escalation_is_accepted():
    assert judged(None, "private-llama-70b").action == "accept"
    assert judged(None, "elsewhere").action == "accept"


def test_escalation_crosses_the_boundary_only_where_the_policy_says_so():
    terms = {
        "confidence": {"signal": "verifier", "accept_gte": 0.5},
        "on_uncertain": "escalate",
        "to": ["outside"],
        "then": "safe_default",
    }
    backends = fleet(backend("small", "slm"), backend("outside", boundary="public"))
    asked = {"backends": backends, "backend_name": "small", "boundary_ceiling": "public"}
    source = small([], to("small"), escalation={"slm": terms})
    assert judged(None, source=source, **asked).action == "safe_default"
    crossing = small([], to("small"), escalation={"slm": {**terms, "cross_boundary": True}})
    assert judged(None, source=crossing, **asked).to == "outside"
    assert judged(None, source=crossing, data_class="restricted", **asked).to is None
