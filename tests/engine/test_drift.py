from __future__ import annotations

import random
from decimal import Decimal

import pytest

from routing.engine.drift import SHIFTED, STEADY, TOO_FEW, compare, stability_index, verdict_of

REFERENCE = {
    "prompts": 1_000,
    "numbers": {"gain": {"edges": [0.0, 0.05, 0.1], "shares": [0.25, 0.25, 0.25, 0.25]}},
    "labels": {"unfamiliar": {"false": 0.96, "true": 0.04}, "language": {"en": 0.9, "none": 0.1}},
}


def request(gain, unfamiliar=False, language="en"):
    found = {"gain": Decimal(str(gain)), "unfamiliar": unfamiliar}
    return found | ({"language": language} if language else {})


def like_training(count, seed=1):
    chance = random.Random(seed)
    return [
        request(
            chance.choice((-0.1, 0.03, 0.07, 0.2)),
            chance.random() < 0.04,
            "en" if chance.random() < 0.9 else None,
        )
        for _ in range(count)
    ]


def by_name(signals):
    return {one.name: one for one in compare(REFERENCE, signals)}


def test_index_is_the_one_of_the_books():
    # (.4 - .5) ln(.4/.5) + (.6 - .5) ln(.6/.5)
    assert stability_index([0.5, 0.5], [0.4, 0.6]) == pytest.approx(0.0405465, abs=1e-6)
    assert stability_index([0.5, 0.5], [0.5, 0.5]) == 0


def test_requests_like_the_training_prompts_are_steady():
    found = by_name(like_training(600))
    assert {one.verdict for one in found.values()} == {STEADY}
    assert {one.requests for one in found.values()} == {600}


def test_a_value_on_an_edge_counts_below_it_as_in_training():
    (gain, *_) = compare(REFERENCE, [request(0.05)] * 200)
    assert [late for _, _, late in gain.bins] == [0, 1, 0, 0]


def test_only_the_quantity_that_moved_has_shifted():
    moved = [one | {"gain": Decimal("0.3")} for one in like_training(600)]
    found = by_name(moved)
    assert found["gain"].verdict == SHIFTED
    assert found["unfamiliar"].verdict == found["language"].verdict == STEADY
    assert verdict_of(list(found.values())) == SHIFTED


def test_a_language_that_training_never_saw_is_a_shift():
    german = [one | {"language": "de"} for one in like_training(300)]
    assert by_name(german)["language"].verdict == SHIFTED


def test_few_requests_get_no_verdict_but_their_number():
    found = by_name(like_training(199))
    assert {one.verdict for one in found.values()} == {TOO_FEW}
    assert {one.requests for one in found.values()} == {199}
    assert verdict_of(list(found.values())) == TOO_FEW


def test_signals_that_were_not_recorded_are_not_counted():
    found = by_name([{"language": "en"}] * 300)
    assert found["gain"].requests == 0 and found["gain"].verdict == TOO_FEW
    assert found["language"].requests == 300


def test_chance_alone_hardly_ever_shifts_a_small_set():
    small = REFERENCE | {"prompts": 60}
    chance = random.Random(7)
    alarms = 0
    for seed in range(200):
        # What a training of 60 prompts would have kept, and 200 requests of the same kind.
        drawn = [chance.randrange(4) for _ in range(60)]
        shares = [drawn.count(place) / 60 for place in range(4)]
        kept = small | {"numbers": {"gain": {"edges": [0.0, 0.05, 0.1], "shares": shares}}}
        (gain, *_) = compare(kept, like_training(200, seed))
        alarms += gain.verdict == SHIFTED
    assert alarms <= 2
