"""Every finding of the analysis, with a request that shows it."""

from __future__ import annotations

import pytest

from routing.engine.analyse import analyse, lint
from routing.engine.compiled import compile_policy
from routing.engine.decide import decide
from routing.engine.document import parse_policy
from tests.engine.cases import (
    DAY,
    EXAMPLE,
    NOW,
    backend,
    document,
    example_fleet,
    facts,
    fleet,
    rule,
    small,
    to,
)

FLEET = fleet(backend("small", "slm"), backend("large"), backend("outside", boundary="public"))
FEW = {"turns": {"lt": 3}}
MANY = {"turns": {"gte": 3}}


def found(source, backends=FLEET, **more):
    return {f.code: f for f in lint(source, backends, now_s=NOW, **more)}


def blocking(source, backends=FLEET, **more):
    return {code for code, finding in found(source, backends, **more).items() if finding.blocking}


def test_example_of_the_language_has_nothing_that_blocks():
    assert blocking(EXAMPLE, example_fleet()) == set()


def test_unreadable_document_gives_its_findings():
    (finding,) = lint(document(owner=7))
    assert (finding.path, finding.blocking) == ("owner", True)


def test_contradiction_within_a_rule():
    when = {"all": [{"score": {"lt": 0.2}}, {"score": {"gt": 0.3}}]}
    finding = found(small([rule("one", when, to("large"))]))["contradiction"]
    assert finding.path == "rules[0].when"


@pytest.mark.parametrize(
    "when",
    [
        {"all": [{"has_code": {"eq": True}}, {"has_code": {"absent": True}}]},
        {"all": [{"client": {"starts_with": "ab"}}, {"not": {"client": {"starts_with": "a"}}}]},
        {"all": [{"turns": {"gt": 3}}, {"turns": {"lt": 4}}]},
        {
            "all": [
                {"personal_data": {"contains_all": ["iban", "email"]}},
                {"personal_data": {"contains_none": ["email"]}},
            ]
        },
    ],
)
def test_contradictions_are_found_in_every_kind_of_signal(when):
    assert "contradiction" in found(small([rule("one", when, to("large"))]))


def test_rule_behind_a_wider_one_is_unreachable_and_the_wider_one_is_named():
    rules = [rule("wide", {"turns": {"gte": 1}}, to("small")), rule("narrow", MANY, to("large"))]
    finding = found(small(rules))["unreachable"]
    assert finding.path == "rules[1]" and "“Wide”" in finding.message
    assert finding.witness["turns"] >= 3


def test_rule_behind_several_that_cover_it_together_is_unreachable():
    rules = [
        rule("few", FEW, to("small")),
        rule("many", MANY, to("large")),
        rule("any", {"turns": {"present": True}}, to("outside")),
    ]
    assert found(small(rules))["unreachable"].path == "rules[2]"


def test_rule_behind_one_that_may_pass_on_is_reachable():
    rules = [
        rule("wide", MANY, to("small", on_no_target="next")),
        rule("same", MANY, to("large")),
    ]
    assert "unreachable" not in found(small(rules))


def test_disabled_rule_covers_nothing():
    rules = [rule("wide", MANY, to("small"), enabled=False), rule("same", MANY, to("large"))]
    assert "unreachable" not in found(small(rules))


def test_missing_disabled_and_wrong_targets():
    assert "target_missing" in blocking(small([rule("one", FEW, to("gone"))]))
    disabled = {**FLEET, **fleet(backend("large", state="disabled"))}
    assert "target_disabled" in blocking(small([]), disabled)
    assert "target_tier" in blocking(small([rule("one", FEW, to("large", tier="slm"))]))
    assert "target_missing" in blocking(small([], fallbacks={"context_window": ["gone"]}))


def test_target_that_no_request_of_its_rule_can_use():
    plain = {**FLEET, **fleet(backend("small", "slm", capabilities=frozenset()))}
    source = small([rule("tools", {"has_tools": {"eq": True}}, to("small"))])
    finding = found(source, plain)["target_incapable"]
    assert finding.witness["has_tools"] is True
    long = small([rule("long", {"prompt_tokens": {"gt": 40_000}}, to("small"))])
    assert found(long)["target_incapable"].witness["prompt_tokens"] > 40_000


def test_capability_that_some_requests_will_miss_is_advice():
    plain = fleet(backend("large", capabilities=frozenset()))
    assert not found(small([]), plain)["capability_gap"].blocking


def test_public_target_must_be_signed_off_for_every_class_that_reaches_it():
    source = small([], to("outside"))
    finding = found(source)["public_not_allowed"]
    assert finding.witness == {"data_class": "restricted"}
    guard = rule("inside", {"data_class": {"in": ["confidential", "restricted"]}}, to("large"))
    assert "public_not_allowed" not in found(small([guard], to("outside")))


def test_sign_off_that_has_ended_is_none():
    ended = {"public": NOW, "internal": NOW + DAY}
    backends = {**FLEET, **fleet(backend("outside", boundary="public", signoffs=ended))}
    guard = rule("inside", {"data_class": {"in": ["confidential", "restricted"]}}, to("large"))
    finding = found(small([guard], to("outside")), backends)["public_not_allowed"]
    assert "has ended" in finding.message and finding.witness == {"data_class": "public"}


def test_class_below_that_of_the_route_never_comes():
    guard = rule("inside", {"data_class": {"eq": "public"}}, to("outside"))
    assert "unreachable" in found(small([guard]), floor="internal")


def test_raised_class_is_the_one_that_counts():
    source = small([rule("one", FEW, to("outside", data_class="restricted"))])
    assert "restricted data to outside" in found(source)["public_not_allowed"].message


def test_fallback_and_escalation_out_of_the_boundary_are_refused():
    source = small([rule("one", FEW, to("small"))], fallbacks={"failure": {"small": ["outside"]}})
    finding = found(source)["wider_boundary"]
    assert finding.path == "fallbacks.failure.small" and finding.witness["turns"] < 3
    chain = {"failure": {"small": ["large"], "large": ["outside"]}}
    assert "wider_boundary" in blocking(small([rule("one", FEW, to("small"))], fallbacks=chain))
    terms = {
        "confidence": {"signal": "verifier", "accept_gte": 0.5},
        "on_uncertain": "escalate",
        "to": ["outside"],
    }
    escalating = small([rule("one", FEW, to("small"))], escalation={"slm": terms})
    assert "wider_boundary" in blocking(escalating)
    crossing = {"slm": {**terms, "cross_boundary": True}}
    crossed = small([rule("one", FEW, to("small"))], escalation=crossing)
    assert "public_not_allowed" in blocking(crossed)


@pytest.mark.parametrize("hop", ["target", "fallback", "escalation"])
def test_invariant_is_proved_on_every_hop_with_a_request_that_reaches_it(hop):
    open_to_all = {
        "data_classes": frozenset({"public", "internal", "confidential", "restricted"}),
        "signoffs": dict.fromkeys(("public", "internal", "confidential", "restricted"), NOW + DAY),
    }
    backends = fleet(
        backend("small", "slm", "public", **open_to_all),
        backend("outside", "llm", "public", **open_to_all),
        backend("large"),
    )
    forbid = {"data_class": {"in": ["restricted"]}, "backend": {"eq": "outside"}}
    more = {"invariants": [{"forbid": forbid}]}
    target = "outside" if hop == "target" else "small"
    if hop == "fallback":
        more["fallbacks"] = {"failure": {"small": ["outside"]}}
    if hop == "escalation":
        more["escalation"] = {
            "slm": {
                "confidence": {"signal": "verifier", "accept_gte": 0.5},
                "on_uncertain": "escalate",
                "to": ["outside"],
            }
        }
    source = small([rule("one", MANY, to(target))], **more)
    finding = found(source, backends)["invariant"]
    assert hop in finding.message
    version = compile_policy(parse_policy(source), number=1, digest="")
    given = facts(finding.witness["data_class"], signals=finding.witness)
    assert decide(version, given, backends).rule == "one"
    assert finding.witness["data_class"] == "restricted"


def test_escalation_must_rise():
    terms = {
        "confidence": {"signal": "verifier", "accept_gte": 0.5},
        "on_uncertain": "escalate",
        "to": ["small"],
    }
    assert "escalation" in blocking(small([], escalation={"slm": terms}))
    assert "escalation" in blocking(small([], escalation={"llm": {**terms, "to": ["large"]}}))


def test_fallbacks_must_not_go_in_a_circle():
    circle = {"failure": {"small": ["large"], "large": ["small"]}}
    assert "fallback_cycle" in blocking(small([], fallbacks=circle))
    assert "fallback_cycle" in blocking(small([], fallbacks={"failure": {"large": ["large"]}}))


def test_hold_and_first_token_must_fit_the_deadline():
    hold = {"queue": "q", "hold_s": 31, "on_timeout": "refuse"}
    assert "deadline" in blocking(small([rule("one", FEW, {"hold": hold})]))
    pending = {**hold, "on_timeout": "pending"}
    assert "deadline" not in blocking(small([rule("one", FEW, {"hold": pending})]))
    assert "deadline" in blocking(small([], limits={"deadline_ms": 500}))


def test_overlap_with_another_outcome_is_advice_with_a_request():
    rules = [rule("one", FEW, to("small")), rule("two", {"topic": {"eq": "legal"}}, to("large"))]
    finding = found(small(rules))["overlap"]
    assert not finding.blocking
    assert finding.witness["topic"] == "legal" and finding.witness["turns"] < 3


def test_rule_that_changes_nothing_is_advice():
    assert "redundant" in found(small([rule("one", FEW, to("large", tier="llm"))]))


def test_thresholds_that_nearly_meet_are_advice():
    rules = [
        rule("one", {"score": {"lt": 0.5}}, to("large")),
        rule("two", {"score": {"gt": 0.51}}, to("small")),
    ]
    assert "0.5 and with 0.51" in found(small(rules))["near_thresholds"].message


def test_negated_comparison_of_a_signal_that_may_be_absent_is_advice():
    assert "nullable" in found(small([rule("one", {"language": {"ne": "en"}}, to("large"))]))
    both = {"any": [{"language": {"ne": "en"}}, {"language": {"absent": True}}]}
    assert "nullable" not in found(small([rule("one", both, to("large"))]))


def test_classifier_without_a_plan_for_its_failure_is_advice():
    assert "no_failure_plan" in found(small([rule("one", {"gain": {"lt": 0}}, to("small"))]))


def test_way_out_of_classifier_failure_is_checked_like_a_rule():
    source = small([], on_classifier_failure={"restricted": to("outside")})
    assert found(source)["public_not_allowed"].path.startswith("on_classifier_failure.restricted")


def test_without_backends_nothing_is_said_of_targets():
    assert analyse(parse_policy(small([rule("one", FEW, to("gone"))]))) == []


def test_search_that_is_too_long_says_so(monkeypatch):
    monkeypatch.setattr("routing.engine.reach.MAX_NODES", 0)
    source = small([rule("one", {"gain": {"lt": 0.5}}, to("small"))])
    assert not found(source)["undecided"].blocking
