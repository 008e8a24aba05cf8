"""From values to pixels: scales, round ticks, paths that keep their gaps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor, isfinite, log10


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """A straight line from values to pixels; a domain without width lands in the middle."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        if self.high == self.low:
            return (self.start + self.end) / 2
        share = (value - self.low) / (self.high - self.low)
        return round(self.start + share * (self.end - self.start), 2)


def ticks(low: float, high: float, wanted: int = 4) -> tuple[float, ...]:
    """Round numbers (1, 2 or 5 times a power of ten) from at or below low to at or above high."""
    if not (isfinite(low) and isfinite(high)):
        raise ValueError("ticks need finite numbers")
    # Closer together than a float can divide up: drawn as one value.
    if high - low < 1e-9 * max(1.0, abs(low), abs(high)):
        high = low + max(abs(low), 1.0)
    rough = (high - low) / max(1, wanted)
    power = 10.0 ** floor(log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    first = floor(low / step + 1e-9)
    last = -floor(-high / step + 1e-9)
    return tuple(round(index * step, 10) for index in range(first, last + 1))


def plain(number: float) -> str:
    """A number without a tail of zeros, thousands apart: 12,000 or 0.25."""
    text = f"{number:,.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def path_of(places: Sequence[tuple[float, float] | None]) -> str:
    """An SVG path that breaks where a place is missing instead of bridging the gap."""
    parts: list[str] = []
    is_drawing = False
    for place in places:
        if place is not None:
            parts.append(f"{'L' if is_drawing else 'M'}{place[0]:g} {place[1]:g}")
        is_drawing = place is not None
    return " ".join(parts)


def fair_widths(counts: Sequence[int], room: float, *, least: float) -> list[float]:
    """Share out room by count; what small ones get too much, the large ones give."""
    total = sum(counts)
    if not total:
        return [0.0 for _ in counts]
    raised = [max(least, room * count / total) if count else 0.0 for count in counts]
    surplus = sum(raised) - room
    if surplus <= 0:
        return raised
    spare = sum(wide - least for wide in raised if wide > least)
    if spare <= 0:
        return [wide * room / sum(raised) for wide in raised]
    return [wide - surplus * (wide - least) / spare if wide > least else wide for wide in raised]
