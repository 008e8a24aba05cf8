"""What a report is made of: sections of tables, facts and sentences, as plain JSON.

Page, PDF and report.json are three faces of the same blocks. Everything that is gathered while the
entries go by is bounded here: listings stop growing, tallies stop taking new names.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from math import ceil, log
from typing import Any, Final

from audit.events import words

MOST_LISTED: Final = 300
MOST_NAMES: Final = 1000
OTHERS: Final = "(all others)"
Block = dict[str, Any]


def text(sentence: str, tone: str = "") -> Block:
    """A paragraph. ``tone`` is "", "good" or "bad"."""
    return {"kind": "text", "text": sentence, "tone": tone}


def facts(caption: str, rows: Iterable[tuple[str, object]]) -> Block:
    """Names and values, one pair a line."""
    return {
        "kind": "facts",
        "caption": caption,
        "rows": [[name, str(value)] for name, value in rows],
    }


def table(
    caption: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    left_out: int = 0,
    bad: Iterable[int] = (),
) -> Block:
    """A table. A column whose heading ends with # holds numbers; ``bad`` are rows in red."""
    return {
        "kind": "table",
        "caption": caption,
        "columns": [
            {"label": name.removesuffix("#"), "is_number": name.endswith("#")} for name in columns
        ],
        "rows": [["" if cell is None else str(cell) for cell in row] for row in rows],
        "left_out": left_out,
        "bad": list(bad),
    }


def without_empty(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[Any, Any]:
    """The same table without the columns in which nothing stands."""
    kept = [at for at in range(len(columns)) if any(row[at] for row in rows)]
    return tuple(columns[at] for at in kept), [[row[at] for at in kept] for row in rows]


def picture(svg: str, says: str) -> Block:
    """A drawing that stands alone, and the same in words."""
    return {"kind": "picture", "svg": svg, "text": says}


def heading(words_of_it: str) -> Block:
    return {"kind": "heading", "text": words_of_it}


def section(name: str, title: str, says: str, blocks: Iterable[Block | None]) -> dict[str, Any]:
    return {
        "id": name,
        "title": title,
        "says": says,
        "blocks": [block for block in blocks if block is not None],
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something a reader must not miss, with the section that shows it."""

    sentence: str
    count: int
    where: str


@dataclass(slots=True)
class Listing:
    """Entries worth reading one by one; counts on when it is full."""

    caption: str
    rows: list[tuple[str, ...]] = field(default_factory=list)
    total: int = 0

    def add(self, seq: int, entry: dict[str, Any]) -> None:
        self.total += 1
        if len(self.rows) < MOST_LISTED:
            self.rows.append(
                (str(seq), moment(entry["at"]), words(entry), who(entry), entry["reason"])
            )

    @property
    def left_out(self) -> int:
        return self.total - len(self.rows)

    def block(self) -> Block | None:
        if not self.total:
            return None
        columns, rows = without_empty(("Entry#", "Time, UTC", "What", "Who", "Reason"), self.rows)
        return table(f"{self.caption}: {self.total:,}", columns, rows, left_out=self.left_out)


class Tally(Counter[str]):
    """Counts by name, with a bound: names beyond it are counted together."""

    def count(self, name: object, by: int = 1) -> None:
        key = str(name if name not in (None, "") else "(none)")
        self[key if key in self or len(self) < MOST_NAMES else OTHERS] += by

    def by_number(self) -> list[tuple[str, int]]:
        return sorted(self.items(), key=lambda pair: (-pair[1], pair[0]))

    def block(self, caption: str, name: str, number: str) -> Block | None:
        if not self:
            return None
        total = sum(self.values())
        rows = [(key, f"{n:,}", share(n, total)) for key, n in self.by_number()]
        return table(
            caption,
            (name, number + "#", "Share#"),
            rows[:MOST_LISTED],
            left_out=max(0, len(rows) - MOST_LISTED),
        )


class Spread:
    """Quantiles of whole numbers in bounded memory, right within 2.5 percent.

    A value is kept as the number of its step on a scale that grows by 5 percent; so the same
    values give the same answer in whatever order they come.
    """

    _STEP = log(1.05)

    def __init__(self) -> None:
        self._steps: Counter[int] = Counter()
        self.total = 0

    def add(self, value: int) -> None:
        self._steps[0 if value < 1 else 1 + int(log(value) / self._STEP)] += 1
        self.total += 1

    def at(self, part: float) -> int | None:
        """The value below which this part of them lies, rounded to the middle of its step."""
        if not self.total:
            return None
        wanted, seen = ceil(part * self.total), 0
        for step in sorted(self._steps):
            seen += self._steps[step]
            if seen >= wanted:
                return 0 if step == 0 else round(1.05 ** (step - 0.5))
        return None


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


def moment(stamped: str) -> str:
    """A time of the ledger as people read it; UTC."""
    return stamped[:19].replace("T", " ")


def who(entry: dict[str, Any]) -> str:
    actor = entry["actor"]
    roles = ", ".join(actor["roles"])
    return f"{actor['name']} ({roles})" if roles else str(actor["name"])
