"""Whether requests of late are still like those that a classifier was trained on.

Population stability index per quantity, against the shares that the artefact keeps. Pure counting:
the caller brings the recorded signals.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from routing.engine.types import SignalValue

STEADY, SHIFTED, TOO_FEW = "steady", "shifted", "not enough requests"
FEWEST_REQUESTS = 200
# The usual reading of the index: from here on the two populations differ in earnest.
SHIFTED_FROM = 0.2
_SMALLEST_SHARE = 0.001
_ABSENT, _OTHER = "none", "other values"
# How far above its mean the index lies by chance once in a thousand times.
_DEVIATIONS = 3.09


@dataclass(frozen=True, slots=True, kw_only=True)
class Quantity:
    """One quantity then and now. `bins` are (words, share in training, share of late)."""

    name: str
    verdict: str
    index: float | None
    limit: float | None
    requests: int
    bins: tuple[tuple[str, float, float], ...]


def compare(
    reference: Mapping[str, Any], signals: Sequence[Mapping[str, SignalValue]]
) -> tuple[Quantity, ...]:
    """Every quantity that training kept, in its order, against these requests."""
    prompts = int(reference["prompts"])
    found = []
    for name, kept in reference["numbers"].items():
        values = _numbers(signals, name)
        counted = Counter(sum(value > edge for edge in kept["edges"]) for value in values)
        counts = [counted[place] for place in range(len(kept["shares"]))]
        found.append(_quantity(name, _ranges(kept["edges"]), kept["shares"], counts, prompts))
    for name, shares in reference["labels"].items():
        # A signal that is not there is a label too where training saw it: no language, say.
        labels = _labels(signals, name, may_be_absent=_ABSENT in shares)
        seen = Counter(label if label in shares else _OTHER for label in labels)
        expected = dict(shares) | {_OTHER: 0.0}
        counts = [seen[label] for label in expected]
        found.append(_quantity(name, list(expected), list(expected.values()), counts, prompts))
    return tuple(found)


def _numbers(signals: Iterable[Mapping[str, SignalValue]], name: str) -> list[float]:
    found = (one.get(name) for one in signals)
    return [float(one) for one in found if isinstance(one, int | Decimal) and one is not True]


def _labels(
    signals: Iterable[Mapping[str, SignalValue]], name: str, *, may_be_absent: bool
) -> list[str]:
    found = [one.get(name) for one in signals]
    return [
        _ABSENT if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        for value in found
        if value is not None or may_be_absent
    ]


def _ranges(edges: Sequence[float]) -> list[str]:
    first = [f"up to {edges[0]:g}"] if edges else ["every value"]
    between = [f"{low:g} to {high:g}" for low, high in zip(edges, edges[1:], strict=False)]
    return [*first, *between, *([f"over {edges[-1]:g}"] if edges else [])]


def _quantity(
    name: str, words: Sequence[str], expected: Sequence[float], counts: Sequence[int], prompts: int
) -> Quantity:
    requests = sum(counts)
    now = [count / requests if requests else 0.0 for count in counts]
    bins = tuple(
        (word, then, late)
        for word, then, late in zip(words, expected, now, strict=True)
        if then or late
    )
    if requests < FEWEST_REQUESTS:
        return Quantity(
            name=name, verdict=TOO_FEW, index=None, limit=None, requests=requests, bins=bins
        )
    index = stability_index(expected, now)
    limit = max(SHIFTED_FROM, chance_limit(len(bins), requests, prompts))
    return Quantity(
        name=name,
        verdict=SHIFTED if index >= limit else STEADY,
        index=index,
        limit=limit,
        requests=requests,
        bins=bins,
    )


def stability_index(expected: Sequence[float], observed: Sequence[float]) -> float:
    """Sum of (now - then) * log(now / then); a share of nothing counts as one in a thousand."""
    pairs = [
        (max(then, _SMALLEST_SHARE), max(late, _SMALLEST_SHARE))
        for then, late in zip(expected, observed, strict=True)
    ]
    return sum((late - then) * math.log(late / then) for then, late in pairs)


def chance_limit(bins: int, requests: int, prompts: int) -> float:
    """What the index exceeds once in a thousand times although nothing has changed.

    Without a change it is a chi-square of (bins - 1) degrees times (1/n + 1/m); the quantile is
    Wilson and Hilferty's.
    """
    degrees = max(1, bins - 1)
    spread = 2 / (9 * degrees)
    quantile = degrees * (1 - spread + _DEVIATIONS * math.sqrt(spread)) ** 3
    return quantile * (1 / requests + 1 / max(1, prompts))


def verdict_of(quantities: Sequence[Quantity]) -> str:
    """One word for all: shifted where any is, steady where all that have enough requests are."""
    verdicts = {one.verdict for one in quantities}
    if SHIFTED in verdicts:
        return SHIFTED
    return STEADY if STEADY in verdicts else TOO_FEW
