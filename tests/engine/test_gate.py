from __future__ import annotations

import random

import pytest

from routing.engine import gate
from routing.engine.canonical import encode
from routing.engine.checks import FAIL, INCONCLUSIVE, NAMES, PASS, Terms
from tests.engine.evidence_of import GOOD, counts, evidence


def named(judgement, name):
    return next(check for check in judgement.checks if check.name == name)


def test_a_better_candidate_passes_every_check():
    found = gate.judge(evidence())
    assert {check.name: check.verdict for check in found.checks} == dict.fromkeys(NAMES, PASS)
    assert found.verdict == PASS
    assert not found.standing


@pytest.mark.parametrize(
    ("missing", "checks"),
    [
        ("counts", {"quality", "format", "unsafe", "slo"}),
        ("segments", {"segments"}),
        ("cost", {"cost"}),
        ("reviewers", {"reviewers"}),
        ("boundary", {"boundary"}),
        ("eval_set", {"eval_set"}),
        ("backtest", {"backtest"}),
    ],
)
def test_what_is_missing_never_passes(missing, checks):
    found = gate.judge(evidence(**{missing: None}))
    assert {check.name for check in found.standing} == checks
    assert {check.verdict for check in found.standing} == {INCONCLUSIVE}
    assert found.verdict == INCONCLUSIVE


def test_nothing_at_all_passes_nothing():
    empty = {name: GOOD[name] for name in ("schema", "terms")}
    empty["window"] = {"since": "", "until": "", "days": 0}
    empty["pairs"] = {"decided": 0, "compared": 0, "sampled": 0, "dropped": {}}
    found = gate.judge(empty)
    assert {check.verdict for check in found.checks} == {INCONCLUSIVE}


def test_five_points_worse_fails_quality_and_fails_the_gate():
    worse = {"worse": 270, "better": 120, "pairs": 3000}
    found = gate.judge(evidence(counts=counts(quality=worse)))
    assert named(found, "quality").verdict == FAIL
    assert "worse 270" in named(found, "quality").sentence
    assert found.verdict == FAIL
    assert found.standing[0].name == "quality"


def test_too_few_pairs_say_how_many_more_and_when():
    few = {"worse": 4, "better": 4, "pairs": 100}
    pairs = {"decided": 900, "compared": 100, "sampled": 100, "dropped": {}}
    window = {**GOOD["window"], "days": 10}
    found = gate.judge(evidence(counts=counts(quality=few), pairs=pairs, window=window))
    quality = named(found, "quality")
    assert quality.verdict == INCONCLUSIVE
    assert quality.more_pairs == 2570 - 100
    assert quality.more_days == 247
    assert named(found, "window").more_pairs == 200
    assert named(found, "window").more_days == 20


def test_a_week_is_needed_however_many_pairs_there_are():
    window = {**GOOD["window"], "days": 6.9}
    found = gate.judge(evidence(window=window))
    assert [check.name for check in found.standing] == ["window"]
    assert named(found, "window").more_days == 1


def test_more_than_a_fifth_dropped_is_inconclusive():
    pairs = {**GOOD["pairs"], "dropped": {"shed": 700}}
    found = gate.judge(evidence(pairs=pairs))
    assert [check.name for check in found.standing] == ["coverage"]
    assert "because of shed" in named(found, "coverage").sentence


def test_an_average_cannot_hide_a_harmed_client():
    harmed = {"by": "client", "name": "claims", "counts": {"worse": 60, "better": 2, "pairs": 200}}
    found = gate.judge(evidence(segments=[*GOOD["segments"], harmed]))
    assert named(found, "quality").verdict == PASS
    assert named(found, "segments").verdict == FAIL
    assert named(found, "segments").sentence.startswith("Client claims")


def test_a_small_segment_is_not_judged():
    small = {"by": "client", "name": "claims", "counts": {"worse": 60, "better": 2, "pairs": 99}}
    assert gate.judge(evidence(segments=[*GOOD["segments"], small])).verdict == PASS


def test_dearer_than_allowed_fails():
    dear = {"levels": {"30": 2000, "0": 1000}, "scale_usd": 0.01, "limit": 0.01}
    assert named(gate.judge(evidence(cost=dear)), "cost").verdict == FAIL


def test_too_much_work_for_reviewers_fails():
    load = {"projected_per_day": 50, "capacity_per_day": 60}
    assert named(gate.judge(evidence(reviewers=load)), "reviewers").verdict == FAIL


def test_a_violation_fails_and_no_waiver_helps():
    proof = {"violations": ["The fallback reaches outside."], "observed": 0}
    waiver = {"check": "boundary", "by": "sam", "reason": "x", "expires": "2027-01-01"}
    found = gate.judge(evidence(boundary=proof, waivers=[waiver]))
    assert found.verdict == FAIL
    assert named(found, "boundary").sentence == "The fallback reaches outside."


def test_a_waiver_answers_for_what_is_missing_not_for_what_is_bad():
    waiver = {"check": "eval_set", "by": "petra", "reason": "No set yet", "expires": "2027-01-01"}
    missing = gate.judge(evidence(eval_set=None, waivers=[waiver]))
    assert missing.verdict == PASS
    assert missing.uses_waiver
    assert named(missing, "eval_set").verdict == INCONCLUSIVE
    bad = {"name": "mmlu@1", "counts": {"worse": 400, "better": 10, "pairs": 2000}}
    assert gate.judge(evidence(eval_set=bad, waivers=[waiver])).verdict == FAIL


def test_an_unused_waiver_is_not_used():
    waiver = {"check": "eval_set", "by": "petra", "reason": "No set yet", "expires": "2027-01-01"}
    assert not gate.judge(evidence(waivers=[waiver])).uses_waiver


def test_zero_unsafe_answers_say_only_three_in_n():
    assert "only says at most 0.1 %" in named(gate.judge(evidence()), "unsafe").sentence


def test_frozen_evidence_verifies_and_a_changed_count_does_not():
    frozen = evidence()
    frozen["judgement"] = gate.judge(frozen).as_json()
    assert gate.verify(frozen) == []
    frozen["counts"]["quality"]["worse"] = 400
    problems = gate.verify(frozen)
    assert any(line.startswith("quality: frozen as pass, recomputed as fail") for line in problems)


def test_a_changed_verdict_does_not_verify():
    frozen = evidence(eval_set=None)
    frozen["judgement"] = gate.judge(frozen).as_json() | {"verdict": "pass"}
    assert gate.verify(frozen) == ["the whole: frozen as pass, recomputed as inconclusive"]


def test_a_judgement_has_canonical_bytes():
    chance = random.Random(5)
    for _ in range(60):
        pairs = chance.randrange(1, 9000)
        worse = chance.randrange(pairs + 1)
        some = {"worse": worse, "better": chance.randrange(pairs - worse + 1), "pairs": pairs}
        given = evidence(counts=counts(quality=some, unsafe=some))
        first, second = (encode(gate.judge(given).as_json()) for _ in range(2))
        assert first == second


@pytest.mark.parametrize(
    "terms",
    [{"alpha": 0}, {"alpha": 5}, {"min_days": 1.5}, {"min_days": True}, {"speed": 1}],
)
def test_terms_that_are_none_are_refused(terms):
    with pytest.raises(ValueError, match=r"must|share|whole|term"):
        Terms.of(terms)


def test_other_forms_of_evidence_are_refused():
    with pytest.raises(ValueError, match="no evidence"):
        gate.judge({"schema": "something/1"})
