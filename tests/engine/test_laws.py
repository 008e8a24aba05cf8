"""Laws that hold for every policy, every request and every fleet."""

from __future__ import annotations

import json
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from routing.engine.decide import decide, fallback, judge_answer, may_send
from routing.engine.types import ACTIONS, CAUSES, REJECTIONS, Facts
from tests.engine.cases import DAY, NOW, backend, compiled, rule, small

CLASSES = ("public", "internal", "confidential", "restricted")
NAMES = ("alpha", "beta", "gamma", "delta")
TAGS = ("email", "iban", "phone")
KINDS = ("failure", "context_window", "content_policy")
UNIT = st.integers(0, 100).map(lambda n: Decimal(n) / 100)

LEAVES = st.one_of(
    st.builds(lambda op, n: {"gain": {op: n}}, st.sampled_from(("lt", "lte", "gt", "gte")), UNIT),
    st.builds(lambda op, n: {"score": {op: n}}, st.sampled_from(("lt", "gte")), UNIT),
    st.builds(lambda op, v: {"topic": {op: v}}, st.sampled_from(("eq", "ne")), st.just("legal")),
    st.builds(lambda v: {"unfamiliar": {"eq": v}}, st.booleans()),
    st.builds(lambda n: {"prompt_tokens": {"lte": n}}, st.integers(0, 5000)),
    st.builds(lambda c: {"data_class": {"in": [c]}}, st.sampled_from(CLASSES)),
    st.builds(
        lambda op, tag: {"personal_data": {op: [tag]}},
        st.sampled_from(("contains_any", "contains_none")),
        st.sampled_from(TAGS),
    ),
    st.builds(lambda p: {"client": {"starts_with": p}}, st.sampled_from(("a", "ab"))),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds(lambda items: {"all": items}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda items: {"any": items}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda item: {"not": item}, inner),
    ),
    max_leaves=4,
)
HOLD = {"queue": "q", "hold_s": 5, "on_timeout": "refuse", "candidate": "alpha", "cap_pct": 3}
ROUTES = st.builds(
    lambda verb, names, instead, raised: {
        verb: {"targets": names},
        **({"on_no_target": instead} if instead else {}),
        **({"data_class": raised} if raised else {}),
    },
    st.sampled_from(("route", "escalate")),
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True),
    st.sampled_from((None, "hold", "refuse", "safe_default")),
    st.sampled_from((None, "confidential")),
)
OUTCOMES = st.one_of(
    ROUTES,
    st.just({"hold": HOLD}),
    st.just({"hold": {**HOLD, "over_cap": "next"}}),
    st.just({"safe_default": True}),
    st.just({"refuse": True}),
    ROUTES.map(lambda outcome: {**outcome, "on_no_target": "next"}),
)
CHAINS = st.dictionaries(
    st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=3, unique=True), max_size=3
)


@st.composite
def policies(draw):
    whens = draw(st.lists(st.tuples(CONDITIONS, OUTCOMES), max_size=4))
    rules = [rule(f"r{n}", when, then) for n, (when, then) in enumerate(whens)]
    default = draw(st.one_of(ROUTES, st.just({"refuse": True})))
    return compiled(
        small(
            rules,
            default,
            fallbacks={"failure": draw(CHAINS), "context_window": ["delta"]},
            escalation={
                "slm": {
                    "confidence": {"signal": "verifier", "accept_gte": 0.5},
                    "on_uncertain": "escalate",
                    "to": ["beta", "gamma"],
                    "then": "hold",
                    "cross_boundary": draw(st.booleans()),
                }
            },
            session={"sticky": True, "may_rise": draw(st.booleans())},
            on_classifier_failure=draw(st.sampled_from(({}, {"default": "default"}))),
        )
    )


@st.composite
def fleets(draw):
    built = {}
    for name in draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True)):
        classes = draw(st.sets(st.sampled_from(CLASSES)))
        built[name] = backend(
            name,
            draw(st.sampled_from(("slm", "llm"))),
            draw(st.sampled_from(("private", "public"))),
            state=draw(st.sampled_from(("active", "active", "draining", "disabled"))),
            healthy=draw(st.booleans()),
            context_window=draw(st.sampled_from((1000, 10_000))),
            data_classes=frozenset(classes),
            signoffs={c: NOW + draw(st.sampled_from((-DAY, DAY))) for c in sorted(classes)[:2]},
        )
    return built


SIGNALS = st.fixed_dictionaries(
    {},
    optional={
        "gain": UNIT,
        "score": UNIT,
        "unfamiliar": st.booleans(),
        "topic": st.sampled_from(("legal", "other")),
        "prompt_tokens": st.integers(0, 8000),
        "personal_data": st.frozensets(st.sampled_from(TAGS)),
        "client": st.sampled_from(("a", "ab", "b")),
    },
)
FACTS = st.builds(
    Facts,
    signals=SIGNALS,
    data_class=st.sampled_from(CLASSES),
    now_s=st.just(NOW),
    needs=st.sampled_from((frozenset(), frozenset({"tools"}))),
    pin=st.sampled_from((None, None, "alpha")),
    boundary_ceiling=st.sampled_from(("private", "public")),
    sticky_tier=st.sampled_from((None, "slm", "llm")),
    in_rollout=st.booleans(),
    baseline=st.sampled_from((None, "beta")),
    killed=st.sampled_from((frozenset(), frozenset({"public"}), frozenset({"alpha"}))),
    classifier_failed=st.booleans(),
    failed_signals=st.sampled_from((frozenset(), frozenset({"personal_data"}))),
    capped_rules=st.sampled_from((frozenset(), frozenset({"r0", "r1"}))),
)
ANY = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None, max_examples=150)


@ANY
@given(policies(), FACTS, fleets())
def test_decision_is_total_and_from_the_closed_lists(policy, facts, backends):
    decision = decide(policy, facts, backends)
    assert decision.action in ACTIONS and decision.cause in CAUSES
    assert (decision.backend is not None) == (decision.action == "route")
    assert (decision.hold is not None) == (decision.action == "hold")
    assert decision.sentence and "None" not in decision.sentence


@ANY
@given(policies(), FACTS, fleets())
def test_decision_is_the_same_every_time_and_in_any_order_of_backends(policy, facts, backends):
    turned = dict(reversed(backends.items()))
    first, again = decide(policy, facts, backends), decide(policy, facts, turned)
    assert json.dumps(first.as_json()) == json.dumps(again.as_json())


@ANY
@given(policies(), FACTS, fleets())
def test_trace_is_complete(policy, facts, backends):
    trace = decide(policy, facts, backends).trace
    assert [one.id for one in trace.rules] == [one.id for one in policy.rules]
    assert all((one.failing is not None) == (one.state == "no_match") for one in trace.rules)
    assert sorted(one.name for one in trace.candidates) == sorted(backends)
    chosen = [one for one in trace.candidates if one.verdict == "chosen"]
    assert len(chosen) <= 1 and all(one.reason == "" for one in chosen)
    assert all(one.reason in REJECTIONS for one in trace.candidates if one.verdict != "chosen")


def is_open_to(decision, facts, one):
    return may_send(
        one, decision.data_class, facts.now_s, facts.boundary_ceiling, facts.killed
    ) is None and CLASSES.index(decision.data_class) >= CLASSES.index(facts.data_class)


@ANY
@given(policies(), FACTS, fleets())
def test_no_choice_and_no_plan_leaves_what_the_request_may_reach(policy, facts, backends):
    decision = decide(policy, facts, backends)
    names = [decision.backend, *decision.plan, decision.hold and decision.hold.candidate]
    for name in filter(None, names):
        assert is_open_to(decision, facts, backends[name])
    if decision.boundary == "private":
        assert {backends[name].boundary for name in decision.plan} <= {"private"}


@ANY
@given(
    policies(), FACTS, fleets(), st.sampled_from(("failure", "context_window", "content_policy"))
)
def test_chain_of_fallbacks_ends_and_never_widens_the_boundary(policy, facts, backends, kind):
    decision = decide(policy, facts, backends)
    tried = [decision.backend] if decision.backend else []
    while tried:
        after = fallback(policy, facts, backends, failed=tried[-1], tried=tried, kind=kind)
        if after is None:
            break
        assert after not in tried and is_open_to(decision, facts, backends[after])
        assert decision.boundary == "public" or backends[after].boundary == "private"
        tried.append(after)
    assert len(tried) <= policy.policy.limits.attempts


@ANY
@given(policies(), FACTS, fleets(), st.none() | UNIT)
def test_escalation_passes_every_egress_rule(policy, facts, backends, confidence):
    decision = decide(policy, facts, backends)
    for name in backends:
        followup = judge_answer(policy, facts, backends, backend=name, confidence=confidence)
        assert (followup.to is not None) == (followup.action == "escalate")
        if followup.to is not None:
            assert is_open_to(decision, facts, backends[followup.to])
            crosses = policy.policy.escalation["slm"].cross_boundary
            assert (
                crosses
                or backends[name].boundary == "public"
                or (backends[followup.to].boundary == "private")
            )
