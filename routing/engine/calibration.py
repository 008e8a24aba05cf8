"""Turns a raw confidence into the share of answers that were good at it: a map that only rises.

Fitted from labelled answers of one backend and task (isotonic regression), applied between its
points in a straight line. Without one the raw value passes as it is, and is called raw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

FEWEST_LABELS = 200
MOST_POINTS = 64
_PLACES = Decimal("0.0001")

Point = tuple[Decimal, Decimal]


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """``points`` are (raw, share of good answers), both rising; ``labels`` is their evidence."""

    points: tuple[Point, ...]
    labels: int

    def apply(self, raw: Decimal) -> Decimal:
        points = self.points
        place = next((i for i, (known, _) in enumerate(points) if known >= raw), len(points))
        if place == 0:
            return points[0][1]
        if place == len(points):
            return points[-1][1]
        (x0, y0), (x1, y1) = points[place - 1], points[place]
        return (y0 + (y1 - y0) * (raw - x0) / (x1 - x0)).quantize(_PLACES)


def calibration_of(points: Sequence[Sequence[str]], labels: int) -> Calibration:
    """Read stored points. Raises ValueError where they do not rise from 0 to 1."""
    read = tuple((Decimal(raw), Decimal(good)) for raw, good in points)
    raws, goods = [raw for raw, _ in read], [good for _, good in read]
    is_rising = sorted(set(raws)) == raws and sorted(goods) == goods
    if not read or not is_rising or min(*raws, *goods) < 0 or max(*raws, *goods) > 1:
        raise ValueError("the points of a calibration rise from 0 to 1")
    return Calibration(points=read, labels=labels)


def fit(labelled: Sequence[tuple[Decimal, bool]]) -> Calibration:
    """Pool neighbours until the share of good answers rises with the raw value."""
    # Equal raw values are one observation: nothing can rise between them.
    seen: dict[Decimal, list[Decimal]] = {}
    for raw, is_good in labelled:
        one = seen.setdefault(raw, [raw, Decimal(0), Decimal(0)])
        one[1] += is_good
        one[2] += 1
    blocks: list[list[Decimal]] = []
    for raw in sorted(seen):
        blocks.append(seen[raw])
        while len(blocks) > 1 and _share(blocks[-2]) >= _share(blocks[-1]):
            last = blocks.pop()
            # A block stands at the mean of its raw values.
            n, m = blocks[-1][2], last[2]
            blocks[-1][0] = (blocks[-1][0] * n + last[0] * m) / (n + m)
            blocks[-1][1] += last[1]
            blocks[-1][2] = n + m
    points: dict[Decimal, Decimal] = {}
    for block in _thinned(blocks):
        # Raw values that fall together take the higher share, which is the later one.
        points[block[0].quantize(_PLACES)] = _share(block).quantize(_PLACES)
    return Calibration(points=tuple(sorted(points.items())), labels=len(labelled))


def expected_error(
    calibration: Calibration | None, labelled: Sequence[tuple[Decimal, bool]]
) -> Decimal:
    """The calibration error over ten bins: how far what is said is from what was good."""
    bins: dict[int, list[Decimal]] = {}
    for raw, is_good in labelled:
        said = calibration.apply(raw) if calibration else raw
        one = bins.setdefault(min(9, int(said * 10)), [Decimal(0), Decimal(0)])
        one[0] += said
        one[1] += is_good
    gap = sum((abs(said - good) for said, good in bins.values()), Decimal(0))
    return (gap / max(1, len(labelled))).quantize(_PLACES)


def _share(block: list[Decimal]) -> Decimal:
    return block[1] / block[2]


def _thinned(blocks: list[list[Decimal]]) -> list[list[Decimal]]:
    if len(blocks) <= MOST_POINTS:
        return blocks
    step = (len(blocks) - 1) / (MOST_POINTS - 1)
    return [blocks[round(i * step)] for i in range(MOST_POINTS)]
