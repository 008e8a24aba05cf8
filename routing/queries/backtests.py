"""What the screens of backtests show: windows with their size, buckets, deltas, both traces."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.urls import reverse
from django.utils import timezone

from audit.events import MADE
from audit.models import Event
from routing.engine.changes import BUCKETS, GUARDRAILS
from routing.models import Backtest, BacktestChange, PolicyVersion
from routing.queries.decision import REASONS, rule_rows, signal_rows
from routing.services import backtests
from routing.services.redecide import Redecider, compiled_version
from screens.errors import NotFound

DAYS = (1, 7, 14, 30)
GUARDRAIL_LIST = "guardrails"
_TONES = {
    "moved_public": "bad",
    "newly_refused": "bad",
    "newly_safe_default": "warn",
    "newly_held": "warn",
    "no_longer_held": "warn",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    code: str
    words: str
    count: int
    share: float
    url: str
    tone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """One expected change, in words: what it was, by how much it changes, and the interval."""

    words: str
    before: str
    change: str
    interval: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    backtest: Backtest
    stale: str
    buckets: Sequence[Bucket]
    guardrails: Sequence[tuple[str, int]]
    crossing: int
    reasons: Mapping[str, int]
    deltas: Sequence[Delta]
    notes: Sequence[str]


def windows(version: PolicyVersion) -> dict[int, str]:
    """The windows that can be chosen, each with its size and how long it is expected to take."""
    until = timezone.now()
    found = {}
    for days in DAYS:
        size = backtests.size_of(
            route=version.route.slug, since=until - timedelta(days=days), until=until, sample=None
        )
        length = "last 24 hours" if days == 1 else f"last {days} days"
        found[days] = f"{length}: {size.in_window:,} decisions, {_duration(size.seconds)}"
    return found


def _duration(seconds: float) -> str:
    if seconds < 2:
        return "a second or two"
    return f"about {seconds:.0f} s" if seconds < 90 else f"about {seconds / 60:.0f} min"


def runs_of(version: PolicyVersion) -> Any:
    return Backtest.objects.filter(version=version).select_related(
        "version__route", "by", "acknowledged_by"
    )


def latest(version: PolicyVersion) -> Backtest | None:
    """The last run that ended well, for the page of the version."""
    return runs_of(version).filter(state=Backtest.State.DONE).first()


def backtest_of(version: PolicyVersion, backtest_id: UUID) -> Backtest:
    found: Backtest | None = runs_of(version).filter(pk=backtest_id).first()
    if found is None:
        raise NotFound("This version has no such backtest.")
    return found


def run_page(backtest: Backtest) -> RunPage:
    is_done = backtest.state == Backtest.State.DONE
    result = backtest.result if is_done else {}
    return RunPage(
        backtest=backtest,
        stale=backtests.is_stale(backtest) if is_done else "",
        buckets=_buckets(backtest) if is_done else [],
        guardrails=[
            (words, result["guardrails"][code])
            for code, words in GUARDRAILS.items()
            if code in result.get("guardrails", {})
        ],
        crossing=result.get("crossing", 0),
        reasons=result.get("reasons", {}),
        deltas=_deltas(result["deltas"]) if is_done else [],
        notes=_notes(result) if is_done else [],
    )


def _buckets(backtest: Backtest) -> list[Bucket]:
    place = [backtest.version.route.slug, backtest.version.number, backtest.pk]
    return [
        Bucket(
            code=code,
            words=words,
            count=backtest.counts[code],
            share=backtest.counts[code] / backtest.done,
            url=reverse("backtest-bucket", args=[*place, code]),
            tone=_TONES.get(code, "neutral"),
        )
        for code, words in BUCKETS.items()
        if backtest.counts.get(code)
    ]


def _deltas(found: Mapping[str, Any]) -> list[Delta]:
    medians = ", ".join(f"{name} {ms:,} ms" for name, ms in found["medians_ms"].items())
    return [
        _delta("Cost per 1,000 requests", found, "cost", _usd, "Prices and tokens of the record."),
        _delta(
            "Latency per request",
            found,
            "latency",
            _ms,
            f"From the medians of the window: {medians or 'none'}.",
        ),
        _delta("Held for people per day", found, "held", _per_day, "The load of the reviewers."),
    ]


def _delta(words: str, found: Mapping[str, Any], name: str, said: Any, note: str) -> Delta:
    before, change = found[f"{name}_before"], found[f"{name}_change"]
    if not change["n"]:
        return Delta(words=words, before="–", change="–", interval="no request to go by", note=note)
    interval = "too few requests for an interval"
    if change["low"] is not None:
        interval = f"{said(change['low'], True)} to {said(change['high'], True)}"
    return Delta(
        words=words,
        before=said(before["value"], False),
        change=said(change["value"], True),
        interval=interval,
        note=note,
    )


def _sign(value: float, is_change: bool) -> str:
    return "−" if value < 0 else "+" if is_change and value > 0 else ""


def _usd(value: float, is_change: bool) -> str:
    return f"{_sign(value, is_change)}${abs(value):,.4f}"


def _ms(value: float, is_change: bool) -> str:
    return f"{_sign(value, is_change)}{abs(value):,.0f} ms"


def _per_day(value: float, is_change: bool) -> str:
    return f"{_sign(value, is_change)}{abs(value):,.1f}"


def _notes(result: Mapping[str, Any]) -> list[str]:
    """The limits of this very run; those of every run are in the template."""
    deltas, notes = result["deltas"], []
    if result["borrowed"]:
        names = ", ".join(sorted(result["borrowed"]))
        notes.append(f"Not registered then, so taken as they are now: {names}.")
    if result["other_rule"]:
        notes.append(f"{result['other_rule']:,} of the same come out by another rule.")
    if deltas["estimated"]:
        notes.append(
            f"{deltas['estimated']:,} had no counted answer; their tokens are the estimate "
            "of the prompt and the median answer."
        )
    if deltas["without_cost"]:
        notes.append(f"{deltas['without_cost']:,} are left out of the cost: no price or no tokens.")
    if deltas["without_time"]:
        notes.append(
            f"{deltas['without_time']:,} are left out of the latency: no backend answers them, or "
            "the window holds no time of theirs."
        )
    return notes


def changes_of(backtest: Backtest, bucket: str) -> tuple[str, Any]:
    """The heading and the lines of one bucket, or of the guardrails. Raises NotFound."""
    lines = BacktestChange.objects.filter(backtest=backtest)
    if bucket == GUARDRAIL_LIST:
        return "Guardrails crossed", lines.exclude(guardrails=[])
    if bucket not in BUCKETS:
        raise NotFound("There is no such group of decisions.")
    return BUCKETS[bucket], lines.filter(bucket=bucket)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One of two decisions on the same facts: that of the record, or that of the version."""

    title: str
    decision: Mapping[str, Any]
    rules: Sequence[Mapping[str, str]]
    candidates: Sequence[Mapping[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    line: BacktestChange
    before: Side
    after: Side | None
    unable: str
    signals: Sequence[Any]
    guardrails: Sequence[str]


def compared(backtest: Backtest, decision_id: UUID) -> Compared:
    """Both traces of one decision, decided again now. Raises NotFound."""
    line = BacktestChange.objects.filter(backtest=backtest, decision_id=decision_id).first()
    event = Event.objects.filter(pk=decision_id, kind=MADE).first()
    if line is None or event is None:
        raise NotFound("This backtest does not list such a decision.")
    details = event.entry["details"]
    again = Redecider(candidate=compiled_version(backtest.version)).again(details)
    after = again.decision.as_json() if again.decision else None
    return Compared(
        line=line,
        before=_side(f"As it was, under {details['policy']}", details["decision"]),
        after=_side(f"Under {backtest.version}", after) if after else None,
        unable=again.unable,
        signals=signal_rows(details["decision"]["trace"]["signals"]),
        guardrails=[GUARDRAILS.get(code, code) for code in line.guardrails],
    )


def _side(title: str, decision: Mapping[str, Any]) -> Side:
    return Side(
        title=title,
        decision=decision,
        rules=rule_rows(decision),
        candidates=[
            {**row, "why": REASONS.get(row["reason"] or "", row["reason"])}
            for row in decision["trace"]["candidates"]
        ],
    )
