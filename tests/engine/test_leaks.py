"""A leaking policy is refused with a request that takes the leak when it is simulated."""

from __future__ import annotations

from dataclasses import replace

import pytest

from routing.engine import leaks
from routing.engine.analyse import analyse
from routing.engine.decide import compile_policy
from routing.engine.document import parse_policy
from tests.engine.cases import DAY, NOW, backend, fleet, rule, small, to

FLEET = fleet(
    backend("slim", "slm"),
    backend("large"),
    backend("outside", boundary="public", context_window=64_000),
)
RESTRICTED = {"data_class": {"eq": "restricted"}}
INSIDE = to("large", tier="llm")
BOUNDARY = {"wider_boundary", "public_not_allowed", "invariant"}
TERMS = {
    "confidence": {"signal": "verifier", "accept_gte": 0.5},
    "on_uncertain": "escalate",
    "to": ["outside"],
    "then": "hold",
}
PUBLIC = {"data_class": {"in": ["public", "internal"]}}
FORBID = [{"forbid": {"data_class": {"in": ["restricted"]}, "boundary": {"in": ["public"]}}}]
CAPPED = {"hold": {"queue": "q", "hold_s": 5, "on_timeout": "refuse", "cap_pct": 3}}

# Of each kind: the leaking policy, the same one mended, and the way that the witness takes.
CASES = {
    "a list of fallbacks after a failure": (
        small([rule("r", RESTRICTED, INSIDE)], fallbacks={"failure": {"large": ["outside"]}}),
        small([rule("r", RESTRICTED, INSIDE)], fallbacks={"failure": {"large": ["slim"]}}),
        ("large", "outside"),
    ),
    "a fallback behind another": (
        small(
            [rule("r", RESTRICTED, to("slim"))],
            fallbacks={"failure": {"slim": ["large"], "large": ["outside"]}},
        ),
        small([rule("r", RESTRICTED, to("slim"))], fallbacks={"failure": {"slim": ["large"]}}),
        ("slim", "large", "outside"),
    ),
    "a rule that hands on when its own backend is away": (
        small([rule("r", RESTRICTED, {**INSIDE, "on_no_target": "next"})], to("outside")),
        small(
            [rule("r", RESTRICTED, {**INSIDE, "on_no_target": "refuse"})]
            + [rule("c", {"data_class": {"eq": "confidential"}}, INSIDE)],
            to("outside"),
        ),
        ("outside",),
    ),
    "a rule that raises the class and hands on": (
        small(
            [
                rule("inside", {"data_class": {"in": ["confidential", "restricted"]}}, INSIDE),
                rule(
                    "raises",
                    {"topic": {"eq": "medical"}},
                    {**to("large", data_class="restricted"), "on_no_target": "next"},
                ),
            ],
            to("outside"),
        ),
        small(
            [
                rule("inside", {"data_class": {"in": ["confidential", "restricted"]}}, INSIDE),
                rule(
                    "raises",
                    {"topic": {"eq": "medical"}},
                    {**to("large", data_class="restricted"), "on_no_target": "refuse"},
                ),
            ],
            to("outside"),
        ),
        ("outside",),
    ),
    "a hold that hands on when its cap is reached": (
        small(
            [rule("r", RESTRICTED, {"hold": {**CAPPED["hold"], "over_cap": "next"}})],
            to("outside"),
        ),
        small(
            [
                rule("r", RESTRICTED, {"hold": {**CAPPED["hold"], "over_cap": "refuse"}}),
                rule("c", {"data_class": {"eq": "confidential"}}, INSIDE),
            ],
            to("outside"),
        ),
        ("outside",),
    ),
    "the default": (
        small([rule("r", PUBLIC, INSIDE)], to("outside")),
        small([rule("r", PUBLIC, to("outside"))], INSIDE),
        ("outside",),
    ),
    "an escalation that may cross": (
        small(
            [rule("r", RESTRICTED, to("slim"))],
            escalation={"slm": {**TERMS, "cross_boundary": True}},
        ),
        small([rule("r", RESTRICTED, to("slim"))], escalation={"slm": {**TERMS, "to": ["large"]}}),
        ("slim", "outside"),
    ),
    "an escalation that may not": (
        small([rule("r", RESTRICTED, to("slim"))], escalation={"slm": TERMS}),
        small([rule("r", RESTRICTED, to("slim"))], escalation={"slm": {**TERMS, "to": ["large"]}}),
        ("slim", "outside"),
    ),
    "a fallback for long prompts": (
        small([rule("r", RESTRICTED, INSIDE)], fallbacks={"context_window": ["outside"]}),
        small([rule("r", RESTRICTED, INSIDE)], fallbacks={"context_window": []}),
        ("large", "outside"),
    ),
    "a fallback for refused content": (
        small([rule("r", RESTRICTED, INSIDE)], fallbacks={"content_policy": ["outside"]}),
        small([rule("r", RESTRICTED, INSIDE)], fallbacks={"content_policy": ["slim"]}),
        ("large", "outside"),
    ),
    "a second target": (
        small([rule("r", RESTRICTED, to("large", "outside", tier="llm"))]),
        small([rule("r", RESTRICTED, INSIDE)]),
        ("outside",),
    ),
    "the plan for a failed classifier": (
        small(
            [rule("r", {"gain": {"lte": 0.04}}, to("slim"))],
            on_classifier_failure={"default": to("outside")},
        ),
        small(
            [rule("r", {"gain": {"lte": 0.04}}, to("slim"))],
            on_classifier_failure={"default": INSIDE},
        ),
        ("outside",),
    ),
}


def leaking(source, backends=FLEET):
    findings = analyse(parse_policy(source), backends, now_s=NOW)
    return [one for one in findings if one.code in BOUNDARY]


def walked(source, finding, backends=FLEET):
    policy = compile_policy(parse_policy(source), number=1, digest="")
    listed = leaks.as_listed(policy, finding.scenario, backends, now_s=NOW)
    live = leaks.as_live(policy, finding.scenario, backends, now_s=NOW)
    why = leaks.stops(policy, finding.scenario, backends, listed, now_s=NOW)
    return listed, live, why


@pytest.mark.parametrize("name", CASES)
def test_leak_blocks_with_a_witness_that_takes_it(name):
    source, _, way = CASES[name]
    worst = leaking(source)[0]
    assert worst.blocking and worst.witness == worst.scenario.signals
    listed, live, why = walked(source, worst)
    assert listed.names == way
    assert listed.decision.data_class == "restricted"
    assert listed.steps[-1].boundary == "public"
    assert "outside" not in live.names and why


@pytest.mark.parametrize("name", CASES)
def test_mended_policy_has_no_such_finding(name):
    assert leaking(CASES[name][1]) == []


def test_invariant_is_what_stops_a_backend_that_is_signed_off():
    every = frozenset({"public", "internal", "confidential", "restricted"})
    signed = replace(FLEET["outside"], data_classes=every, signoffs=dict.fromkeys(every, NOW + DAY))
    backends = {**FLEET, "outside": signed}
    source = small([rule("r", RESTRICTED, to("outside"))], invariants=FORBID)
    (finding,) = leaking(source, backends)
    assert finding.code == "invariant"
    listed, live, why = walked(source, finding, backends)
    assert listed.names == ("outside",) and live.names == ()
    assert why == ("An invariant of the policy forbids restricted data on outside.",)


def test_no_more_is_set_aside_than_the_way_needs():
    by_target = leaking(CASES["the default"][0])[0].scenario
    by_fallback = leaking(CASES["a list of fallbacks after a failure"][0])[0].scenario
    assert (by_target.opened, by_target.is_unbounded) == (("outside",), False)
    assert (by_fallback.opened, by_fallback.is_unbounded) == (("outside",), True)


def test_what_is_down_and_what_fails_is_part_of_the_witness():
    handed_on = leaking(CASES["a rule that hands on when its own backend is away"][0])[0]
    assert handed_on.scenario.down == ("large",) and handed_on.scenario.mishaps == ()
    behind = leaking(CASES["a fallback behind another"][0])[0]
    assert behind.scenario.down == () and behind.scenario.mishaps == ("failure", "failure")
    capped = leaking(CASES["a hold that hands on when its cap is reached"][0])[0]
    assert capped.scenario.capped == ("r",)


def test_every_law_that_stops_it_is_named():
    source = CASES["a list of fallbacks after a failure"][0]
    _, live, why = walked(source, leaking(source)[0])
    assert live.steps[-1].backend is None and live.names == ("large",)
    assert why == (
        "A fallback never leaves the private boundary of the first choice, large.",
        "outside may not receive restricted data.",
    )


def test_hop_that_no_request_can_take_still_blocks_and_says_that_there_is_no_way():
    source = small(
        [rule("r", RESTRICTED, INSIDE)],
        fallbacks={"context_window": ["outside"]},
    )
    tiny = {**FLEET, "outside": replace(FLEET["outside"], context_window=1_000)}
    finding = leaking(source, tiny)[0]
    assert finding.blocking and finding.witness is not None and finding.scenario is None
