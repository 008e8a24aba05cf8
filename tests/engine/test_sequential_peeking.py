"""What happens under peeking, by simulation: the promise of the tests, and that it costs little.

Each history is looked at hundreds of times, and the first look that says yes counts. The peeked
z-test runs beside it on the same histories: a simulation that could not see it fail would be blind.
"""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special

from routing.engine import sequential

ALPHA, HORIZON, EVERY = 0.05, 20_000, 50
LOOKS = np.arange(EVERY, HORIZON + 1, EVERY)


def histories(worse, better, *, runs, seed, horizon=HORIZON, every=EVERY):
    """Cumulative counts of worse and better pairs at each look: arrays of runs x looks."""
    chance = np.random.default_rng(seed)
    rest = 1 - worse - better
    blocks = chance.multinomial(every, [worse, better, rest], size=(runs, horizon // every))
    counts = blocks.cumsum(axis=1)
    return counts[..., 0], counts[..., 1]


def evidence(b, c, n, margin):
    """`sequential.log_e_noninferior` on arrays; a test below holds them together."""
    bets = np.array(sequential.bets(0.95 / (1 - margin)))
    up, down, tie = (
        np.log1p(bets * (1 + margin)),
        np.log1p(bets * (margin - 1)),
        np.log1p(bets * margin),
    )
    best = np.full(b.shape, -np.inf)
    total = np.zeros(b.shape)
    for u, d, t in zip(up, down, tie, strict=True):
        term = b * d + c * u + (n - b - c) * t
        higher = np.maximum(best, term)
        total = total * np.exp(best - higher) + np.exp(term - higher)
        best = higher
    return best + np.log(total) - np.log(len(bets))


def ever(decided):
    return decided.any(axis=1).mean()


def first_n(decided, looks=LOOKS):
    reached = decided.any(axis=1)
    return np.median(looks[decided[reached].argmax(axis=1)])


def z_says_noninferior(b, c, n, margin):
    mean = (c - b) / n
    variance = (b + c) / n - mean**2
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (mean + margin) / np.sqrt(variance / n)
    return z > 1.6449


def test_the_simulated_evidence_is_the_products():
    b, c = histories(0.05, 0.03, runs=5, seed=1)
    found = evidence(b, c, LOOKS, 0.02)
    for run, look in [(0, 0), (2, 17), (4, 399)]:
        assert found[run, look] == pytest.approx(
            sequential.log_e_noninferior(
                int(b[run, look]), int(c[run, look]), int(LOOKS[look]), 0.02
            )
        )


@pytest.mark.parametrize(
    ("worse", "better", "margin"),
    [(0.02, 0.0, 0.02), (0.01, 0.0, 0.01), (0.05, 0.03, 0.02), (0.22, 0.20, 0.02)],
    ids=["rare and one-sided", "rarer", "five to three", "much disagreement"],
)
def test_noninferiority_is_rarely_declared_at_its_boundary(worse, better, margin):
    b, c = histories(worse, better, runs=1500, seed=20)
    wrong = ever(evidence(b, c, LOOKS, margin) >= -np.log(ALPHA))
    assert wrong <= ALPHA


def test_a_peeked_z_test_breaks_its_promise_on_the_same_histories():
    b, c = histories(0.05, 0.03, runs=1500, seed=20)
    assert ever(z_says_noninferior(b, c, LOOKS, 0.02)) > 0.38
    assert ever(evidence(b, c, LOOKS, 0.02) >= -np.log(ALPHA)) <= ALPHA


@pytest.mark.parametrize(
    ("discordant", "margin", "median"),
    [(0.01, 0.02, 430), (0.04, 0.02, 1020), (0.08, 0.02, 1635), (0.20, 0.05, 670)],
)
def test_an_equal_candidate_is_found_in_time(discordant, margin, median):
    b, c = histories(discordant / 2, discordant / 2, runs=600, seed=7)
    decided = evidence(b, c, LOOKS, margin) >= -np.log(ALPHA)
    assert ever(decided) > 0.98
    assert first_n(decided) == pytest.approx(median, rel=0.15)


def test_a_worse_candidate_is_told():
    """Five points worse against a margin of two."""
    b, c = histories(0.09, 0.04, runs=300, seed=11)
    bets = np.array(sequential.bets(0.95 / 1.02))
    terms = [
        b * np.log1p(x * 0.98) + c * np.log1p(-x * 1.02) + (LOOKS - b - c) * np.log1p(-x * 0.02)
        for x in bets
    ]
    decided = (np.logaddexp.reduce(terms, axis=0) - np.log(len(bets))) >= -np.log(ALPHA)
    assert ever(decided) > 0.99
    assert ever(evidence(b, c, LOOKS, 0.02) >= -np.log(ALPHA)) <= ALPHA


def walk(rate, *, runs, horizon, seed):
    chance = np.random.default_rng(seed)
    return chance.binomial(1, rate, size=(runs, horizon)).cumsum(axis=1)


def crossing(log_e, horizon, threshold):
    """The fewest events that reach the threshold after each trial."""
    found, events = np.empty(horizon, dtype=int), 0
    for trials in range(1, horizon + 1):
        while events <= trials and log_e(events, trials) < threshold:
            events += 1
        found[trials - 1] = events
    return found


def test_direction_keeps_its_promise_where_mcnemar_does_not():
    horizon = 1000
    heads = walk(0.5, runs=2000, horizon=horizon, seed=5)
    needed = crossing(lambda k, n: sequential.log_e_direction(k, n - k), horizon, -np.log(ALPHA))
    assert ever(heads >= needed) <= ALPHA
    mcnemar = crossing(
        lambda k, n: -np.log(sequential.exact_mcnemar(k, n - k)) if 2 * k > n else 0.0,
        horizon,
        -np.log(ALPHA),
    )
    tails = np.arange(1, horizon + 1) - heads
    assert ever((heads >= mcnemar) | (tails >= mcnemar)) > 0.15


@pytest.mark.parametrize(("share", "median"), [(0.65, 68), (0.80, 14)])
def test_a_direction_is_found(share, median):
    needed = crossing(lambda k, n: sequential.log_e_direction(k, n - k), 1000, -np.log(ALPHA))
    decided = walk(share, runs=1000, horizon=1000, seed=6) >= needed
    assert ever(decided) > 0.99
    assert first_n(decided, np.arange(1, 1001)) == pytest.approx(median, rel=0.3)


def test_a_ceiling_stops_what_is_above_it_and_seldom_what_is_not():
    horizon = 3000
    needed = crossing(lambda k, n: sequential.log_e_ceiling(k, n, 0.02), horizon, -np.log(0.01))
    assert ever(walk(0.02, runs=2000, horizon=horizon, seed=8) >= needed) <= 0.01
    bad = walk(0.20, runs=500, horizon=horizon, seed=9) >= needed
    assert ever(bad) == 1.0
    assert first_n(bad, np.arange(1, horizon + 1)) < 60


def test_a_sample_ratio_is_trusted_when_true_and_found_when_false():
    share, looks = 0.10, np.arange(100, 20_001, 100)
    threshold = -np.log(0.001)

    def evidence_of(rate, runs, seed):
        """As `sequential.log_e_sample_ratio`, which another test holds to scipy's beta mixture."""
        chance = np.random.default_rng(seed)
        treated = chance.binomial(100, rate, size=(runs, len(looks))).cumsum(axis=1)
        mixture = special.betaln(10 + treated, 90 + looks - treated) - special.betaln(10, 90)
        return mixture - treated * np.log(share) - (looks - treated) * np.log(1 - share)

    assert ever(evidence_of(0.10, 10_000, 3) >= threshold) <= 0.001
    found = evidence_of(0.12, 500, 4) >= threshold
    assert ever(found) > 0.95
    assert first_n(found, looks) == pytest.approx(3750, rel=0.2)


def test_two_arms_keep_their_promise_and_find_harm():
    chance = np.random.default_rng(12)
    every, looks = 100, 100

    def wrong(p_treated, p_base, runs):
        found = 0
        for _ in range(runs):
            treated = chance.binomial(every, p_treated, looks).cumsum()
            base = chance.binomial(every * 9, p_base, looks).cumsum()
            found += any(
                (
                    d := sequential.difference_of(
                        sequential.Arm(events=int(t), trials=every * (at + 1)),
                        sequential.Arm(events=int(b), trials=every * 9 * (at + 1)),
                        0.05,
                    )
                )
                is not None
                and d.low > 0
                for at, (t, b) in enumerate(zip(treated, base, strict=True))
            )
        return found / runs

    assert wrong(0.02, 0.02, 300) <= 0.05
    assert wrong(0.06, 0.02, 60) > 0.95
