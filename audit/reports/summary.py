"""What the printed report says, gathered while the entries go by, in bounded memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any, Final

from audit.events import GROUPS, group_of, words

MOST_LISTED: Final = 300

_CHANGES: Final = ("policy", "backend")
_OUTCOMES: Final = {
    "decision.completed": "served",
    "decision.safe_default": "safe default",
    "decision.held": "held",
    "decision.refused": "refused",
    "decision.failed": "failed",
    "decision.aborted": "broken off by the client",
    "decision.blocked": "blocked before sending",
    "decision.outcome_unknown": "outcome unknown",
}


@dataclass(slots=True)
class Listing:
    """Entries worth reading one by one; counts on when it is full."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    total: int = 0

    def add(self, seq: int, entry: dict[str, Any]) -> None:
        self.total += 1
        if len(self.rows) < MOST_LISTED:
            self.rows.append(
                {
                    "seq": seq,
                    "at": entry["at"][:19].replace("T", " "),
                    "words": words(entry),
                    "actor": entry["actor"]["name"],
                    "roles": ", ".join(entry["actor"]["roles"]),
                    "reason": entry["reason"],
                    "result": entry["result"],
                }
            )

    @property
    def left_out(self) -> int:
        return self.total - len(self.rows)


@dataclass(slots=True)
class Served:
    """One backend's share."""

    tier: str = ""
    boundary: str = ""
    requests: int = 0
    cost_usd: Decimal = Decimal(0)


class Summary:
    def __init__(self, period_from: str, period_to: str) -> None:
        self._period = (period_from, period_to)
        self.kinds: Counter[str] = Counter()
        self.outcomes: Counter[str] = Counter()
        self.backends: dict[str, Served] = {}
        self.rules: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.public: Counter[str] = Counter()
        self.changes = Listing()
        self.access = Listing()
        self.privacy = Listing()
        self.exceptions = Listing()

    def add(self, seq: int, entry: dict[str, Any]) -> None:
        if not self._period[0] <= entry["at"] < self._period[1]:
            return
        kind = entry["kind"]
        self.kinds[kind] += 1
        group = group_of(kind)
        if group == "decision":
            self._decision(kind, entry)
        elif group == "review" and kind == "review.decided":
            self.verdicts[str(entry["details"].get("verdict") or "decided")] += 1
        if group in _CHANGES and kind != "backend.tested":
            self.changes.add(seq, entry)
        elif group == "access":
            self.access.add(seq, entry)
        elif group == "privacy":
            self.privacy.add(seq, entry)
        if _is_exception(kind, entry):
            self.exceptions.add(seq, entry)

    def _decision(self, kind: str, entry: dict[str, Any]) -> None:
        details = entry["details"]
        if kind == "decision.made":
            decision = details.get("decision") or {}
            self.rules[str(decision.get("rule") or "(none)")] += 1
            if decision.get("boundary") == "public":
                self.public[str(decision.get("data_class") or "(none)")] += 1
            return
        if kind not in _OUTCOMES:
            return
        self.outcomes[_OUTCOMES[kind]] += 1
        if name := details.get("backend"):
            served = self.backends.setdefault(str(name), Served())
            served.tier = str(details.get("tier") or served.tier)
            served.boundary = str(details.get("boundary") or served.boundary)
            served.requests += 1
            served.cost_usd += _amount(details.get("cost_usd"))

    def as_context(self) -> dict[str, Any]:
        """For the template: all in a fixed order, so that the same entries print the same."""
        served = sum(item.requests for item in self.backends.values())
        return {
            "kinds": [
                {
                    "heading": heading,
                    "rows": sorted(
                        (kind, n) for kind, n in self.kinds.items() if group_of(kind) == group
                    ),
                }
                for group, heading in GROUPS.items()
                if any(group_of(kind) == group for kind in self.kinds)
            ],
            "outcomes": sorted(self.outcomes.items(), key=lambda pair: (-pair[1], pair[0])),
            "backends": [
                {
                    "name": name,
                    "tier": item.tier,
                    "boundary": item.boundary,
                    "requests": item.requests,
                    "percent": f"{100 * item.requests / served:.1f}",
                    "cost_usd": format(item.cost_usd, "f"),
                }
                for name, item in sorted(self.backends.items())
            ],
            "rules": sorted(self.rules.items(), key=lambda pair: (-pair[1], pair[0]))[:50],
            "verdicts": sorted(self.verdicts.items()),
            "public": sorted(self.public.items()),
            "changes": self.changes,
            "access": self.access,
            "privacy": self.privacy,
            "exceptions": self.exceptions,
        }


def _is_exception(kind: str, entry: dict[str, Any]) -> bool:
    return (
        kind
        in {"decision.outcome_unknown", "decision.blocked", "kill_switch.engaged", "review.expired"}
        or kind.startswith("kill_switch.")
        or entry["result"] == "denied"
    )


def _amount(value: Any) -> Decimal:
    try:
        return Decimal(str(value or 0))
    except InvalidOperation:
        return Decimal(0)
