"""The diff in meaning: the same as trying every request, and the worst first."""

from __future__ import annotations

import copy
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routing.engine.compiled import compile_policy
from routing.engine.decide import decide
from routing.engine.document import parse_policy
from routing.engine.meaning import NEWLY_IMPOSSIBLE, NEWLY_POSSIBLE, OTHER, compare, sends_outside
from routing.engine.reach import Space
from tests.engine.cases import EXAMPLE, backend, compiled, example_fleet, fleet, rule, small, to
from tests.engine.test_laws import ANY, CONDITIONS, FACTS, OUTCOMES, ROUTES, fleets
from tests.engine.test_reach import KINDS, every_request, tree

FLEET = fleet(
    backend("small", "slm"),
    backend("large"),
    backend("outside", boundary="public"),
    backend("elsewhere", boundary="public"),
)
STRICT = {"data_class": {"in": ["confidential", "restricted"]}}
HOLD = {"hold": {"queue": "q", "hold_s": 5, "on_timeout": "refuse"}}


def meaning(old, new, backends=FLEET, **more):
    return compare(parse_policy(old), parse_policy(new), backends, **more)


def only(old, new, **more):
    (change,) = meaning(old, new, **more).changes
    return change


def first_match(version, request):
    return next((r.id for r in version.rules if r.check(request) is None), "default")


# brute force


def random_pair(seed):
    """Two policies that share most rules: one removed, one moved, one given another condition."""
    pick = random.Random(seed)
    kinds = pick.sample(KINDS, 3)
    targets = ("small", "large", "outside")
    old = [rule(f"r{n}", tree(pick, kinds, 2), to(pick.choice(targets))) for n in range(5)]
    new = copy.deepcopy(old)
    del new[pick.randrange(len(new))]
    new.insert(pick.randrange(len(new)), new.pop(pick.randrange(len(new))))
    new[0]["when"] = tree(pick, kinds, 2)
    new[-1]["then"] = to(pick.choice(targets))
    return small(old), small(new)


def tried(old, new):
    """Every pair of rules with different outcomes that some request meets, by trying them all."""
    both = [compile_policy(parse_policy(source), number=1, digest="") for source in (old, new)]
    conditions = [one.condition for version in both for one in version.rules]
    space = Space(both[0].policy.registry, conditions)
    then = [
        {r["id"]: r["then"] for r in [*source["rules"], {"id": "default", **source["default"]}]}
        for source in (old, new)
    ]
    pairs = set()
    for request in every_request(space):
        before, after = (first_match(version, request) for version in both)
        if then[0][before] != then[1][after]:
            pairs.add((before, after))
    return pairs


@pytest.mark.parametrize("seed", range(40))
def test_the_pairs_are_those_that_brute_force_finds(seed):
    old, new = random_pair(seed)
    found = {(one.old_rule, one.new_rule) for one in meaning(old, new).changes}
    assert found == tried(old, new)


@pytest.mark.parametrize("seed", range(40))
def test_a_witness_takes_both_ways_when_it_is_decided(seed):
    old, new = random_pair(seed)
    versions = [compile_policy(parse_policy(source), number=1, digest="") for source in (old, new)]
    for change in meaning(old, new).changes:
        taken = tuple(first_match(version, change.witness) for version in versions)
        assert taken == (change.old_rule, change.new_rule)


@pytest.mark.parametrize("seed", range(20))
def test_a_policy_means_the_same_as_itself(seed):
    old, _ = random_pair(seed)
    assert meaning(old, old).changes == ()


def test_the_example_means_the_same_as_itself_with_all_its_sections():
    assert compare(parse_policy(EXAMPLE), parse_policy(EXAMPLE), example_fleet()).changes == ()


SECTIONS = {
    "fallbacks": {"failure": {"alpha": ["beta"]}, "context_window": ["delta"]},
    "session": {"sticky": True, "may_rise": True},
}
# Beside the rules: a failed signal and a used-up cap are read by rule, not by meaning.
PLAIN_FACTS = FACTS.map(
    lambda one: replace(
        one, classifier_failed=False, failed_signals=frozenset(), capped_rules=frozenset()
    )
)


@st.composite
def two_policies(draw):
    rules = st.lists(st.tuples(CONDITIONS, OUTCOMES), max_size=3)
    shared, before, after = draw(rules), draw(rules), draw(rules)
    default = draw(ROUTES)
    return [
        small(
            [rule(f"r{n}", when, then) for n, (when, then) in enumerate(whens)], default, **SECTIONS
        )
        for whens in (shared + before, draw(st.permutations(shared)) + after)
    ]


@ANY
@given(two_policies(), PLAIN_FACTS, fleets())
def test_two_policies_without_a_change_decide_every_request_alike(sources, facts, backends):
    old, new = (compiled(source) for source in sources)
    found = compare(old.policy, new.policy, backends)
    before, after = (decide(one, facts, backends) for one in (old, new))
    same = (before.action, before.backend, before.plan) == (after.action, after.backend, after.plan)
    assert same or found.changes


@ANY
@given(two_policies(), fleets())
def test_a_policy_compared_with_itself_has_no_change(sources, backends):
    policy = parse_policy(sources[0])
    found = compare(policy, parse_policy(sources[0]), backends)
    assert (found.changes, found.is_complete) == ((), True)


# what is said


def test_data_that_may_now_leave_is_newly_possible_and_named():
    old = small([rule("strict", STRICT, to("large"))], to("outside"))
    new = small([rule("strict", STRICT, to("outside"))], to("outside"))
    change = only(old, new)
    assert change.kind == NEWLY_POSSIBLE
    assert change.words.startswith(
        "Restricted and confidential data may now reach the public backend outside"
    )
    assert change.loosens_boundary and change.touches_restricted
    assert change.witness["data_class"] == "restricted"


def test_the_way_back_inside_is_newly_impossible_and_loosens_nothing():
    old = small([rule("strict", STRICT, to("outside"))])
    change = only(old, small([rule("strict", STRICT, to("large", tier="llm"))]))
    assert (change.kind, change.loosens_boundary) == (NEWLY_POSSIBLE, False)
    change = only(old, small([rule("strict", STRICT, {"refuse": True})]))
    assert (change.kind, change.loosens_boundary) == (NEWLY_IMPOSSIBLE, False)
    assert "is now refused" in change.words


def test_a_rule_in_front_that_keeps_restricted_data_keeps_it_out_of_the_diff():
    guard = rule("guard", {"data_class": {"eq": "restricted"}}, to("large"))
    old = small([guard, rule("few", {"turns": {"lt": 3}}, to("small"))])
    new = small([guard, rule("few", {"turns": {"lt": 5}}, to("small"))])
    change = only(old, new)
    assert (change.old_rule, change.new_rule) == ("default", "few")
    assert not change.touches_restricted
    assert change.classes == ("confidential", "internal", "public")
    assert 3 <= change.witness["turns"] < 5


def test_classes_under_that_of_the_route_are_not_spoken_of():
    old, new = small([]), small([], to("small", tier="slm"))
    assert only(old, new, floor="confidential").classes == ("restricted", "confidential")


def test_a_removed_hold_is_newly_possible():
    old = small([rule("ask", {"turns": {"gt": 3}}, HOLD)])
    change = only(old, small([]))
    assert change.removes_hold and change.kind == NEWLY_POSSIBLE
    assert "no longer held" in change.words


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (HOLD, {"hold": {**HOLD["hold"], "cap_pct": 3, "over_cap": "refuse"}}),
        (to("large", on_no_target="hold"), to("large", on_no_target="refuse")),
    ],
)
def test_a_hold_that_comes_less_often_counts_as_removed(before, after):
    when = {"turns": {"gt": 3}}
    old, new = small([rule("ask", when, before)]), small([rule("ask", when, after)])
    assert only(old, new).removes_hold
    assert not only(new, old).removes_hold


def test_doubt_that_no_longer_ends_with_a_person_is_a_removed_hold():
    terms = {
        "confidence": {"signal": "verifier", "accept_gte": 0.5},
        "on_uncertain": "escalate",
        "to": ["large"],
    }
    rules = [rule("few", {"turns": {"lt": 3}}, to("small", tier="slm"))]
    old = small(rules, escalation={"slm": {**terms, "then": "hold"}})
    new = small(rules, escalation={"slm": {**terms, "then": "accept"}})
    assert only(old, new).removes_hold


def test_a_fallback_to_another_backend_is_new_access_under_the_same_rule():
    old = small([], to("outside"))
    new = small([], to("outside"), fallbacks={"failure": {"outside": ["elsewhere"]}})
    change = only(old, new)
    assert change.loosens_boundary and "elsewhere" in change.words


def test_a_fallback_that_is_never_taken_is_no_access():
    old = small([], to("large"))
    new = small([], to("large"), fallbacks={"failure": {"large": ["outside"]}})
    assert not any(change.loosens_boundary for change in meaning(old, new).changes)


def test_an_ended_invariant_loosens_a_boundary():
    stated = [{"forbid": {"data_class": {"in": ["restricted"]}, "boundary": {"in": ["public"]}}}]
    change = only(small([], invariants=stated), small([]))
    assert change.loosens_boundary and change.witness is None


def test_another_limit_only_is_neither_new_nor_lost():
    old, new = small([]), small([], to("large", deadline_ms=900))
    assert only(old, small([], {**new["default"]["then"], "deadline_ms": 900})).kind == OTHER


def test_the_way_out_of_a_failed_classifier_is_compared_class_by_class():
    old = small([], on_classifier_failure={"default": {"route": {"targets": ["large"]}}})
    new = small([], on_classifier_failure={"default": {"route": {"targets": ["outside"]}}})
    found = meaning(old, new, floor="confidential").changes
    assert {one.classes for one in found} == {("restricted",), ("confidential",)}
    assert all(one.classifier_failed and one.loosens_boundary for one in found)
    assert all(one.loosens_boundary for one in meaning(small([]), new).changes)


def test_what_comes_after_a_rule_that_hands_on_is_compared_too():
    wide = rule("wide", {"turns": {"gte": 0}}, to("small", on_no_target="next"))
    old = small([wide, rule("after", {"turns": {"gte": 0}}, to("large"))])
    new = small([wide, rule("after", {"turns": {"gte": 0}}, to("outside"))])
    change = only(old, new)
    assert change.after_passing and change.loosens_boundary
    assert meaning(old, old).changes == ()


def test_a_rule_that_only_serves_what_another_handed_on_is_missed_when_it_goes():
    first = rule("first", {"turns": {"gte": 0}}, to("small", on_no_target="next"))
    second = rule("second", {"turns": {"gte": 2}}, to("outside", on_no_target="next"))
    old, new = small([first, second]), small([first])
    change = only(old, new)
    assert (change.old_rule, change.new_rule, change.after_passing) == ("second", "default", True)
    assert only(new, old).loosens_boundary


def test_rules_that_hand_on_and_do_the_same_are_no_change():
    rules = [
        rule(f"r{n}", {"turns": {"gte": n}}, to("small", on_no_target="next")) for n in range(4)
    ]
    assert meaning(small(rules), small(rules)).changes == ()


def test_what_is_newly_possible_comes_first_and_wider_boundaries_first_of_all():
    few, many = {"turns": {"lt": 3}}, {"turns": {"gte": 3}}
    old = small([rule("few", few, to("outside")), rule("many", many, to("large"))])
    new = small([rule("few", few, {"refuse": True}), rule("many", many, to("outside"))])
    assert [one.kind for one in meaning(old, new).changes] == [NEWLY_POSSIBLE, NEWLY_IMPOSSIBLE]


def test_a_signal_that_is_declared_otherwise_makes_the_comparison_incomplete():
    def declared(kind):
        name, test = "metadata.desk", {"present": True}
        rules = [rule("desk", {name: test}, to("small"))]
        return small(rules, signals={name: {"type": kind, "sentence": "The desk."}})

    assert meaning(declared("bool"), declared("bool")).is_complete
    assert not meaning(declared("bool"), declared("tags")).is_complete


def test_a_first_policy_that_can_send_outside_is_known():
    assert sends_outside(parse_policy(small([], to("outside"))), FLEET)
    assert not sends_outside(parse_policy(small([])), FLEET)


def test_one_changed_rule_among_two_hundred_is_found_without_comparing_them_all():
    rules = [rule(f"r{n}", {"prompt_tokens": {"eq": n}}, to("small")) for n in range(199)]
    old, new = small(rules), small([*rules[:100], {**rules[100], "then": to("large")}])
    new["rules"] += rules[101:]
    found = meaning(old, new)
    assert found.is_complete
    assert [(one.old_rule, one.new_rule) for one in found.changes] == [("r100", "r100")]
