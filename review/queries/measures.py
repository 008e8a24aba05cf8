"""What the verdicts of a time say about reviewers: shares with intervals, agreement, times.

Two queries, however many reviewers there are: one for verdicts, one for haste.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from review import rules
from review.agreement import Kappa, Share, kappa, wilson
from review.models import Case, CaseVerdict, HastyVerdict

MOST_VERDICTS = 50_000
EVERY_RULE = ""
_FIELDS = ("case_id", "by_id", "kind", "stage", "open_ms", "at", "case__rule", "case__due_at")


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """What one reviewer did, or did under one rule. Times in milliseconds, None without verdicts.

    ``overridden``: anything but the draft as it stood. ``agreed``: of the cases that two people
    saw, those in which they said the same.
    """

    approved: Share
    overridden: Share
    edited: Share
    in_time: Share
    agreed: Share
    kappa: Kappa | None
    median_ms: int | None
    p10_ms: int | None
    hasty: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """``by_person`` has a person's key, then the rule; EVERY_RULE is all of them together."""

    by_person: dict[int, dict[str, Measure]]
    is_cut: bool

    def of(self, person: Any) -> dict[str, Measure]:
        return self.by_person.get(person.pk, {})


class _Row(NamedTuple):
    case_id: Any
    by_id: int
    kind: str
    stage: str
    open_ms: int
    at: datetime
    rule: str
    due_at: datetime


@dataclass(slots=True)
class _Tally:
    kinds: Counter[str] = field(default_factory=Counter)
    times: list[int] = field(default_factory=list)
    in_time: int = 0
    pairs: list[tuple[str, str]] = field(default_factory=list)
    hasty: int = 0

    def measure(self) -> Measure:
        n = self.kinds.total()
        times = sorted(self.times)
        as_drafted, edited = self.kinds["approve"], self.kinds["edit"]
        return Measure(
            approved=wilson(as_drafted, n),
            overridden=wilson(n - as_drafted, n),
            edited=wilson(edited, n),
            in_time=wilson(self.in_time, n),
            agreed=wilson(sum(one == other for one, other in self.pairs), len(self.pairs)),
            kappa=kappa(self.pairs),
            median_ms=times[(n - 1) // 2] if n else None,
            p10_ms=times[(n - 1) // 10] if n else None,
            hasty=self.hasty,
        )


def measured(*, since: datetime, until: datetime) -> Measured:
    """Of the newest MOST_VERDICTS of the time; ``is_cut`` says that there were more."""
    found = CaseVerdict.objects.filter(at__gte=since, at__lt=until).order_by("-at")
    rows = [_Row(*row) for row in found.values_list(*_FIELDS)[: MOST_VERDICTS + 1]]
    is_cut, rows = len(rows) > MOST_VERDICTS, rows[:MOST_VERDICTS]
    tallies: dict[int, dict[str, _Tally]] = defaultdict(lambda: defaultdict(_Tally))
    for row in rows:
        for tally in _of(tallies, row.by_id, row.rule):
            tally.kinds[row.kind] += 1
            tally.times.append(row.open_ms)
            tally.in_time += row.at <= row.due_at
    for first, second in _pairs(rows):
        said = _said(first.kind, second.kind)
        for tally in _of(tallies, first.by_id, first.rule):
            tally.pairs.append(said)
        for tally in _of(tallies, second.by_id, second.rule):
            tally.pairs.append(said)
    hasty = HastyVerdict.objects.filter(at__gte=since, at__lt=until)
    for by_id, rule in hasty.values_list("by_id", "case__rule"):
        for tally in _of(tallies, by_id, rule):
            tally.hasty += 1
    return Measured(
        by_person={
            person: {rule: tally.measure() for rule, tally in sorted(of_person.items())}
            for person, of_person in tallies.items()
        },
        is_cut=is_cut,
    )


def _of(tallies: dict[int, dict[str, _Tally]], person: int, rule: str) -> list[_Tally]:
    return [tallies[person][name] for name in dict.fromkeys((EVERY_RULE, rule))]


def _pairs(rows: Iterable[_Row]) -> list[tuple[_Row, _Row]]:
    """First and second looks at the same case; an adjudication is neither."""
    looks: dict[Any, dict[str, _Row]] = defaultdict(dict)
    for row in rows:
        looks[row.case_id][row.stage] = row
    both = (Case.Stage.FIRST, Case.Stage.SECOND)
    return [
        (of_case[both[0]], of_case[both[1]])
        for of_case in looks.values()
        if all(stage in of_case for stage in both)
    ]


def _said(first: str, second: str) -> tuple[str, str]:
    """What two people said of one text, in words that are equal where they agree."""
    given = rules.disposition_of(first)
    if rules.agree(first_kind=first, second_kind=second):
        return given, given
    other = rules.disposition_of(second)
    return given, "another answer" if other == given else other
