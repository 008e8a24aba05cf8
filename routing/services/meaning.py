"""What a version changes in meaning against its base, for how much traffic, and who must approve.

Two people approve what loosens a boundary, touches restricted data, removes a hold or raises the
projected cost. Recorded decisions are decided again from their facts; no prompt is read.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from django.db import connection
from django.utils import timezone

from audit.ids import first_id
from routing.engine import meaning
from routing.engine.document import parse_policy
from routing.engine.types import BackendFacts, Decision, PolicyError
from routing.models import PolicyVersion
from routing.services.analysis import registry_facts
from routing.services.redecide import Redecider, compiled_version
from screens.errors import Invalid

WINDOW = timedelta(days=14)
MOST_DECISIONS = 1_000
# Fewer decisions say nothing of a cost.
FEWEST_FOR_COST = 50
COST_LIMIT = Decimal("1.20")
_MILLION = Decimal(1_000_000)

_RECORDED = """
    SELECT d.id, d.input_tokens, d.output_tokens, e.body
    FROM routing_decision d JOIN audit.event e ON e.id = d.id
    WHERE d.route = %s AND d.id >= %s ORDER BY d.id DESC LIMIT %s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why one approver is not enough: a stable code and the clause after "because"."""

    code: str
    words: str

    def as_json(self) -> dict[str, str]:
        return {"code": self.code, "words": self.words}


@dataclass(slots=True, kw_only=True)
class Traffic:
    """The recorded decisions of the window under the base and under the version.

    `pairs` counts old and new rule; `unable` are decisions whose record does not suffice. Costs are
    in USD at today's prices, with the tokens that were recorded; a held request costs nothing.
    """

    since: datetime
    decided: int = 0
    unable: int = 0
    changed: int = 0
    bounded: bool = False
    cost_before: Decimal = Decimal(0)
    cost_after: Decimal = Decimal(0)
    pairs: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[tuple[str, str], UUID] = field(default_factory=dict)

    @property
    def raises_cost(self) -> bool:
        return (
            self.decided >= FEWEST_FOR_COST
            and self.cost_after > 0
            and self.cost_after > self.cost_before * COST_LIMIT
        )

    @property
    def cost_change(self) -> str:
        """By how much the projected cost changes, in words; nothing where there is no base cost."""
        ratio = self.cost_ratio
        return "" if ratio is None else f"{(ratio - 1) * 100:+.0f} %".replace("-", "−")

    @property
    def cost_ratio(self) -> Decimal | None:
        """The projected cost over that of the base, or None where the base costs nothing."""
        return self.cost_after / self.cost_before if self.cost_before else None


def meaning_of(version: PolicyVersion) -> meaning.Meaning | None:
    """The changes against the base; None without a base, or where a document cannot be read."""
    if version.base is None:
        return None
    try:
        old, new = parse_policy(version.base.document), parse_policy(version.document)
    except PolicyError:
        return None
    return meaning.compare(old, new, registry_facts(), floor=version.route.data_class)


def traffic_of(version: PolicyVersion) -> Traffic | None:
    """The newest recorded decisions of the route under both versions; None without a base."""
    if version.base is None:
        return None
    try:
        deciders = [Redecider(candidate=compiled_version(one)) for one in (version.base, version)]
    except Invalid:
        return None
    traffic = Traffic(since=timezone.now() - WINDOW)
    with connection.cursor() as cursor:
        cursor.execute(_RECORDED, [version.route.slug, first_id(traffic.since), MOST_DECISIONS + 1])
        rows = cursor.fetchall()
    traffic.bounded = len(rows) > MOST_DECISIONS
    prices = registry_facts()
    for decision_id, tokens_in, tokens_out, body in rows[:MOST_DECISIONS]:
        details = orjson.loads(bytes(body))["details"]
        before, after = (one.again(details).decision for one in deciders)
        if before is None or after is None:
            traffic.unable += 1
            continue
        used = (
            tokens_in or _prompt_tokens(before),
            tokens_out or details["facts"]["output_tokens"],
        )
        traffic.cost_before += _cost(before, used, prices)
        traffic.cost_after += _cost(after, used, prices)
        _count(traffic, decision_id, before, after)
    return traffic


def _count(traffic: Traffic, decision_id: UUID, before: Decision, after: Decision) -> None:
    traffic.decided += 1
    pair = (before.rule, after.rule)
    traffic.pairs[pair] += 1
    traffic.examples.setdefault(pair, decision_id)
    if (before.action, before.backend, before.hold) != (after.action, after.backend, after.hold):
        traffic.changed += 1


def _prompt_tokens(decision: Decision) -> int:
    measured = decision.trace.signals.get("prompt_tokens", 0)
    return measured if isinstance(measured, int) else 0


def _cost(decision: Decision, tokens: tuple[int, int], prices: dict[str, BackendFacts]) -> Decimal:
    backend = prices.get(decision.backend or "")
    if backend is None:
        return Decimal(0)
    return (tokens[0] * backend.price_in + tokens[1] * backend.price_out) / _MILLION


def reasons_of(version: PolicyVersion) -> list[Reason]:
    """Why this version needs two approvers as it stands now; empty when one is enough."""
    if version.base is None:
        return _first_reasons(version)
    found = meaning_of(version)
    if found is None:
        words = "the two documents cannot be compared"
        return [Reason(code="not_comparable", words=words)]
    return reasons_from(found, traffic_of(version))


def reasons_from(found: meaning.Meaning, traffic: Traffic | None) -> list[Reason]:
    reasons = []
    for code, attribute, words in (
        ("boundary", "loosens_boundary", "it loosens a boundary"),
        ("restricted", "touches_restricted", "it changes what happens to restricted data"),
        ("hold", "removes_hold", "it removes a hold, or holds less often"),
    ):
        first = next((one for one in found.changes if getattr(one, attribute)), None)
        if first is not None:
            reasons.append(Reason(code=code, words=f"{words} ({_example(first)})"))
    if not found.is_complete:
        words = "it changes too much to be compared to the end"
        reasons.append(Reason(code="not_comparable", words=words))
    if traffic is not None and traffic.raises_cost:
        reasons.append(Reason(code="cost", words=f"it raises the projected cost {_rise(traffic)}"))
    return reasons


def _example(change: meaning.Change) -> str:
    where = f" under “{change.new_name}”" if change.new_name else ""
    return f"{change.words[:1].lower()}{change.words[1:]}{where}"


def _rise(traffic: Traffic) -> str:
    of = f"of {traffic.decided:,} recorded decisions"
    basis = f"(those since {traffic.since:%Y-%m-%d}, decided again, at today's prices)"
    ratio = traffic.cost_ratio
    if ratio is None:
        return f"{of} from nothing to {traffic.cost_after:.6f} USD {basis}"
    change = f"from {traffic.cost_before:.6f} to {traffic.cost_after:.6f} USD"
    return f"{of} by {(ratio - 1) * 100:.0f} %, {change} {basis}"


def _first_reasons(version: PolicyVersion) -> list[Reason]:
    """A first policy has nothing to be compared with; what it opens to the outside counts."""
    try:
        policy = parse_policy(version.document)
    except PolicyError:
        return []
    if not meaning.sends_outside(policy, registry_facts(), floor=version.route.data_class):
        return []
    return [Reason(code="boundary", words="it is the first, and can send data to a public backend")]


def reasons_shown(version: PolicyVersion, found: meaning.Meaning | None) -> list[dict[str, Any]]:
    """The reasons as submitted, or for a draft as they would be now without the projected cost."""
    if version.state != PolicyVersion.State.DRAFT:
        stored: list[dict[str, Any]] = version.approval_reasons
        return stored
    if version.base is None:
        return [reason.as_json() for reason in _first_reasons(version)]
    return [reason.as_json() for reason in reasons_from(found, None)] if found else []
