"""What a backtest counts while the decisions pass by, and which of them it lists."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from routing.engine.changes import Outcome, bucket_of, guardrails
from routing.engine.compiled import CompiledPolicy
from routing.models import Backtest, BacktestChange
from routing.services.deltas import Deltas, Usage
from routing.services.redecide import Again

# Of each bucket and data class so many decisions are listed, the newest; all are counted.
KEPT = 1000
_GUARDED = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """One decision of the ledger with what its answer used."""

    id: UUID
    usage: Usage
    details: Mapping[str, Any]


@dataclass(slots=True)
class Tally:
    deltas: Deltas
    read: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    guardrails: Counter[str] = field(default_factory=Counter)
    crossing: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    borrowed: Counter[str] = field(default_factory=Counter)
    other_rule: int = 0
    _kept: Counter[tuple[str, str]] = field(default_factory=Counter)

    def judge(
        self, read: Read, again: Again, policies: Sequence[CompiledPolicy]
    ) -> BacktestChange | None:
        """Count one decision; returns its line unless its bucket has enough of them."""
        self.read += 1
        before = Outcome.of(read.details["decision"])
        if again.decision is None:
            self.counts["could_not_evaluate"] += 1
            self.reasons[again.unable] += 1
            return self._line(read, policies, before, None, "could_not_evaluate", (), again.unable)
        after = Outcome.of(again.decision.as_json())
        bucket = bucket_of(before, after)
        crossed = guardrails(before, again.decision, again.facts, again.backends, policies)
        self.counts[bucket] += 1
        self.crossing += bool(crossed)
        self.guardrails.update(crossed)
        self.borrowed.update(again.borrowed)
        self.other_rule += bucket == "same" and after.rule != before.rule
        tokens = again.facts.signals.get("prompt_tokens")
        prompt_tokens = tokens if isinstance(tokens, int) else None
        self.deltas.add(before, after, again.backends, read.usage, prompt_tokens)
        return self._line(read, policies, before, after, bucket, crossed, "")

    def _line(
        self,
        read: Read,
        policies: Sequence[CompiledPolicy],
        before: Outcome,
        after: Outcome | None,
        bucket: str,
        crossed: tuple[str, ...],
        note: str,
    ) -> BacktestChange | None:
        strictest = self._class_of(policies, before, after)
        self._kept[bucket, strictest] += 1
        if self._kept[bucket, strictest] > KEPT and not crossed:
            return None
        order = policies[0].registry.data_classes
        rank = order.index(strictest) if strictest in order else len(order)
        return BacktestChange(
            decision_id=read.id,
            bucket=bucket,
            weight=rank + (_GUARDED if crossed else 0),
            data_class=strictest,
            before=before.words[:100],
            after=after.words[:100] if after else "",
            rule_before=before.rule,
            rule_after=after.rule if after else "",
            note=note[:200],
            guardrails=list(crossed),
        )

    @staticmethod
    def _class_of(
        policies: Sequence[CompiledPolicy], before: Outcome, after: Outcome | None
    ) -> str:
        order = policies[0].registry.data_classes
        classes = {before.data_class} | ({after.data_class} if after else set())
        return max(classes, key=lambda name: order.index(name) if name in order else len(order))

    def as_json(self, backtest: Backtest) -> dict[str, Any]:
        days = (backtest.until - backtest.since).total_seconds() / 86_400
        return {
            "guardrails": dict(self.guardrails),
            "crossing": self.crossing,
            "reasons": dict(self.reasons.most_common(10)),
            "borrowed": dict(self.borrowed),
            "other_rule": self.other_rule,
            "deltas": self.deltas.as_json(backtest.in_window / days),
        }
