"""What the data-flow document calls permitted is what the engine does, no more and no less."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routing.engine.decide import decide, fallback, judge_answer
from routing.engine.flows import Flow, permitted
from routing.engine.types import BackendFacts, Facts
from tests.engine.cases import DAY, NOW, backend, compiled, rule, small
from tests.engine.test_laws import CLASSES, KINDS, SIGNALS, fleets, policies

ALL = frozenset(CLASSES)


def flows(policy: Any, fleet: dict[str, BackendFacts], **asked: Any) -> list[Flow]:
    return permitted(policy.policy, fleet, now_s=NOW, **asked)


def pairs(found: list[Flow]) -> set[tuple[str, str]]:
    return {(flow.data_class, flow.backend) for flow in found}


def needs_of(signals: dict[str, Any]) -> frozenset[str]:
    names = {"has_tools": "tools", "has_images": "images", "wants_json": "json"}
    return frozenset(word for name, word in names.items() if signals.get(name) is True)


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    policies(),
    fleets(),
    SIGNALS,
    st.sampled_from(CLASSES),
    st.sets(st.sampled_from(("alpha", "beta", "gamma", "delta"))),
    st.booleans(),
    st.booleans(),
    st.sampled_from((None, "slm", "llm")),
    st.sampled_from((None, "alpha")),
    st.sampled_from((None, "beta")),
)
def test_nothing_is_ever_sent_where_no_flow_is_permitted(
    policy, fleet, signals, data_class, unwell, failed, in_rollout, sticky, pin, baseline
):
    fleet = {name: replace(one, healthy=name not in unwell) for name, one in fleet.items()}
    facts = Facts(
        signals=signals,
        data_class=data_class,
        now_s=NOW,
        needs=needs_of(signals),
        boundary_ceiling="public",
        classifier_failed=failed,
        sticky_tier=sticky,
        pin=pin,
        in_rollout=in_rollout,
        baseline=baseline,
    )
    allowed = pairs(flows(policy, fleet, baseline=baseline, may_pin=True))

    decision = decide(policy, facts, fleet)
    sent = [decision.backend] if decision.backend else []
    if decision.hold and decision.hold.candidate:
        name = decision.hold.candidate
        assert fleet[name].boundary == "public" or (decision.data_class, name) in allowed
    for kind in KINDS if sent else ():
        called = list(sent[:1])
        while hop := fallback(policy, facts, fleet, failed=called[-1], tried=called, kind=kind):
            called.append(hop)
            sent.append(hop)
    for name in list(sent):
        larger = judge_answer(policy, facts, fleet, backend=name, confidence=Decimal(0)).to
        if larger:
            sent.append(larger)

    assert {(decision.data_class, name) for name in sent} <= allowed


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(policies(), fleets())
def test_the_request_of_every_target_is_really_sent_there(policy, fleet):
    for flow in flows(policy, fleet):
        if flow.kind != "target" or flow.rule == "on_classifier_failure":
            continue
        others = {name: replace(one, healthy=name == flow.backend) for name, one in fleet.items()}
        signals = dict(flow.witness)
        facts = Facts(
            signals=signals,
            data_class=signals["data_class"],
            now_s=NOW,
            needs=needs_of(signals),
            boundary_ceiling="public",
            # Rules that hand a request on do so when their own share of holds is used up.
            capped_rules=frozenset(r.id for r in policy.rules if r.id != flow.rule),
        )
        decision = decide(policy, facts, others)
        assert decision.backend is not None
        if decision.rule == flow.rule:
            assert (decision.data_class, decision.backend) == (flow.data_class, flow.backend)


def public(name: str, **changed: Any) -> BackendFacts:
    facts = {"data_classes": ALL, "signoffs": {"internal": NOW + DAY}, **changed}
    return backend(name, "llm", "public", **facts)


def private(name: str, **changed: Any) -> BackendFacts:
    return backend(name, "llm", "private", data_classes=ALL, **changed)


def to(*names: str) -> dict[str, Any]:
    return {"route": {"targets": list(names)}}


def test_a_sign_off_opens_its_class_alone_and_its_end_closes_it():
    policy = compiled(small([], to("out")))
    fleet = {"out": public("out")}

    assert pairs(flows(policy, fleet)) == {("internal", "out")}
    assert permitted(policy.policy, fleet, now_s=NOW + DAY) == []


def test_a_fallback_is_a_flow_of_its_own():
    policy = compiled(small([], to("in"), fallbacks={"failure": {"in": ["spare"]}}))
    found = flows(policy, {"in": private("in"), "spare": private("spare")}, floor="restricted")

    assert [f.kind for f in found if f.backend == "in"][0] == "target"
    assert [f.kind for f in found if f.backend == "spare"] == ["fallback"]
    assert {f.data_class for f in found} == {"restricted"}


def test_no_flow_leaves_the_boundary_by_a_fallback():
    policy = compiled(small([], to("in"), fallbacks={"failure": {"in": ["out"]}}))

    found = flows(policy, {"in": private("in"), "out": public("out")})

    assert {f.backend for f in found} == {"in"}


def test_a_rule_that_keeps_a_class_inside_takes_its_flow_away():
    inside = rule("inside", {"data_class": {"in": ["internal"]}}, to("in"))
    fleet = {"in": private("in"), "out": public("out")}

    assert ("internal", "out") in pairs(flows(compiled(small([], to("out"))), fleet))
    assert ("internal", "out") not in pairs(flows(compiled(small([inside], to("out"))), fleet))


def test_an_invariant_takes_a_flow_away():
    forbid = [{"forbid": {"data_class": {"in": ["internal"]}, "boundary": {"in": ["public"]}}}]
    policy = compiled(small([], to("out"), invariants=forbid))

    assert flows(policy, {"out": public("out")}) == []


def test_a_rule_that_raises_the_class_moves_the_flow_to_the_higher_one():
    raised = {**to("in"), "data_class": "restricted"}
    policy = compiled(small([], raised))

    assert pairs(flows(policy, {"in": private("in")})) == {("restricted", "in")}


def test_the_floor_of_the_route_leaves_lower_classes_out():
    policy = compiled(small([], to("in")))

    assert {f.data_class for f in flows(policy, {"in": private("in")}, floor="confidential")} == {
        "confidential",
        "restricted",
    }


def test_pins_and_the_baseline_count_only_where_they_exist():
    policy = compiled(small([], to("in")))
    fleet = {"in": private("in"), "other": private("other")}

    assert {f.backend for f in flows(policy, fleet)} == {"in"}
    assert ("pin", "other") in {(f.kind, f.backend) for f in flows(policy, fleet, may_pin=True)}
    assert ("baseline", "other") in {
        (f.kind, f.backend) for f in flows(policy, fleet, baseline="other")
    }
