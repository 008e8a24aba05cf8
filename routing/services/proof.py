"""The replay proof: recorded decisions come out again, all equal, under the version of their time.

Reads only; nothing is sent, stored or recorded.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from routing.engine.changes import Outcome
from routing.engine.compiled import CompiledPolicy
from routing.services.redecide import Redecider, newest
from routing.services.replay import differences_of

SHOWN = 20


@dataclass(slots=True)
class Proof:
    """`unequal` and `unable` name decisions; `confusion` counts (came then, comes now)."""

    read: int = 0
    equal: int = 0
    unequal: list[dict[str, Any]] = field(default_factory=list)
    unequal_count: int = 0
    unable: Counter[str] = field(default_factory=Counter)
    confusion: Counter[tuple[str, str]] = field(default_factory=Counter)
    not_evaluated: Counter[str] = field(default_factory=Counter)

    @property
    def holds(self) -> bool:
        """Every decision that was read came out again; one that could not be read is no proof."""
        return self.equal == self.read

    def as_json(self) -> dict[str, Any]:
        return {
            "read": self.read,
            "equal": self.equal,
            "different": self.unequal_count,
            "differences": self.unequal,
            "unable": dict(self.unable),
            "holds": self.holds,
            "confusion": [
                {"from": before, "to": after, "count": count}
                for (before, after), count in sorted(self.confusion.items())
            ],
            "not_evaluated": dict(self.not_evaluated),
        }


def prove(*, decisions: int, route: str = "", against: CompiledPolicy | None = None) -> Proof:
    """Decide the newest decisions again under their own versions, and once more under `against`."""
    proof = Proof()
    own = Redecider()
    other = Redecider(candidate=against, versions=own.versions) if against else None
    for decision_id, details in newest(limit=decisions, route=route):
        proof.read += 1
        _compare(proof, own, str(decision_id), details)
        if other is not None:
            _confuse(proof, other, details)
    return proof


def _compare(proof: Proof, own: Redecider, decision_id: str, details: dict[str, Any]) -> None:
    again = own.again(details)
    if again.decision is None:
        proof.unable[again.unable] += 1
        return
    found = differences_of(details["decision"], again.decision.as_json(), with_trace=True)
    if not found:
        proof.equal += 1
        return
    proof.unequal_count += 1
    if len(proof.unequal) < SHOWN:
        proof.unequal.append(
            {
                "decision": decision_id,
                "policy": details["policy"],
                "what": [
                    {"name": one.name, "recorded": one.recorded, "now": one.now} for one in found
                ],
            }
        )


def _confuse(proof: Proof, other: Redecider, details: dict[str, Any]) -> None:
    again = other.again(details)
    if again.decision is None:
        proof.not_evaluated[again.unable] += 1
        return
    before = Outcome.of(details["decision"]).place
    after = Outcome.of(again.decision.as_json()).place
    proof.confusion[before, after] += 1
