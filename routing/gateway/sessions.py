"""Remembers which tier a session was given, so that a conversation does not change its voice.

Per key, session, policy version and data class, in this process. It proposes a tier; the engine
decides whether it holds, and everything that protects somebody wins over it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from routing.engine.types import SignalValue

if TYPE_CHECKING:
    from routing.engine.policy import Session
    from routing.engine.types import Decision, Facts

LONGEST_S = 4 * 3600.0
MOST = 20_000
_CLASSIFIED = ("gain", "score", "unfamiliar")
_WHY_NOT_ABLE = {
    "cooldown": "breaker",
    "unhealthy": "breaker",
    "over_budget": "budget",
    "capability": "capability",
    "context_window": "capability",
    "disabled": "kill_switch",
}

Key = tuple[str, str, str]


@dataclass(slots=True)
class Remembered:
    """``data_class`` is that of the decision, which a rule may have raised above the lookup's."""

    tier: str
    data_class: str
    since: float
    seen: float
    classified: Mapping[str, SignalValue]


class Sessions:
    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._entries: OrderedDict[Key, Remembered] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, key: Key, now: float, idle_s: float) -> Remembered | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        if now - entry.seen > idle_s or now - entry.since > LONGEST_S:
            del self._entries[key]
            return None
        return entry

    def keep(self, key: Key, entry: Remembered) -> None:
        self._entries[key] = entry
        self._entries.move_to_end(key)
        while len(self._entries) > self._most:
            self._entries.popitem(last=False)


@dataclass(slots=True, kw_only=True)
class Turn:
    """One request of a session: what was remembered before it, and what it leaves behind.

    ``state`` is hit, miss or bypass; ``why`` says in one word what won over the memory.
    """

    sessions: Sessions
    key: Key
    terms: Session
    before: Remembered | None
    now: float
    classified: Mapping[str, SignalValue] = field(default_factory=dict)
    state: str = "miss"
    why: str = ""

    @property
    def tier(self) -> str | None:
        return self.before.tier if self.before else None

    def judge(self, decision: Decision, facts: Facts) -> None:
        """Say whether the memory held in this decision, and if not, what was stronger."""
        if self.before is None:
            # Also where the memory was of another data class: a miss, or left aside by `_decide`.
            if not self.why and facts.classifier_failed:
                self.why = "classifier"
        elif decision.action == "route" and decision.tier == self.before.tier:
            self.state = "hit"
        else:
            self.state = "bypass"
            self.why = self.why or self._why(decision, self.before.tier)

    def _why(self, decision: Decision, tier: str) -> str:
        if decision.action != "route":
            return decision.cause
        if decision.cause in ("explicit_pin", "rollout_baseline", "classifier_unavailable"):
            return decision.cause
        if decision.tier == "llm" and self.terms.may_rise:
            return "rises"
        if decision.tier == "slm" and self.terms.may_fall:
            return "falls"
        reasons = [
            one.reason
            for one in decision.trace.candidates
            if one.tier == tier and one.verdict == "rejected"
        ]
        first = next((reason for reason in reasons if reason != "lower_priority"), "")
        return _WHY_NOT_ABLE.get(first, "boundary" if first else "rule")

    def remember(self, decision: Decision, facts: Facts, *, tier: str) -> None:
        """Keep what a served answer settled. Nothing decided around a failure is kept."""
        if not decision.sticky or facts.classifier_failed:
            return
        before = self.before
        if before is not None and before.tier != tier:
            may_change = self.terms.may_rise if tier == "llm" else self.terms.may_fall
            if not may_change:
                tier = before.tier
        self.sessions.keep(
            self.key,
            Remembered(
                tier=tier,
                data_class=decision.data_class,
                since=before.since if before else self.now,
                seen=self.now,
                classified=self.classified or (before.classified if before else {}),
            ),
        )

    def as_json(self) -> dict[str, Any]:
        before = self.before
        return {
            "state": self.state,
            "why": self.why,
            "tier": before.tier if before else None,
            "age_s": round(self.now - before.since) if before else None,
        }


def classified_in(measured: Mapping[str, SignalValue]) -> dict[str, SignalValue]:
    return {name: measured[name] for name in _CLASSIFIED if name in measured}
