"""Which data may go where, as a picture: classes on the left, backends inside their boundary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

WIDTH = 960
BOX_WIDTH, BOX_HEIGHT, ROW = 240, 40, 56
CLASS_X, BACKEND_X = 0, 680
FRAME_PAD, FRAME_HEAD, FRAME_GAP = 16, 30, 24
NAME_ROOM = 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """From a data class to a backend: how often it was seen, and whether it may be."""

    start: str
    end: str
    count: int
    is_permitted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    name: str
    short: str
    x: float
    y: float

    @property
    def middle(self) -> float:
        return self.y + BOX_HEIGHT / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    label: str
    y: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    look: str
    d: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFlowPicture:
    width: int
    height: float
    box_width: int
    box_height: int
    frame_x: float
    frame_width: float
    classes: tuple[Box, ...]
    backends: tuple[Box, ...]
    frames: tuple[Frame, ...]
    paths: tuple[Path, ...]
    sentence: str


def data_flow_picture(
    classes: Sequence[str], boundaries: Mapping[str, str], lines: Sequence[Line]
) -> DataFlowPicture:
    """Permitted lines are whole when something was seen and thin when not; others are broken."""
    frames: list[Frame] = []
    backends: list[Box] = []
    y = 0.0
    for boundary in ("private", "public"):
        names = sorted(name for name, of in boundaries.items() if of == boundary)
        tall = FRAME_HEAD + max(1, len(names)) * ROW + FRAME_PAD - (ROW - BOX_HEIGHT)
        frames.append(Frame(label=boundary, y=y, height=tall))
        for place, name in enumerate(names):
            backends.append(_box(name, BACKEND_X, y + FRAME_HEAD + place * ROW))
        y += tall + FRAME_GAP
    height = max(y - FRAME_GAP, float(len(classes) * ROW))
    step = height / max(1, len(classes))
    starts = [
        _box(name, CLASS_X, place * step + (step - BOX_HEIGHT) / 2)
        for place, name in enumerate(classes)
    ]
    at = {box.name: box for box in starts}
    to = {box.name: box for box in backends}
    drawn = [line for line in lines if line.start in at and line.end in to]
    # What is not permitted is drawn last, over everything.
    drawn.sort(key=lambda line: (not line.is_permitted, line.count))
    return DataFlowPicture(
        width=WIDTH,
        height=height,
        box_width=BOX_WIDTH,
        box_height=BOX_HEIGHT,
        frame_x=BACKEND_X - FRAME_PAD,
        frame_width=WIDTH - BACKEND_X + FRAME_PAD,
        classes=tuple(starts),
        backends=tuple(backends),
        frames=tuple(frames),
        paths=tuple(
            Path(look=_look(line), d=_curve(at[line.start], to[line.end])) for line in drawn
        ),
        sentence=_sentence(classes, boundaries, lines),
    )


def _look(line: Line) -> str:
    if not line.is_permitted:
        return "wrong"
    return "seen" if line.count else "open"


def _box(name: str, x: float, y: float) -> Box:
    short = name if len(name) <= NAME_ROOM else f"{name[: NAME_ROOM - 1]}\u2026"
    return Box(name=name, short=short, x=x, y=round(y, 1))


def _curve(start: Box, end: Box) -> str:
    x1, x2 = start.x + BOX_WIDTH, end.x
    middle = (x1 + x2) / 2
    y1, y2 = start.middle, end.middle
    return f"M{x1:g} {y1:g}C{middle:g} {y1:g} {middle:g} {y2:g} {x2:g} {y2:g}"


def _sentence(classes: Sequence[str], boundaries: Mapping[str, str], lines: Sequence[Line]) -> str:
    said = []
    for name in classes:
        ends = [line for line in lines if line.start == name and line.is_permitted]
        outside = sorted(line.end for line in ends if boundaries.get(line.end) == "public")
        inside = sorted(line.end for line in ends if boundaries.get(line.end) != "public")
        to = ", ".join(inside) or "no private backend"
        leaves = f"and leaves to {', '.join(outside)}" if outside else "and never leaves"
        said.append(f"{name.capitalize()} data may go to {to} {leaves}.")
    wrong = sum(not line.is_permitted for line in lines)
    if wrong:
        noun = "way is" if wrong == 1 else "ways are"
        said.append(f"{wrong} observed {noun} not permitted.")
    return " ".join(said)
