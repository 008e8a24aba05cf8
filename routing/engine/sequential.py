"""Tests that may be looked at after every request without losing their promise.

Each is an e-process: under its hypothesis the expected evidence never exceeds one, so that it
reaches 1/alpha with a probability of at most alpha, however often one looks and whenever one stops
(Ville). Evidence is returned as its natural logarithm; everything depends on counts alone, so that
one SQL query gives the same number. Nothing here decides what a number means: `gate` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, exp, inf, lgamma, log, log1p, sqrt

GRID = 32
_SMALLEST_BET, _LARGEST_SHARE = 0.002, 0.95
# A bounded difference is counted in so many levels on each side of nothing.
LEVELS = 100
SRM_WEIGHT = 100.0
RHO_N = 5000
FEWEST_EVENTS = 30
# One-sided 5 % and a power of 90 %.
_Z_ALPHA, _Z_POWER = 1.6448536269514722, 1.2815515655446004
# The 90th percentile of the needed number lies above its median.
PLANNING_FACTOR = 1.5


def log_mean_exp(terms: Sequence[float]) -> float:
    """The logarithm of the mean of exponentials, without overflow."""
    top = max(terms)
    if top == -inf:
        return -inf
    return top + log(sum(exp(term - top) for term in terms)) - log(len(terms))


def bets(largest: float, count: int = GRID) -> tuple[float, ...]:
    """Log-spaced stakes from 0.002 to `largest`."""
    step = (log(largest) - log(_SMALLEST_BET)) / (count - 1)
    return tuple(exp(log(_SMALLEST_BET) + step * at) for at in range(count))


def _check(worse: int, better: int, pairs: int, margin: float) -> None:
    if min(worse, better) < 0 or worse + better > pairs:
        raise ValueError("the counts of pairs do not add up")
    if not 0 < margin < 1:
        raise ValueError("the margin lies between 0 and 1")


def log_e_noninferior(worse: int, better: int, pairs: int, margin: float) -> float:
    """Evidence against "the candidate is worse by `margin` or more" from paired outcomes.

    Source: betting on a bounded mean (Waudby-Smith and Ramdas), d of -1, 0 or +1 a pair.
    """
    _check(worse, better, pairs, margin)
    ties = pairs - worse - better
    return log_mean_exp(
        [
            worse * log1p(bet * (margin - 1))
            + better * log1p(bet * (1 + margin))
            + ties * log1p(bet * margin)
            for bet in bets(_LARGEST_SHARE / (1 - margin))
        ]
    )


def log_e_inferior(worse: int, better: int, pairs: int, margin: float) -> float:
    """Evidence against "the candidate is worse by at most `margin`"."""
    _check(worse, better, pairs, margin)
    ties = pairs - worse - better
    return log_mean_exp(
        [
            worse * log1p(bet * (1 - margin))
            + better * log1p(-bet * (1 + margin))
            + ties * log1p(-bet * margin)
            for bet in bets(_LARGEST_SHARE / (1 + margin))
        ]
    )


def reaches(log_e: float, alpha: float) -> bool:
    return log_e >= -log(alpha)


def anytime_p(log_e: float) -> float:
    """The p-value that stays one under any peeking."""
    return min(1.0, exp(-log_e)) if log_e > 0 else 1.0


# direction


def log_e_direction(more: int, fewer: int) -> float:
    """Evidence against "of the pairs that differ, at most half go to `more`".

    A uniform mixture of Bernoulli likelihood ratios over (1/2, 1]: a sequential McNemar test.
    """
    return log_e_ceiling(more, more + fewer, 0.5)


def log_e_ceiling(events: int, trials: int, ceiling: float) -> float:
    """Evidence against "the rate is at most `ceiling`", always on, from a single arm."""
    if not 0 <= events <= trials or not 0 < ceiling < 1:
        raise ValueError("the counts or the ceiling are no rate")
    misses = trials - events
    # The mean over rates p in (ceiling, 1] of (p/c)^events ((1-p)/(1-c))^misses.
    return (
        _log_beta(events + 1, misses + 1)
        + _log_beta_above(ceiling, events + 1, misses + 1)
        - events * log(ceiling)
        - misses * log1p(-ceiling)
        - log1p(-ceiling)
    )


def log_e_sample_ratio(treated: int, units: int, share: float) -> float:
    """Evidence against "a unit is treated with the probability `share`": a Beta mixture."""
    if not 0 <= treated <= units or not 0 < share < 1:
        raise ValueError("the counts or the share are no rate")
    first, second = SRM_WEIGHT * share, SRM_WEIGHT * (1 - share)
    return (
        _log_beta(first + treated, second + units - treated)
        - _log_beta(first, second)
        - treated * log(share)
        - (units - treated) * log1p(-share)
    )


# bounded means


def level_of(difference: float, scale: float) -> int:
    """The level of a difference: clipped to `scale` and rounded up, against the candidate."""
    clipped = max(-1.0, min(1.0, difference / scale))
    return ceil(round(clipped * LEVELS, 9))


def log_e_below(levels: Mapping[int, int], limit: float) -> float:
    """Evidence against "the mean difference is `limit` or more", from counts of levels.

    `limit` is in parts of the scale, from -1 to 1. Rounded up, the mean can only be overstated.
    """
    if not -1 < limit < 1:
        raise ValueError("the limit lies between -1 and 1")
    terms = []
    for bet in bets(_LARGEST_SHARE / (1 - limit)):
        terms.append(
            sum(n * log1p(bet * (limit - level / LEVELS)) for level, n in sorted(levels.items()))
        )
    return log_mean_exp(terms)


def mean_level(levels: Mapping[int, int]) -> float | None:
    count = sum(levels.values())
    return sum(level * n for level, n in levels.items()) / LEVELS / count if count else None


# two arms


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    events: int
    trials: int

    @property
    def rate(self) -> float:
        return self.events / self.trials


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Treated minus baseline, with the interval that holds at every look."""

    value: float
    half_width: float

    @property
    def low(self) -> float:
        return self.value - self.half_width

    @property
    def high(self) -> float:
        return self.value + self.half_width


def difference_of(treated: Arm, baseline: Arm, alpha: float) -> Difference | None:
    """The sequential difference of two rates; None under 30 events in total, where it is no law.

    Source: GrowthBook's sequential half-width, tuned to 5,000 units and kept there.
    """
    if treated.events + baseline.events < FEWEST_EVENTS or not (treated.trials and baseline.trials):
        return None
    count = treated.trials + baseline.trials
    variance = sum(arm.rate * (1 - arm.rate) / arm.trials for arm in (treated, baseline))
    return Difference(
        value=treated.rate - baseline.rate,
        half_width=sqrt(variance * count) * _boundary(count, alpha),
    )


def _boundary(count: int, alpha: float) -> float:
    rho2 = (-2 * log(alpha) + log(1 - 2 * log(alpha))) / RHO_N
    grown = count * rho2 + 1
    return sqrt(2 * grown / (count * count * rho2) * log(sqrt(grown) / alpha))


# what a number of requests can and cannot say


def zero_says_at_most(trials: int) -> float:
    """The rate that no event in `trials` leaves open at 95 %: three in `trials`, no more."""
    return min(1.0, 3 / trials) if trials else 1.0


def pairs_needed(differing: float, margin: float) -> int:
    """How many pairs to plan for, when the share `differing` of them differs and nobody is worse.

    The fixed-n figure at 90 % power, times one and a half: a plan, not a promise.
    """
    fixed = (_Z_ALPHA + _Z_POWER) ** 2 * max(differing, margin / 4) / margin**2
    return ceil(fixed * PLANNING_FACTOR)


# beta functions


def _log_beta(first: float, second: float) -> float:
    return lgamma(first) + lgamma(second) - lgamma(first + second)


def _log_beta_above(x: float, first: float, second: float) -> float:
    """log P(Beta(first, second) > x), also where that is 1e-3000."""
    return _log_beta_below(1 - x, second, first)


def _log_beta_below(x: float, first: float, second: float) -> float:
    if x < (first + 1) / (first + second + 2):
        return _log_small(x, first, second)
    return log1p(-exp(_log_small(1 - x, second, first)))


def _log_small(x: float, first: float, second: float) -> float:
    front = first * log(x) + second * log1p(-x) - _log_beta(first, second) - log(first)
    return front + log(_fraction(x, first, second))


def _fraction(x: float, first: float, second: float) -> float:
    """Lentz's continued fraction of the incomplete beta function (DLMF 8.17.22)."""
    tiny = 1e-300
    upper, lower = 1.0, 1 - (first + second) * x / (first + 1)
    lower = 1 / (lower if abs(lower) > tiny else tiny)
    value = lower
    for at in range(1, 10_000):
        double = first + 2 * at
        for factor in (
            at * (second - at) * x / ((double - 1) * double),
            -(first + at) * (first + second + at) * x / (double * (double + 1)),
        ):
            lower, upper = 1 + factor * lower, 1 + factor / upper
            lower = 1 / (lower if abs(lower) > tiny else tiny)
            upper = upper if abs(upper) > tiny else tiny
            value *= lower * upper
        if abs(lower * upper - 1) < 1e-13:
            break
    return value


# fixed n, not for peeking


def exact_mcnemar(worse: int, better: int) -> float:
    """The exact two-sided McNemar p-value. Fixed n, not for peeking."""
    differing, fewer = worse + better, min(worse, better)
    if not differing:
        return 1.0
    half = log(0.5) * differing
    tail = sum(
        exp(lgamma(differing + 1) - lgamma(k + 1) - lgamma(differing - k + 1) + half)
        for k in range(fewer + 1)
    )
    return min(1.0, 2 * tail)
