"""Parts of a whole, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from screens.charts.scales import fair_widths


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a whole. `look` is a class of the stylesheet: 1, 2, 3, good, warn or bad."""

    label: str
    count: int
    look: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    label: str
    count: int
    share: float
    look: str
    x: float
    width: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StackedBar:
    width: int
    height: int
    total: int
    segments: tuple[Segment, ...]


def stacked_bar(parts: Sequence[Part], *, width: int = 640, height: int = 12) -> StackedBar:
    """Parts of a whole side by side; a part that is there at all stays visible (2 px)."""
    if any(part.count < 0 for part in parts):
        raise ValueError("a part cannot be negative")
    total = sum(part.count for part in parts)
    widths = fair_widths([part.count for part in parts], float(width), least=2.0)
    segments: list[Segment] = []
    x = 0.0
    for part, wide in zip(parts, widths, strict=True):
        segments.append(
            Segment(
                label=part.label,
                count=part.count,
                share=part.count / total if total else 0.0,
                look=part.look,
                x=round(x, 2),
                width=round(wide, 2),
            )
        )
        x += wide
    return StackedBar(width=width, height=height, total=total, segments=tuple(segments))
