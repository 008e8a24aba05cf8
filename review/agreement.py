"""Shares and agreement with their uncertainty. PURE: counts in, numbers out.

Wilson's score interval (1927) for a share; Cohen's kappa (1960) with the large-sample standard
error of Fleiss, Cohen and Everitt (1969).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from math import sqrt
from typing import NamedTuple

Z95 = 1.959963984540054
# Below this many pairs kappa swings too much to be shown.
LEAST_PAIRS = 30


class Share(NamedTuple):
    """``count`` of ``n`` with its 95 % interval; all None where there is nothing to count."""

    count: int
    n: int
    value: float | None
    low: float | None
    high: float | None


class Kappa(NamedTuple):
    value: float
    low: float
    high: float


def wilson(count: int, n: int, z: float = Z95) -> Share:
    if n == 0:
        return Share(count, n, None, None, None)
    share, square = count / n, z * z
    middle = (share + square / (2 * n)) / (1 + square / n)
    half = z / (1 + square / n) * sqrt(share * (1 - share) / n + square / (4 * n * n))
    return Share(count, n, share, max(0.0, middle - half), min(1.0, middle + half))


def kappa(pairs: Iterable[tuple[str, str]], z: float = Z95) -> Kappa | None:
    """Agreement beyond chance of two raters, or None below LEAST_PAIRS or without a spread."""
    table = Counter(pairs)
    n = table.total()
    if n < LEAST_PAIRS:
        return None
    first: Counter[str] = Counter()
    second: Counter[str] = Counter()
    for (one, other), count in table.items():
        first[one] += count
        second[other] += count
    labels = first.keys() | second.keys()
    a = {label: first[label] / n for label in labels}
    b = {label: second[label] / n for label in labels}
    seen = sum(table[label, label] for label in labels) / n
    chance = sum(a[label] * b[label] for label in labels)
    if chance >= 1:
        return None
    value = (seen - chance) / (1 - chance)
    agreed = sum(
        table[label, label] / n * (1 - (a[label] + b[label]) * (1 - value)) ** 2 for label in labels
    )
    apart = (1 - value) ** 2 * sum(
        count / n * (b[one] + a[other]) ** 2
        for (one, other), count in table.items()
        if one != other
    )
    spread = agreed + apart - (value - chance * (1 - value)) ** 2
    half = z * sqrt(max(0.0, spread) / n) / (1 - chance)
    return Kappa(value, max(-1.0, value - half), min(1.0, value + half))
