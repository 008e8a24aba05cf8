from __future__ import annotations

import importlib.util
import os
import random
from pathlib import Path

import numpy as np
import pytest

from routing.engine import curve
from routing.engine.curve import Outcome

TOOL = (
    Path(os.environ.get("SIGNALBOX_DATA_DIR", Path(__file__).parents[3] / "shared" / "data")).parent
    / "tools"
    / "score_router.py"
)


@pytest.fixture(scope="module")
def published():
    """The field's own arithmetic, on numpy."""
    if not TOOL.exists():
        pytest.skip(f"the field's scorer is not at {TOOL}")
    spec = importlib.util.spec_from_file_location("score_router", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def some_outcomes(seed, count=237, steps=10_000):
    """`steps` small makes many ties."""
    chance = random.Random(seed)
    return [
        Outcome(
            score=(fails := chance.randrange(steps) / steps),
            small=float(chance.random() < 0.6 - 0.3 * fails),
            large=chance.choice([1.0, 1.0, 0.5, 0.0]),
            fails=fails,
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("steps", [7, 10_000])
def test_metrics_agree_with_the_published_arithmetic(published, seed, steps):
    outcomes = some_outcomes(seed, steps=steps)
    score, small, large = (np.array([one[at] for one in outcomes]) for at in range(3))
    theirs = published.metrics(score, small, large)
    ours = curve.metrics(outcomes)
    renamed = {
        "apgr_rl10": "apgr_of_deciles",
        "pgr_at_20pct_large": "pgr_at_20",
        "pgr_at_40pct_large": "pgr_at_40",
    }
    shared = {renamed.get(name, name): value for name, value in theirs.items()}
    shared.pop("max_pgr")
    assert {name: ours[name] for name in shared} == pytest.approx(shared, abs=1e-9)


def test_random_scores_recover_half_of_the_gap():
    chance = random.Random(5)
    outcomes = [Outcome(chance.random(), float(n % 2), 1.0) for n in range(20_000)]
    assert curve.apgr(outcomes) == pytest.approx(0.5, abs=0.02)


def test_perfect_order_sends_only_what_gains():
    outcomes = [Outcome(1.0, 0.0, 1.0)] * 20 + [Outcome(0.0, 1.0, 1.0)] * 80
    recovered = curve.pgr(curve.curve(outcomes))
    assert curve.cpt(recovered, 0.8) == pytest.approx(0.16)
    assert curve.apgr(outcomes) == pytest.approx(0.9)


def test_equal_scores_are_a_straight_line_whatever_their_order():
    outcomes = [Outcome(0.0, float(n % 3 > 0), 1.0) for n in range(30)]
    assert curve.apgr(outcomes) == pytest.approx(0.5)
    assert curve.apgr(outcomes[::-1]) == pytest.approx(0.5)


def test_models_of_equal_quality_have_no_gap_to_recover():
    outcomes = [Outcome(n / 10, 1.0, 1.0) for n in range(10)]
    found = curve.metrics(outcomes)
    assert found["apgr"] is None and found["cpt50"] is None and found["auroc_large_wins"] is None


def test_intervals_hold_the_value_and_narrow_with_more_requests():
    few, many = some_outcomes(1, 200), some_outcomes(1, 3_000)
    widths = []
    for outcomes in (few, many):
        chance = random.Random(3)
        draws = []
        for _ in range(60):
            counts = [0] * len(outcomes)
            for at in chance.choices(range(len(outcomes)), k=len(outcomes)):
                counts[at] += 1
            draws.append(counts)
        low, high = curve.intervals(outcomes, draws)["apgr"]
        assert low < curve.apgr(outcomes) < high
        widths.append(high - low)
    assert widths[1] < widths[0]
