"""Drawings that stand alone: no style sheet, no script, the same bytes for the same values."""

from __future__ import annotations

from typing import Final
from xml.sax.saxutils import escape

_ROW: Final = 44
_BOX: Final = 190
_WIDTH: Final = 720


def flow_svg(lines: list[tuple[str, str, str, int]]) -> str:
    """Data classes on the left, the router, backends on the right; public ones are dashed."""
    classes = sorted({one[0] for one in lines})
    backends = sorted({(one[2], one[1]) for one in lines})
    height = _ROW * max(len(classes), len(backends)) + 8
    left = {name: _ROW * at + 20 for at, name in enumerate(classes)}
    right = {key: _ROW * at + 20 for at, key in enumerate(backends)}
    edge = _WIDTH - _BOX
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" font-family="Libertinus Serif, serif" font-size="12">'
    ]
    for data_class, backend, boundary, n in lines:
        y1, y2 = left[data_class], right[(boundary, backend)]
        middle = (_BOX + edge) / 2
        look = ' stroke-dasharray="5 4"' if boundary == "public" else ""
        parts.append(
            f'<path d="M{_BOX} {y1} C{middle} {y1} {middle} {y2} {edge} {y2}" fill="none" '
            f'stroke="{"#9a1c1c" if boundary == "public" else "#4a5361"}" '
            f'stroke-width="{1 + min(4, len(str(n)))}" stroke-opacity="0.55"{look}/>'
        )
    parts += [_box(0, y, name, "data class") for name, y in left.items()]
    parts += [_box(edge, y, name, boundary) for (boundary, name), y in right.items()]
    return "".join(parts) + "</svg>"


def _box(x: int, y: int, name: str, kind: str) -> str:
    short = name if len(name) <= 28 else name[:27] + "…"
    return (
        f'<rect x="{x + 0.5}" y="{y - 17}" width="{_BOX - 1}" height="34" rx="3" fill="#fff" '
        f'stroke="{"#9a1c1c" if kind == "public" else "#1b1f24"}"/>'
        f'<text x="{x + 10}" y="{y - 2}" fill="#1b1f24">{escape(short)}</text>'
        f'<text x="{x + 10}" y="{y + 11}" fill="#4a5361" font-size="10">{escape(kind)}</text>'
    )
