"""Reads eval sets and prompt files. Every complaint names its row; nothing is repaired silently."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

MAX_COMPLAINTS = 20
MAX_ROWS = 200_000
_MAX_PROMPT = 200_000


class EvalSetError(ValueError):
    """The file is not an eval set. `complaints` are sentences that begin with their row."""

    def __init__(self, complaints: list[str]) -> None:
        super().__init__("; ".join(complaints))
        self.complaints = complaints


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One prompt with the quality, 0 to 1, of both models' answers."""

    id: str
    group: str
    category: str
    source: str
    prompt: str
    small: float
    large: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EvalSet:
    rows: tuple[Row, ...]
    small_model: str
    large_model: str
    digest: str

    @property
    def pair(self) -> dict[str, str]:
        return {"small": self.small_model, "large": self.large_model}

    def sample(self, labels: int, seed: int) -> EvalSet:
        """Whole groups in an order that the seed decides, until there are `labels` rows."""
        kept: list[Row] = []
        by_group: dict[str, list[Row]] = {}
        for row in self.rows:
            by_group.setdefault(row.group, []).append(row)
        for group in shuffled(by_group, seed):
            if len(kept) >= labels:
                break
            kept += by_group[group]
        chosen = {row.id for row in kept[:labels]}
        return replace(self, rows=tuple(row for row in self.rows if row.id in chosen))


def shuffled(groups: Iterable[str], seed: int) -> list[str]:
    """An order by hash: the same on every machine and whatever order the file has."""
    return sorted(groups, key=lambda group: hashlib.sha256(f"{seed}:{group}".encode()).digest())


def read_evalset(lines: Iterable[str]) -> EvalSet:
    """Parse JSON lines. Raises EvalSetError with every complaint, up to a limit."""
    rows: list[Row] = []
    complaints: list[str] = []
    digest = hashlib.sha256()
    pairs: set[tuple[str, str]] = set()
    seen: set[str] = set()
    for number, item in _objects(lines, complaints, digest):
        before = len(complaints)
        row = _row(number, item, complaints)
        pair = (str(item.get("small_model", "")), str(item.get("large_model", "")))
        if row is not None and row.id in seen:
            complaints.append(f"row {number}: the id {row.id!r} occurs twice")
        elif row is not None and not all(pair):
            complaints.append(f"row {number}: small_model and large_model must be named")
        elif row is not None and len(complaints) == before:
            rows.append(row)
            seen.add(row.id)
            pairs.add(pair)
    if len(pairs) > 1:
        complaints.append("the rows compare different pairs of models; a classifier has one pair")
    if not rows and not complaints:
        complaints.append("the file has no rows")
    if complaints:
        raise EvalSetError(complaints)
    small_model, large_model = pairs.pop()
    return EvalSet(
        rows=tuple(rows),
        small_model=small_model,
        large_model=large_model,
        digest=f"sha256:{digest.hexdigest()}",
    )


def read_prompts(lines: Iterable[str]) -> list[tuple[str, str]]:
    """(id, prompt) of JSON lines; other fields are ignored."""
    complaints: list[str] = []
    found: list[tuple[str, str]] = []
    for number, item in _objects(lines, complaints, hashlib.sha256()):
        prompt = item.get("prompt")
        if not isinstance(item.get("id"), str | int) or not isinstance(prompt, str):
            complaints.append(f"row {number}: id and prompt must be texts")
            continue
        found.append((str(item["id"]), prompt))
    if complaints:
        raise EvalSetError(complaints)
    return found


def _objects(
    lines: Iterable[str], complaints: list[str], digest: Any
) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(lines, start=1):
        digest.update(line.rstrip("\r\n").encode() + b"\n")
        if not line.strip():
            continue
        if number > MAX_ROWS:
            complaints.append(f"more than {MAX_ROWS:,} rows")
        if len(complaints) >= MAX_COMPLAINTS:
            complaints.append("further complaints are not listed")
            return
        try:
            item = json.loads(line)
        except ValueError as error:
            complaints.append(f"row {number}: not JSON ({error})")
            continue
        if isinstance(item, dict):
            yield number, item
        else:
            complaints.append(f"row {number}: must be an object")


def _row(number: int, item: Mapping[str, Any], complaints: list[str]) -> Row | None:
    identity, prompt = item.get("id"), item.get("prompt")
    if not isinstance(identity, str | int) or identity == "":
        complaints.append(f"row {number}: id is missing")
        return None
    if not isinstance(prompt, str) or not prompt.strip():
        complaints.append(f"row {number}: prompt is missing")
        return None
    if len(prompt) > _MAX_PROMPT:
        complaints.append(f"row {number}: the prompt has more than {_MAX_PROMPT:,} characters")
        return None
    scores = [_score(item.get(name)) for name in ("small_score", "large_score")]
    if scores[0] is None or scores[1] is None:
        complaints.append(f"row {number}: small_score and large_score must be between 0 and 1")
        return None
    words = " ".join(prompt.lower().split())
    return Row(
        id=str(identity),
        group=str(item.get("group") or hashlib.sha256(words.encode()).hexdigest()[:12]),
        category=str(item.get("category") or ""),
        source=str(item.get("source") or ""),
        prompt=prompt,
        small=scores[0],
        large=scores[1],
    )


def _score(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and 0 <= value <= 1 else None
