"""The field's metrics of a router between two models, exactly as they are published.

Definitions: RouteLLM (arXiv 2406.18665, section 3). With r(c) the mean quality when the share c of
requests goes to the large model: PGR(c) = (r(c) - r_small) / (r_large - r_small), APGR is its mean
over c, CPT(x) the smallest c with PGR(c) >= x. Every request is a cut point; requests with equal
scores are sent in expectation, which is a straight line. A metric that has no value is None.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import NamedTuple

_NO_GAP = 1e-12
_NO_GAP_IN_A_SAMPLE = 1e-9
ECE_BINS = 15


class Outcome(NamedTuple):
    """One labelled request: `score` is higher where the large model is wanted, qualities 0 to 1.

    `fails` is the probability that the small model's answer is not good enough, None if unknown.
    """

    score: float
    small: float
    large: float
    fails: float | None = None


class Point(NamedTuple):
    share: float
    quality: float


class Interval(NamedTuple):
    low: float
    high: float


def curve(outcomes: Sequence[Outcome]) -> list[Point]:
    """Mean quality over the share of large calls, from none to all."""
    return _curve(sorted(outcomes, key=lambda one: -one.score))


def _curve(ranked: Sequence[Outcome]) -> list[Point]:
    count = len(ranked)
    base = sum(one.small for one in ranked) / count
    points, sent, gained = [Point(0.0, base)], 0, 0.0
    for _, tied in groupby(ranked, key=lambda one: one.score):
        for one in tied:
            sent += 1
            gained += one.large - one.small
        points.append(Point(sent / count, base + gained / count))
    return points


def pgr(points: Sequence[Point]) -> list[Point]:
    """The share of the gap that is recovered, over the share of large calls; empty without gap."""
    small, gap = points[0].quality, points[-1].quality - points[0].quality
    if abs(gap) <= _NO_GAP:
        return []
    return [Point(point.share, (point.quality - small) / gap) for point in points]


def area(points: Sequence[Point]) -> float:
    return sum(
        (after.quality + before.quality) * (after.share - before.share) / 2
        for before, after in zip(points, points[1:], strict=False)
    )


def apgr(outcomes: Sequence[Outcome]) -> float | None:
    recovered = pgr(curve(outcomes))
    return area(recovered) if recovered else None


def cpt(recovered: Sequence[Point], target: float) -> float | None:
    """The smallest share of large calls that recovers `target` of the gap, by interpolation."""
    before = None
    for point in recovered:
        if point.quality >= target - 1e-12:
            if before is None:
                return 0.0
            step = (target - before.quality) / (point.quality - before.quality)
            return before.share + step * (point.share - before.share)
        before = point
    return None


def at_share(recovered: Sequence[Point], share: float) -> float:
    """The part of the gap that is recovered when `share` of the requests is sent."""
    for before, after in zip(recovered, recovered[1:], strict=False):
        if after.share >= share:
            step = (share - before.share) / (after.share - before.share)
            return before.quality + step * (after.quality - before.quality)
    return recovered[-1].quality


def apgr_of_deciles(outcomes: Sequence[Outcome]) -> float | None:
    """RouteLLM's own figure: thresholds at ten quantiles of the score, and the trapezoid."""
    ordered = sorted(one.score for one in outcomes)
    edges = [_quantile(ordered, step / 10) for step in range(11)]
    count = len(outcomes)
    points = []
    for place, edge in enumerate(edges):
        sent = [one.score >= edge if place < 10 else one.score > edge for one in outcomes]
        chosen = (o.large if up else o.small for o, up in zip(outcomes, sent, strict=True))
        points.append(Point(sum(sent) / count, sum(chosen) / count))
    points.sort(key=lambda point: point.share)
    small = sum(one.small for one in outcomes) / count
    gap = sum(one.large for one in outcomes) / count - small
    width = points[-1].share - points[0].share
    if abs(gap) <= _NO_GAP or not width:
        return None
    return (area(points) - small * width) / (gap * width)


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def auroc(scores: Sequence[float], truths: Sequence[bool]) -> float | None:
    """The chance that a true one outscores a false one; ties count half."""
    return _auroc(sorted(zip(scores, truths, strict=True)))


def _auroc(ascending: Iterable[tuple[float, bool]]) -> float | None:
    falses, trues, won = 0, 0, 0.0
    for _, tied in groupby(ascending, key=lambda pair: pair[0]):
        here = [truth for _, truth in tied]
        up = sum(here)
        down = len(here) - up
        won += up * (falses + down / 2)
        trues += up
        falses += down
    return won / (trues * falses) if trues and falses else None


def ece(probabilities: Sequence[float], truths: Sequence[float], bins: int = ECE_BINS) -> float:
    """Expected calibration error over bins of equal mass. `truths` may be shares."""
    order = sorted(range(len(probabilities)), key=lambda place: probabilities[place])
    return sum(
        abs(sum(probabilities[at] for at in held) - sum(truths[at] for at in held))
        for held in equal_parts(order, bins)
    ) / len(order)


def equal_parts(order: Sequence[int], bins: int) -> list[Sequence[int]]:
    """Cut into `bins` parts whose sizes differ by at most one, longer ones first; none empty."""
    size, longer = divmod(len(order), bins)
    parts, start = [], 0
    for number in range(bins):
        end = start + size + (number < longer)
        if end > start:
            parts.append(order[start:end])
        start = end
    return parts


def brier(probabilities: Sequence[float], truths: Sequence[float]) -> float:
    pairs = zip(probabilities, truths, strict=True)
    return sum((given - truth) ** 2 for given, truth in pairs) / len(probabilities)


def metrics(outcomes: Sequence[Outcome]) -> dict[str, float | None]:
    """Every metric by its name, None where it has no value."""
    ranked = sorted(outcomes, key=lambda one: -one.score)
    recovered = pgr(_curve(ranked))
    found = _headline(ranked, recovered)
    found["apgr_of_deciles"] = apgr_of_deciles(outcomes)
    for share in (20, 40):
        found[f"pgr_at_{share}"] = at_share(recovered, share / 100) if recovered else None
    found["cpt95"] = cpt(recovered, 0.95)
    given = [one.fails for one in outcomes if one.fails is not None]
    if len(given) == len(outcomes):
        truths = [1 - one.small for one in outcomes]
        found["ece_small_fails"] = ece(given, truths)
        found["brier_small_fails"] = brier(given, truths)
        found["auroc_fails_by_score"] = auroc(given, [one.small < 0.5 for one in outcomes])
    return found


def _headline(ranked: Sequence[Outcome], recovered: Sequence[Point]) -> dict[str, float | None]:
    rising = ranked[::-1]
    return {
        "apgr": area(recovered) if recovered else None,
        "cpt50": cpt(recovered, 0.5),
        "cpt80": cpt(recovered, 0.8),
        "auroc_small_fails": _auroc((one.score, one.small < 0.5) for one in rising),
        "auroc_large_wins": _auroc((one.score, one.large > one.small) for one in rising),
    }


def intervals(
    outcomes: Sequence[Outcome], draws: Iterable[Sequence[int]], confidence: float = 0.95
) -> dict[str, Interval]:
    """Percentile bootstrap of the headline metrics.

    Each of `draws` says how often every outcome is drawn; the caller brings the chance.
    """
    order = sorted(range(len(outcomes)), key=lambda place: -outcomes[place].score)
    samples: dict[str, list[float]] = {}
    for counts in draws:
        ranked = [outcomes[at] for at in order for _ in range(counts[at])]
        points = _curve(ranked)
        if points[-1].quality - points[0].quality <= _NO_GAP_IN_A_SAMPLE:
            continue
        found = _headline(ranked, pgr(points))
        given = [one.fails for one in ranked if one.fails is not None]
        if len(given) == len(ranked):
            found["ece_small_fails"] = ece(given, [1 - one.small for one in ranked])
        for name, value in found.items():
            if value is not None:
                samples.setdefault(name, []).append(value)
    tail = (1 - confidence) / 2
    return {
        name: Interval(_quantile(ordered, tail), _quantile(ordered, 1 - tail))
        for name, values in samples.items()
        if (ordered := sorted(values))
    }
