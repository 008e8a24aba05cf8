"""Cells that a spreadsheet cannot take for a formula, for every CSV that a screen hands out."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

_BEGINNINGS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "|", "%")


def cells(row: Iterable[object]) -> list[object]:
    """The row with an apostrophe before each text that begins like a formula; numbers stay."""
    return [
        f"'{cell}" if isinstance(cell, str) and cell.startswith(_BEGINNINGS) else cell
        for cell in row
    ]
