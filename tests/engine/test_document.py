from __future__ import annotations

import copy
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.engine.document import parse_policy
from routing.engine.policy import Group
from routing.engine.types import PolicyError
from tests.engine.cases import EXAMPLE, document, rule, small, to


def findings(source):
    with pytest.raises(PolicyError) as raised:
        parse_policy(source)
    return {finding.path: finding for finding in raised.value.findings}


def test_example_of_the_language_is_a_policy():
    policy = parse_policy(EXAMPLE)
    assert [one.id for one in policy.rules] == [
        "restricted-stays-private",
        "narrow-work",
        "unsure-and-high-stakes",
    ]
    assert policy.rules[2].then.hold.cap_pct == 3
    assert policy.escalation["slm"].accept_gte == Decimal("0.62")
    assert policy.timeouts_ms == {"language": 5}
    assert isinstance(policy.rules[1].when, Group)


@pytest.mark.parametrize("key", ["schema", "route", "owner", "rules", "default"])
def test_missing_part_is_an_error(key):
    assert findings(document(**{key: None}))[key].code == "missing"


LEAF = {"turns": {"gte": 1}}


def nested(depth):
    inner = LEAF
    for _ in range(depth):
        inner = {"all": [inner]}
    return inner


@pytest.mark.parametrize(
    ("when", "path", "says"),
    [
        ([], "rules[0].when", "must be a condition"),
        ({}, "rules[0].when", "exactly one key"),
        ({"all": []}, "rules[0].when.all", "at least 1"),
        (
            {"all": [LEAF, {"gain": {"lte": "x"}}]},
            "rules[0].when.all[1].gain.lte",
            "must be a number",
        ),
        ({"gian": {"lte": 1}}, "rules[0].when.gian", "no signal named"),
        ({"gain": 0.04}, "rules[0].when.gain", "exactly one operator"),
        ({"gain": {"lte": 1, "gt": 0}}, "rules[0].when.gain", "exactly one operator"),
        ({"gain": {"matches": "x"}}, "rules[0].when.gain.matches", "is no operator"),
        ({"gain": {"contains_any": ["x"]}}, "rules[0].when.gain.contains_any", "does not apply"),
        ({"gain": {"lte": 1.5}}, "rules[0].when.gain.lte", "between -1 and 1"),
        ({"gain": {"lte": True}}, "rules[0].when.gain.lte", "must be a number"),
        ({"turns": {"lte": 1.5}}, "rules[0].when.turns.lte", "whole number"),
        ({"topic": {"eq": "cooking"}}, "rules[0].when.topic.eq", "is not a value of topic"),
        ({"topic": {"in": []}}, "rules[0].when.topic.in", "at least 1"),
        ({"topic": {"in": ["legal", "legal"]}}, "rules[0].when.topic.in[1]", "listed twice"),
        ({"has_code": {"eq": "yes"}}, "rules[0].when.has_code.eq", "true or false"),
        ({"hour": {"between": [9, 8]}}, "rules[0].when.hour.between", "lower bound first"),
        ({"hour": {"between": [9]}}, "rules[0].when.hour.between", "at least 2"),
        ({"score": {"absent": False}}, "rules[0].when.score.absent", "must be true"),
        ({"confidence": {"gte": 0.5}}, "rules[0].when.confidence", "known only after an answer"),
        (nested(5), "rules[0].when.all[0].all[0].all[0].all[0].all", "deeper than 4"),
        ({"all": [{"any": [LEAF] * 60}, {"any": [LEAF] * 5}]}, "rules[0].when", "65 comparisons"),
    ],
)
def test_bad_condition_is_named_by_its_exact_path(when, path, says):
    found = findings(small([rule("one", when, to("large"))]))
    assert says in found[path].message


def test_four_groups_deep_is_allowed():
    parse_policy(small([rule("one", nested(4), to("large"))]))


@pytest.mark.parametrize(
    ("then", "path", "says"),
    [
        ({}, "", "exactly one of"),
        ({**to("a"), "refuse": True}, "", "exactly one of"),
        ({"route": {}}, ".route", "a tier or targets"),
        ({"route": {"targets": []}}, ".route.targets", "at least 1"),
        ({"route": {"tier": "big"}}, ".route.tier", "one of slm, llm"),
        ({"route": {"targets": ["a b"]}}, ".route.targets[0]", "must be a name"),
        ({"route": {"target": ["a"]}}, ".route.target", "did you mean 'targets'"),
        ({"hold": {"hold_s": 5, "on_timeout": "refuse"}}, ".hold.queue", "is missing"),
        ({"hold": {"queue": "q", "on_timeout": "refuse"}}, ".hold.hold_s", "is missing"),
        ({"hold": {"queue": "q", "hold_s": 5}}, ".hold.on_timeout", "is missing"),
        ({**to("a"), "on_no_target": "route"}, ".on_no_target", "one of hold, refuse"),
        ({**to("a"), "data_class": "secret"}, ".data_class", "must be one of"),
        ({"refuse": True, "deadline_ms": 500}, ".deadline_ms", "not with refuse"),
        ({"safe_default": {"text": ""}}, ".safe_default.text", "must not be empty"),
    ],
)
def test_bad_outcome_is_named_by_its_exact_path(then, path, says):
    found = findings(small([rule("one", LEAF, then)]))
    assert says in found[f"rules[0].then{path}"].message


@pytest.mark.parametrize(
    ("changes", "path"),
    [
        ({"rule": []}, "rule"),
        ({"schema": "signalbox.policy/2"}, "schema"),
        ({"route": "Support Triage"}, "route"),
        ({"classifier": "support"}, "classifier"),
        ({"signals": {"mood": {}}}, "signals.mood"),
        ({"signals": {"metadata.region": {}}}, "signals.metadata.region.type"),
        ({"signals": {"metadata.region": {"type": "enum"}}}, "signals.metadata.region.values"),
        ({"default": {}}, "default.then"),
        ({"default": {"when": LEAF, "then": to("a")}}, "default.when"),
        ({"default": {"then": {**to("a"), "on_no_target": "next"}}}, "default.then.on_no_target"),
        ({"limits": {"attempts": 9}}, "limits.attempts"),
        ({"session": {"sticky": 1}}, "session.sticky"),
        ({"fallbacks": {"failure": {"a": ["b", "c", "d", "e"]}}}, "fallbacks.failure.a"),
        ({"escalation": {"slm": {"on_uncertain": "hold"}}}, "escalation.slm.confidence"),
        ({"on_classifier_failure": {"secret": "refuse"}}, "on_classifier_failure.secret"),
        ({"invariants": [{"forbid": {"data_class": {"in": ["public"]}}}]}, "invariants[0].forbid"),
        ({"tests": [{"given": {"gain": "x"}, "expect": {"rule": "a"}}]}, "tests[0].given.gain"),
        ({"tests": [{"given": {}, "expect": {}}]}, "tests[0].expect"),
        ({"tests": [{"given": {}, "expect": {"cause": "luck"}}]}, "tests[0].expect.cause"),
    ],
)
def test_bad_section_is_named_by_its_exact_path(changes, path):
    assert path in findings(document(**changes))


def test_rule_without_when_is_an_error():
    source = small([{"id": "one", "then": to("large")}])
    assert findings(source)["rules[0].when"].code == "missing"


def test_rule_ids_are_unique_and_not_reserved():
    found = findings(small([rule("one", LEAF, to("a")), rule("one", LEAF, to("a"))]))
    assert "already the id" in found["rules[1].id"].message
    assert "reserved" in findings(small([rule("default", LEAF, to("a"))]))["rules[0].id"].message


def test_201_rules_are_too_many():
    rules = [rule(f"r{number}", LEAF, to("a")) for number in range(201)]
    assert "at most 200" in findings(small(rules))["rules"].message


def test_every_mistake_is_reported_at_once():
    source = small([rule("Bad Id", {"gian": {"lte": 1}}, {"route": {}})], owner=3)
    assert {"rules[0].id", "rules[0].when.gian", "rules[0].then.route", "owner"} <= set(
        findings(source)
    )


def test_declared_metadata_may_be_tested_and_is_personal_unless_it_says_otherwise():
    source = small(
        [rule("one", {"metadata.region": {"eq": "eu"}}, to("large"))],
        signals={
            "metadata.region": {"type": "enum", "values": ["eu", "us"], "personal": False},
            "metadata.amount": {"type": "number", "min": 0, "max": 1000},
        },
    )
    registry = parse_policy(source).registry
    assert not registry.get("metadata.region").is_personal
    assert registry.get("metadata.amount").is_personal
    assert registry.admit({"metadata.region": "mars", "metadata.amount": 12.5}) == {
        "metadata.amount": Decimal("12.5")
    }


JUNK = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def paths_of(value, trail=()):
    yield trail
    items = (
        value.items()
        if isinstance(value, dict)
        else enumerate(value)
        if isinstance(value, list)
        else ()
    )
    for key, item in items:
        yield from paths_of(item, (*trail, key))


PATHS = list(paths_of(EXAMPLE))[1:]


@given(st.sampled_from(PATHS), JUNK)
def test_junk_in_any_place_gives_findings_and_never_another_error(path, junk):
    source = copy.deepcopy(EXAMPLE)
    place = source
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = junk
    try:
        parse_policy(source)
    except PolicyError as error:
        assert error.findings
        assert all(finding.message for finding in error.findings)


@given(JUNK)
def test_junk_is_no_policy(junk):
    with pytest.raises(PolicyError):
        parse_policy(junk)
