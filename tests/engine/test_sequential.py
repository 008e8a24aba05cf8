"""The arithmetic of the sequential tests, beside closed forms, quadrature and scipy."""

from __future__ import annotations

import random
from math import exp, inf, isfinite, log

import numpy as np
import pytest
from scipy import integrate, special, stats

from routing.engine import sequential
from routing.engine.sequential import Arm

ALPHA = 0.05


def by_the_book(worse, better, pairs, margin):
    """The formula of the background, with numpy and logsumexp."""
    lam = np.geomspace(0.002, 0.95 / (1 - margin), 32)
    ties = pairs - worse - better
    terms = (
        worse * np.log1p(lam * (margin - 1))
        + better * np.log1p(lam * (1 + margin))
        + ties * np.log1p(lam * margin)
    )
    return special.logsumexp(terms) - np.log(32)


@pytest.mark.parametrize(
    ("worse", "better", "pairs", "margin"),
    [(0, 0, 0, 0.02), (3, 1, 50, 0.02), (80, 70, 2000, 0.02), (4000, 900, 20_000, 0.005)],
)
def test_noninferiority_is_the_formula(worse, better, pairs, margin):
    expected = by_the_book(worse, better, pairs, margin)
    found = sequential.log_e_noninferior(worse, better, pairs, margin)
    assert found == pytest.approx(expected, abs=1e-9)


def test_evidence_of_a_million_pairs_stays_finite():
    assert isfinite(sequential.log_e_noninferior(0, 500_000, 1_000_000, 0.02))
    assert isfinite(sequential.log_e_inferior(500_000, 0, 1_000_000, 0.02))
    assert isfinite(sequential.log_e_ceiling(900_000, 1_000_000, 0.02))
    assert isfinite(sequential.log_e_direction(500_000, 0))


def test_nothing_seen_is_no_evidence():
    assert sequential.log_e_noninferior(0, 0, 0, 0.02) == pytest.approx(0)
    assert sequential.log_e_ceiling(0, 0, 0.02) == pytest.approx(0)
    assert sequential.log_e_sample_ratio(0, 0, 0.1) == pytest.approx(0)
    assert sequential.anytime_p(0.0) == 1.0


@pytest.mark.parametrize("difference", [-1, 0, 1])
def test_evidence_is_fair_at_the_boundary(difference):
    """At E[d] = -m the expected factor is one: the three outcomes' factors average to one."""
    margin, p_better = 0.02, 0.05
    p_worse = p_better + margin
    single = {
        -1: exp(sequential.log_e_noninferior(1, 0, 1, margin)),
        0: exp(sequential.log_e_noninferior(0, 0, 1, margin)),
        1: exp(sequential.log_e_noninferior(0, 1, 1, margin)),
    }
    mean = p_worse * single[-1] + (1 - p_worse - p_better) * single[0] + p_better * single[1]
    assert mean == pytest.approx(1.0)
    assert single[difference] > 0


@pytest.mark.parametrize("bad", [(-1, 0, 3), (2, 2, 3)])
def test_counts_that_do_not_add_up_are_refused(bad):
    with pytest.raises(ValueError, match="add up"):
        sequential.log_e_noninferior(*bad, 0.02)


@pytest.mark.parametrize(("events", "trials"), [(0, 5), (3, 10), (40, 900), (90, 120), (120, 120)])
@pytest.mark.parametrize("ceiling", [0.02, 0.5])
def test_ceiling_is_the_integral(events, trials, ceiling):
    def ratio(p):
        misses = trials - events
        return exp(
            special.xlogy(events, p / ceiling) + special.xlogy(misses, (1 - p) / (1 - ceiling))
        )

    value, _ = integrate.quad(ratio, ceiling, 1, epsabs=0, epsrel=1e-11, limit=400)
    assert sequential.log_e_ceiling(events, trials, ceiling) == pytest.approx(
        log(value / (1 - ceiling)), abs=1e-6
    )


def test_incomplete_beta_agrees_with_scipy():
    chance = random.Random(3)
    for _ in range(300):
        first, second = chance.uniform(1, 4000), chance.uniform(1, 4000)
        x = chance.uniform(0.001, 0.999)
        expected = special.betainc(first, second, x)
        if 1e-280 < expected < 1:
            found = sequential._log_beta_below(x, first, second)
            assert found == pytest.approx(log(expected), abs=1e-7, rel=1e-7)


def test_sample_ratio_is_the_beta_mixture():
    k, n, share = 130, 1000, 0.1
    expected = stats.betabinom.logpmf(k, n, 10, 90) - stats.binom.logpmf(k, n, share)
    assert sequential.log_e_sample_ratio(k, n, share) == pytest.approx(expected)


def test_levels_round_against_the_candidate():
    assert sequential.level_of(0.0, 1.0) == 0
    assert sequential.level_of(0.001, 1.0) == 1
    assert sequential.level_of(-0.001, 1.0) == 0
    assert sequential.level_of(-0.25, 1.0) == -25
    assert sequential.level_of(7.0, 1.0) == 100
    assert sequential.level_of(-7.0, 1.0) == -100


def test_cost_of_three_levels_is_noninferiority_with_the_signs_turned():
    """A dearer pair is a worse one: the two tests are one on -1, 0 and +1."""
    levels = {100: 30, 0: 900, -100: 40}
    assert sequential.log_e_below(levels, 0.02) == pytest.approx(
        sequential.log_e_noninferior(30, 40, 970, 0.02)
    )


def test_zero_of_n_says_only_three_in_n():
    for n in (300, 3000):
        exact = 1 - 0.05 ** (1 / n)
        assert exact < sequential.zero_says_at_most(n) < exact * 1.01
    assert sequential.zero_says_at_most(0) == 1.0


def test_planning_is_the_fixed_n_figure_and_a_half():
    assert sequential.pairs_needed(0.08, 0.02) == pytest.approx(1713 * 1.5, rel=0.01)
    assert sequential.pairs_needed(0.08, 0.03) == pytest.approx(762 * 1.5, rel=0.01)


def test_two_arms_need_thirty_events():
    assert (
        sequential.difference_of(Arm(events=9, trials=900), Arm(events=9, trials=900), 0.01) is None
    )
    found = sequential.difference_of(Arm(events=90, trials=900), Arm(events=9, trials=900), 0.01)
    assert found.value == pytest.approx(0.09)
    assert found.low > 0


def test_half_width_is_growthbooks():
    treated, base = Arm(events=60, trials=1000), Arm(events=45, trials=1200)
    n, alpha = 2200, 0.05
    rho = np.sqrt((-2 * np.log(alpha) + np.log(1 - 2 * np.log(alpha))) / 5000)
    s2 = n * (0.06 * 0.94 / 1000 + 0.0375 * 0.9625 / 1200)
    half = np.sqrt(s2) * np.sqrt(
        2 * (n * rho**2 + 1) / (n * rho) ** 2 * np.log(np.sqrt(n * rho**2 + 1) / alpha)
    )
    assert sequential.difference_of(treated, base, alpha).half_width == pytest.approx(half)


def test_exact_mcnemar_is_scipys_binomial_test():
    for worse, better in [(3, 9), (40, 41), (0, 7), (120, 80)]:
        expected = stats.binomtest(worse, worse + better, 0.5).pvalue
        assert sequential.exact_mcnemar(worse, better) == pytest.approx(expected)
    assert sequential.exact_mcnemar(0, 0) == 1.0


def test_the_mean_of_nothing_is_minus_infinity():
    assert sequential.log_mean_exp([-inf, -inf]) == -inf
