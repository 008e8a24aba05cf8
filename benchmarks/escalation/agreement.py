"""Agreement of a second small model, on stored outcomes of real models.

The stored outcomes say who was right, not what was said. Where both small models are wrong, whether
they said the same is not known: every figure is therefore given for the worst case (always the
same), the best case (never), and for a share of common errors in between.
"""

from __future__ import annotations

import csv
import hashlib
import random
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from routing.engine import curve
from routing.engine.curve import Outcome

RESAMPLES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Trio:
    """One task: the small model, its second, and the larger model, as columns of a matrix."""

    name: str
    file: str
    small: str
    second: str
    large: str


TRIOS = (
    Trio(
        name="MMLU-Pro: Llama-3.1-8B, checked by Phi-3-mini, to 70B",
        file="mmlu_pro.matrix.csv",
        small="Meta-Llama-3_1-8B-Instruct",
        second="Phi-3-mini-4k-instruct",
        large="Meta-Llama-3_1-70B-Instruct",
    ),
    Trio(
        name="GSM8K: Qwen2-7B, checked by Llama-3-8B, to GPT-4o",
        file="gsm8k.matrix.csv",
        small="Qwen2-7B-Instruct",
        second="Meta-Llama-3-8B-Instruct",
        large="gpt-4o-2024-08-06",
    ),
    Trio(
        name="GSM8K: Mixtral-8x7B, checked by Llama-3-8B, to GPT-4o",
        file="gsm8k.matrix.csv",
        small="Mixtral-8x7B-Instruct-v0.1",
        second="Meta-Llama-3-8B-Instruct",
        large="gpt-4o-2024-08-06",
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """APGR with its 95 % interval, and the share of larger calls for 80 % of the gap."""

    rows: int
    common: float
    apgr: float
    low: float
    high: float
    cpt80: float | None
    agreed: float


def read(path: Path, trio: Trio) -> list[tuple[str, bool, bool, bool]]:
    """Rows of (id, small right, second right, larger right)."""
    with path.open(newline="") as lines:
        return [
            (row["id"], row[trio.small] == "1", row[trio.second] == "1", row[trio.large] == "1")
            for row in csv.DictReader(lines)
            if all(row[name] in {"0", "1"} for name in (trio.small, trio.second, trio.large))
        ]


def _agrees(row: tuple[str, bool, bool, bool], common: float) -> bool:
    identity, small, second, _ = row
    if small or second:
        return small and second
    share = int.from_bytes(hashlib.sha256(identity.encode()).digest()[:8]) / 2**64
    return share < common


def measure(rows: Sequence[tuple[str, bool, bool, bool]], common: float) -> Measured:
    """``common`` is the share of doubly wrong rows on which the two said the same."""
    outcomes = [
        Outcome(
            score=0.0 if _agrees(row, common) else 1.0,
            small=float(row[1]),
            large=float(row[3]),
            fails=None,
        )
        for row in rows
    ]
    recovered = curve.pgr(curve.curve(outcomes))
    draws = _draws(outcomes)
    return Measured(
        rows=len(rows),
        common=common,
        apgr=curve.apgr(outcomes) or 0.0,
        low=draws[round(0.025 * (len(draws) - 1))],
        high=draws[round(0.975 * (len(draws) - 1))],
        cpt80=curve.cpt(recovered, 0.8),
        agreed=statistics.mean(1.0 - one.score for one in outcomes),
    )


def _draws(outcomes: Sequence[Outcome]) -> list[float]:
    chosen = random.Random(7)  # noqa: S311  (repeatable, protects nothing)
    found = (curve.apgr(chosen.choices(outcomes, k=len(outcomes))) for _ in range(RESAMPLES))
    return sorted(one for one in found if one is not None)


def cost_share(cpt80: float, price: float) -> float:
    """Cost as a share of always asking the larger model: two small calls, and the escalations.

    ``price`` is a small call's price over a larger one's.
    """
    return 2 * price + cpt80
