"""Lines over time with their interval, and word-sized sparklines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from screens.charts.scales import Scale, path_of, plain, ticks


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One value over time. `value` None is a gap; low and high are the interval, if known."""

    label: str
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened at a point of the axis, such as an activation."""

    index: int
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    at: float
    label: str
    anchor: str = "end"


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnSeries:
    name: str
    number: int
    path: str
    band: str
    last_x: float | None
    last_y: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnEvent:
    x: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table beneath a picture; it has the same numbers."""

    label: str
    values: tuple[float | None, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class LineChart:
    width: int
    height: int
    left: float
    right: float
    top: float
    bottom: float
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    series: tuple[DrawnSeries, ...]
    events: tuple[DrawnEvent, ...]
    names: tuple[str, ...]
    rows: tuple[Row, ...]
    is_empty: bool


def line_chart(
    series: Sequence[Series],
    *,
    width: int = 480,
    height: int = 190,
    unit: str = "",
    events: Sequence[Event] = (),
    from_zero: bool = True,
) -> LineChart:
    """Lines over the same points of time, the interval as a band; all series share the labels.

    480 wide fits a column; for a chart as wide as the page say 960.
    """
    left, right, top, bottom = 56.0, width - 12.0, 12.0, height - 26.0
    known = [
        number
        for one in series
        for point in one.points
        for number in (point.value, point.low, point.high)
        if number is not None
    ]
    marks = ticks(min([0.0, *known] if from_zero else known or [0.0]), max(known or [1.0]))
    longest = max((one.points for one in series), key=len, default=())
    x = Scale(low=0, high=max(1, len(longest) - 1), start=left, end=right)
    y = Scale(low=marks[0], high=marks[-1], start=bottom, end=top)
    labels = tuple(point.label for point in longest)
    return LineChart(
        width=width,
        height=height,
        left=left,
        right=right,
        top=top,
        bottom=bottom,
        x_ticks=_x_ticks(labels, x),
        y_ticks=tuple(Tick(at=y.at(mark), label=f"{plain(mark)}{unit}") for mark in marks),
        series=tuple(_drawn(one, number, x, y) for number, one in enumerate(series, start=1)),
        events=tuple(DrawnEvent(x=x.at(event.index), label=event.label) for event in events),
        names=tuple(one.name for one in series),
        rows=_rows(series, labels),
        is_empty=not known,
    )


def _rows(series: Sequence[Series], labels: Sequence[str]) -> tuple[Row, ...]:
    return tuple(
        Row(
            label=label,
            values=tuple(
                one.points[index].value if index < len(one.points) else None for one in series
            ),
        )
        for index, label in enumerate(labels)
    )


def _x_ticks(labels: Sequence[str], x: Scale, wanted: int = 5) -> tuple[Tick, ...]:
    """First, last and a few between; the outer ones are turned inwards so nothing is cut off."""
    if not labels:
        return ()
    last = len(labels) - 1
    steps = min(wanted - 1, last) or 1
    indexes = sorted({round(last * step / steps) for step in range(steps + 1)})
    anchors = {0: "start", last: "end"} if last else {0: "middle"}
    return tuple(
        Tick(at=x.at(index), label=labels[index], anchor=anchors.get(index, "middle"))
        for index in indexes
    )


def _drawn(one: Series, number: int, x: Scale, y: Scale) -> DrawnSeries:
    placed = [
        None if point.value is None else (x.at(index), y.at(point.value))
        for index, point in enumerate(one.points)
    ]
    last = next((place for place in reversed(placed) if place), None)
    return DrawnSeries(
        name=one.name,
        number=number,
        path=path_of(placed),
        band=_band(one.points, x, y),
        last_x=last[0] if last else None,
        last_y=last[1] if last else None,
    )


def _band(points: Sequence[Point], x: Scale, y: Scale) -> str:
    """One closed shape per stretch without a gap: what was not measured has no interval."""
    shapes: list[str] = []
    stretch: list[tuple[float, float, float]] = []
    for index, point in enumerate([*points, Point(label="", value=None)]):
        if point.low is not None and point.high is not None:
            stretch.append((x.at(index), y.at(point.low), y.at(point.high)))
            continue
        if len(stretch) > 1:
            upper = [f"{at:g} {high:g}" for at, _, high in stretch]
            lower = [f"{at:g} {low:g}" for at, low, _ in reversed(stretch)]
            shapes.append("M" + " L".join(upper + lower) + " Z")
        stretch = []
    return " ".join(shapes)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sparkline:
    width: int
    height: int
    path: str
    area: str
    last_x: float | None
    last_y: float | None
    low: float | None
    high: float | None


def sparkline(values: Sequence[float | None], *, width: int = 120, height: int = 28) -> Sparkline:
    """A word-sized line from zero upwards; gaps stay gaps."""
    known = [value for value in values if value is not None]
    if not known:
        return Sparkline(
            width=width,
            height=height,
            path="",
            area="",
            last_x=None,
            last_y=None,
            low=None,
            high=None,
        )
    x = Scale(low=0, high=max(1, len(values) - 1), start=2, end=width - 3)
    # A line of equal values above zero would otherwise be drawn half-way up.
    y = Scale(low=min(0.0, *known), high=max(known) or 1.0, start=height - 2, end=3)
    placed = [
        None if value is None else (x.at(index), y.at(value)) for index, value in enumerate(values)
    ]
    shown = [place for place in placed if place]
    floor_y = y.at(min(0.0, *known))
    area = ""
    if len(shown) == len(placed) > 1:
        area = f"{path_of(placed)} L{shown[-1][0]:g} {floor_y:g} L{shown[0][0]:g} {floor_y:g} Z"
    return Sparkline(
        width=width,
        height=height,
        path=path_of(placed),
        area=area,
        last_x=shown[-1][0],
        last_y=shown[-1][1],
        low=min(known),
        high=max(known),
    )
