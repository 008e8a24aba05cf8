"""Reads one decision from the ledger itself: everything its page shows, in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from uuid import UUID

from audit import payloads
from audit import queries as trail
from audit.events import MADE, TERMINAL
from audit.models import Event, Leaf
from routing.engine.policy import Test
from routing.engine.registry import BOOL, FIRST_REGISTRY, INT, NUMBER, Signal
from routing.engine.types import WITHHELD
from routing.engine.wording import test_words
from routing.models import Decision, Hold
from screens.errors import NotFound

REASONS: Final = {
    "": "",
    "not_signed_off": "no sign-off for this data class",
    "sign_off_expired": "its sign-off for this data class has ended",
    "data_class": "may not receive this data class",
    "region": "lies in another region",
    "capability": "lacks something the request needs",
    "context_window": "the request is longer than its context window",
    "cooldown": "failed just before and rests",
    "unhealthy": "its last probes failed",
    "over_budget": "its budget is used up",
    "key_scope": "the key may not use it",
    "disabled": "was not active, or stopped by a switch",
    "lower_priority": "stands behind the chosen one",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalRow:
    name: str
    words: str
    value: str
    sentence: str
    is_withheld: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """One line of the timeline. `after_ms` counts from when the request was received."""

    title: str
    text: str
    tone: str
    at: datetime | None
    after_ms: Decimal | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """One event of the decision and its place in the tree, or None while it waits for one."""

    event: Event
    seq: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DecisionPage:
    id: UUID
    made: Event
    end: Event | None
    facts: Mapping[str, Any]
    decision: Mapping[str, Any]
    ended: Mapping[str, Any]
    outcome: str
    row: Decision | None
    hold: Hold | None
    signals: Sequence[SignalRow]
    rules: Sequence[Mapping[str, str]]
    candidates: Sequence[Mapping[str, str]]
    contributions: Sequence[tuple[str, str]]
    moments: Sequence[Moment]
    events: Sequence[Recorded]
    proof: trail.InclusionProof | None
    texts: Sequence[tuple[UUID, str]]

    @property
    def attempts(self) -> Sequence[Mapping[str, Any]]:
        return self.ended.get("attempts") or ()

    @property
    def backend(self) -> str:
        """The backend that counts: the last one called, else the chosen one."""
        return self.ended.get("backend") or self.decision["backend"] or ""

    @property
    def tier(self) -> str:
        return self.ended.get("tier") or self.decision["tier"] or ""


def decision_page(decision_id: UUID) -> DecisionPage:
    """Everything about one decision. Works before the list has followed the ledger."""
    events = trail.events_of_decision(decision_id)
    made = next((event for event in events if event.kind == MADE), None)
    if made is None:
        raise NotFound("There is no such decision.", what_next="Start from the list of decisions.")
    end = next((event for event in events if event.kind in TERMINAL), None)
    facts = made.entry["details"]
    decision = facts["decision"]
    ended = end.entry["details"] if end else {}
    return DecisionPage(
        id=decision_id,
        made=made,
        end=end,
        facts=facts,
        decision=decision,
        ended=ended,
        outcome=_outcome(end),
        row=Decision.objects.filter(pk=decision_id).first(),
        hold=Hold.objects.filter(pk=decision_id).first(),
        signals=signal_rows(decision["trace"]["signals"]),
        rules=rule_rows(decision),
        candidates=[
            {**row, "why": REASONS.get(row["reason"] or "", row["reason"])}
            for row in decision["trace"]["candidates"]
        ],
        contributions=[(str(name), str(value)) for name, value in facts.get("contributions") or ()],
        moments=_moments(events, facts, ended),
        events=_places(events),
        proof=trail.inclusion_proof(made.pk),
        texts=payloads.payloads_of(decision_id),
    )


def _outcome(end: Event | None) -> str:
    if end is None:
        return "open"
    code = end.kind.partition(".")[2]
    return "served" if code == "completed" else code


def _places(events: Sequence[Event]) -> list[Recorded]:
    ids = [event.pk for event in events]
    seqs = dict(Leaf.objects.filter(event_id__in=ids).values_list("event_id", "seq"))
    return [Recorded(event=event, seq=seqs.get(event.pk)) for event in events]


# signals and rules


def signal_rows(signals: Mapping[str, Any]) -> list[SignalRow]:
    """Signals in the order of the registry, then those that the route's metadata declares."""
    known = [name for name in FIRST_REGISTRY.signals if name in signals]
    declared = sorted(name for name in signals if name not in FIRST_REGISTRY.signals)
    return [_signal_row(name, signals[name]) for name in [*known, *declared]]


def _signal_row(name: str, value: Any) -> SignalRow:
    signal = FIRST_REGISTRY.get(name)
    return SignalRow(
        name=name,
        words=signal.words if signal else name,
        value=said(value),
        sentence=signal.sentence if signal else "Declared by the route; sent by the client.",
        is_withheld=value == WITHHELD,
    )


def said(value: Any) -> str:
    """A recorded value as people read it."""
    if value is None:
        return "not measured"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, int):
        return f"{value:,}"
    return str(value)


def rule_rows(decision: Mapping[str, Any]) -> list[dict[str, str]]:
    """What components/trace.html shows: every rule, and the values that were compared."""
    rows = [
        {
            "name": rule["name"] or rule["id"],
            "state": rule["state"],
            "values": _values(rule.get("failing")),
            "outcome": "",
        }
        for rule in decision["trace"]["rules"]
    ]
    winner = next((row for row in rows if row["state"] == "matched"), None)
    if winner is None:
        # The default is no rule of the list, but it is what decided.
        winner = {"name": decision["rule"], "state": "matched", "values": "", "outcome": ""}
        rows.append(winner)
    winner["outcome"] = decision["action"]
    winner["values"] = decision["sentence"]
    return rows


def _values(failing: Mapping[str, Any] | None) -> str:
    if not failing:
        return ""
    signal = FIRST_REGISTRY.get(failing["signal"])
    words = signal.words if signal else failing["signal"]
    seen = said(failing["observed"])
    if failing["observed"] == WITHHELD:
        seen = "withheld"
    return f"{words}: {seen}. The rule asks: {_asked(failing, signal)}."


def _asked(failing: Mapping[str, Any], signal: Signal | None) -> str:
    constant = failing["constant"]
    try:
        if signal is not None and signal.kind in (NUMBER, INT):
            constant = _exact(constant)
        elif isinstance(constant, list):
            constant = tuple(constant)
        elif signal is not None and signal.kind != BOOL:
            constant = str(constant)
        return test_words(Test(failing["signal"], failing["operator"], constant), FIRST_REGISTRY)
    except (InvalidOperation, TypeError, LookupError, ValueError):
        return f"{failing['operator'].replace('_', ' ')} {said(failing['constant'])}"


def _exact(constant: Any) -> Any:
    if isinstance(constant, list):
        return tuple(Decimal(str(item)) for item in constant)
    return constant if isinstance(constant, bool) else Decimal(str(constant))


# timeline


def _moments(
    events: Sequence[Event], facts: Mapping[str, Any], ended: Mapping[str, Any]
) -> list[Moment]:
    received = datetime.fromisoformat(facts["received_at"])
    moments = [
        Moment(
            title="Received",
            text=f"from {facts['client']['name']}, {facts['input']['bytes']:,} bytes",
            tone="accent",
            at=received,
            after_ms=None,
        )
    ]
    for event in events:
        if event.kind in TERMINAL:
            moments += _calls(ended)
            moments += _answered(received, ended, is_ok=event.result == "ok")
        moments.append(_recorded(event, received))
    return moments


def _calls(ended: Mapping[str, Any]) -> list[Moment]:
    moments = []
    for call in ended.get("attempts") or ():
        how = {"retry": "again to", "fallback": "instead to"}.get(call["kind"], "to")
        came = call["problem"] or f"status {call['status']}"
        moments.append(
            Moment(
                title="Sent",
                text=f"{how} {call['backend']}: {came} after {call['total_ms']:,} ms",
                tone="bad" if call["problem"] else "good",
                at=None,
                after_ms=None,
            )
        )
    return moments


def _answered(received: datetime, ended: Mapping[str, Any], *, is_ok: bool) -> list[Moment]:
    total_ms = ended.get("total_ms")
    if total_ms is None:
        return []
    first = ended.get("first_token_ms")
    return [
        Moment(
            title="Answered" if is_ok else "Ended",
            text=f"first words after {first:,} ms" if first is not None else "",
            tone="good" if is_ok else "",
            at=received + timedelta(milliseconds=total_ms),
            after_ms=Decimal(total_ms),
        )
    ]


_TONES: Final = {"decision.made": "accent", "decision.completed": "good", "decision.held": "warn"}


def _recorded(event: Event, received: datetime) -> Moment:
    title = "Decided" if event.kind == MADE else "Recorded"
    passed = Decimal((event.at - received) // timedelta(microseconds=1)) / 1000
    bad = event.kind in TERMINAL and event.result != "ok"
    return Moment(
        title=title,
        text="and written down before anything was sent" if event.kind == MADE else event.words,
        tone="bad" if bad else _TONES.get(event.kind, ""),
        at=event.at,
        after_ms=passed,
    )
