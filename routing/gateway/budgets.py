"""Holds keys and routes to their budgets: reserve the worst case, then settle what it was.

The ledger's follower counts what was used; this process adds what it has settled since and what is
still on its way. Nothing here waits: the counts are read beside the requests.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from time import time
from typing import TYPE_CHECKING
from uuid import UUID

from routing.gateway.snapshot import Budget, ClientKey, Snapshot
from routing.services import budgets as services

if TYPE_CHECKING:
    from routing.gateway.carry import Carrier
    from routing.gateway.planning import Plan
    from routing.gateway.snapshot import LiveBackend

_MILLION = Decimal(1_000_000)
# Our count of a prompt's tokens is an estimate; another tokenizer makes more of them.
_MARGIN_PCT = 125
_FULL = Decimal(100)

Target = tuple[str, str]


@dataclass(slots=True)
class Amounts:
    requests: int = 0
    tokens: int = 0
    usd: Decimal = Decimal(0)

    def add(self, requests: int, tokens: int, usd: Decimal, sign: int = 1) -> None:
        self.requests += sign * requests
        self.tokens += sign * tokens
        self.usd += sign * usd


@dataclass(slots=True, kw_only=True)
class Reservation:
    """What one request may cost at most, until it is settled."""

    targets: tuple[Target, ...]
    decision_id: UUID
    day: str
    tokens: int = 0
    usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Settled:
    targets: tuple[Target, ...]
    day: str
    tokens: int
    usd: Decimal


@dataclass(slots=True)
class _Counts:
    """Of one key or route: by day and month what the ledger says, and what it does not yet say."""

    ledger: dict[str, Amounts] = field(default_factory=dict)
    settled: dict[str, Amounts] = field(default_factory=dict)
    reserved: Amounts = field(default_factory=Amounts)


class Budgets:
    def __init__(self) -> None:
        self._counts: dict[Target, _Counts] = {}
        self._pending: dict[UUID, _Settled] = {}

    def targets(self, snapshot: Snapshot, key: ClientKey, slug: str) -> tuple[Target, ...]:
        """Which of a request's key and route have a budget; mostly neither has."""
        if not snapshot.budgets:
            return ()
        pair = (("key", key.line or key.public_id), ("route", slug))
        return tuple(one for one in pair if one in snapshot.budgets)

    def over(
        self, snapshot: Snapshot, targets: Iterable[Target], own: Reservation | None = None
    ) -> str:
        """``all`` where no backend may be called any more, ``cost`` where only free ones may.

        ``own`` is left out: a request is not stopped by what it has reserved itself.
        """
        found = ""
        for target in targets:
            state = self._over(snapshot.budgets[target], target, own)
            if state == "all":
                return state
            found = found or state
        return found

    def _over(self, budget: Budget, target: Target, own: Reservation | None) -> str:
        found = ""
        for period, stamp in _periods():
            used = self._used(target, stamp, own)
            if _is_reached(budget.limits.get(f"requests_{period}"), used.requests):
                return "all"
            if _is_reached(budget.limits.get(f"tokens_{period}"), used.tokens):
                return "all"
            if _is_reached(budget.limits.get(f"usd_{period}"), used.usd):
                found = "cost"
        return found

    def _used(self, target: Target, stamp: str, own: Reservation | None = None) -> Amounts:
        counts = self._counts.get(target)
        used = Amounts()
        if counts is None:
            return used
        for part in (counts.ledger.get(stamp), counts.settled.get(stamp), counts.reserved):
            if part is not None:
                used.add(part.requests, part.tokens, part.usd)
        if own is not None and target in own.targets:
            used.add(1, own.tokens, own.usd, -1)
        return used

    def left_pct(self, snapshot: Snapshot, slug: str) -> Decimal | None:
        """The share of the route's budget that is left, by its scarcest limit; None without one."""
        budget = snapshot.budgets.get(("route", slug))
        if budget is None:
            return None
        shares = []
        for period, stamp in _periods():
            used = self._used(("route", slug), stamp)
            for what in ("requests", "tokens", "usd"):
                limit = budget.limits.get(f"{what}_{period}")
                if limit is not None:
                    spent = Decimal(getattr(used, what))
                    shares.append((limit - spent) / limit * _FULL if limit else Decimal(0))
        if not shares:
            return None
        return max(Decimal(0), min(_FULL, *shares)).quantize(Decimal("0.01"))

    # one request

    def reserve(self, plan: Plan) -> Reservation | None:
        """Set aside the worst case of a routed request; nothing where no budget looks on."""
        targets = plan.budgeted
        if not targets:
            return None
        made = Reservation(targets=targets, decision_id=plan.decision_id, day=_day())
        for target in targets:
            self._of(target).reserved.requests += 1
        if plan.decision.action == "route":
            self.reserve_more(made, plan, plan.snapshot.backends[plan.target])
        return made

    def reserve_more(self, reservation: Reservation, plan: Plan, backend: LiveBackend) -> None:
        """Another hop: its worst case comes on top, for what was tried before is owed too."""
        tokens_in = plan.prompt_tokens * _MARGIN_PCT // 100
        copies = plan.request.fields.get("n")
        copies = copies if isinstance(copies, int) and 0 < copies <= 128 else 1
        tokens_out = (plan.request.output_tokens or backend.max_output_tokens) * copies
        usd = (backend.price_in * tokens_in + backend.price_out * tokens_out) / _MILLION
        reservation.tokens += tokens_in + tokens_out
        reservation.usd += usd
        for target in reservation.targets:
            self._of(target).reserved.add(0, tokens_in + tokens_out, usd)

    def settle(self, reservation: Reservation, carrier: Carrier) -> None:
        """Put what was used in the place of what was set aside."""
        tokens = sum(attempt.tokens() for attempt in carrier.attempts)
        usd = sum((attempt.cost_usd() for attempt in carrier.attempts), Decimal(0))
        used = _Settled(targets=reservation.targets, day=reservation.day, tokens=tokens, usd=usd)
        for target in reservation.targets:
            self._of(target).reserved.add(1, reservation.tokens, reservation.usd, -1)
        self._pending[reservation.decision_id] = used
        self._count(used, 1)

    def _of(self, target: Target) -> _Counts:
        counts = self._counts.get(target)
        if counts is None:
            counts = self._counts[target] = _Counts()
        return counts

    def _count(self, used: _Settled, sign: int) -> None:
        for target in used.targets:
            settled = self._of(target).settled
            for stamp in (used.day, used.day[:7]):
                settled.setdefault(stamp, Amounts()).add(1, used.tokens, used.usd, sign)

    # beside the requests

    def read(self, snapshot: Snapshot) -> services.Seen | None:
        """Read what the ledger's follower has counted; runs in a thread, on its own connection."""
        if not snapshot.budgets:
            return None
        keys = [one for (scope, _), one in snapshot.budgets.items() if scope == "key"]
        return services.read_used(
            clients=[client for one in keys for client in one.clients],
            routes=[target for scope, target in snapshot.budgets if scope == "route"],
            pending=list(self._pending),
            now=datetime.now(UTC),
        )

    def take_over(self, snapshot: Snapshot, seen: services.Seen) -> None:
        """Take the ledger's counts, and let go of what is in them by now."""
        lines = {
            client: target
            for (scope, target), one in snapshot.budgets.items()
            if scope == "key"
            for client in one.clients
        }
        fresh: dict[Target, dict[str, Amounts]] = {}
        for client, route, day, requests, tokens, usd in seen.rows:
            for target in (("key", lines.get(client, client)), ("route", route)):
                stamps = fresh.setdefault(target, {})
                for stamp in (day.isoformat(), day.isoformat()[:7]):
                    stamps.setdefault(stamp, Amounts()).add(requests, tokens, usd)
        for target in snapshot.budgets:
            self._of(target).ledger = fresh.get(target, {})
        for decision_id in seen.counted:
            used = self._pending.pop(decision_id, None)
            if used is not None:
                self._count(used, -1)


def _is_reached(limit: Decimal | None, used: Decimal | int) -> bool:
    return limit is not None and used >= limit


def _day() -> str:
    return datetime.fromtimestamp(time(), UTC).date().isoformat()


def _periods() -> tuple[tuple[str, str], ...]:
    day = _day()
    return (("day", day), ("month", day[:7]))
