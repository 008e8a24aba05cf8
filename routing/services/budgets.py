"""Sets budgets of keys and routes, and follows what was used of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, transaction

import audit
from accounts.models import ApiKey, User
from audit.actors import Actor
from routing.models import Budget, Route
from routing.models.budgets import LIMITS
from routing.services.policies import require
from screens.access import may
from screens.errors import Invalid, NotAllowed, NotFound

# Above this a limit is a slip of the keyboard.
_MOST = {"requests": 10**12, "tokens": 10**15, "usd": Decimal(10**9)}


def line_of(public_id: str) -> list[str]:
    """The public ids of a key and of those that it replaced, the first of them first.

    A budget belongs to the line: rotating a key neither ends nor renews it.
    """
    found = [public_id]
    key = ApiKey.objects.select_related("replaces").filter(public_id=public_id).first()
    while key is not None and key.replaces is not None and len(found) < 100:
        key = ApiKey.objects.select_related("replaces").get(pk=key.replaces.pk)
        found.append(key.public_id)
    return found[::-1]


def lines() -> dict[str, str]:
    """The first key of the line of every key."""
    pairs = list(ApiKey.objects.values_list("public_id", "replaces__public_id"))
    before = dict(pairs)
    firsts: dict[str, str] = {}
    for public_id, _ in pairs:
        first, steps = public_id, 0
        while before.get(first) and steps < 100:
            first, steps = str(before[first]), steps + 1
        firsts[public_id] = first
    return firsts


def _checked(limits: Mapping[str, Any]) -> dict[str, Any]:
    unknown = limits.keys() - set(LIMITS)
    if unknown:
        raise Invalid(f"There is no limit named {min(unknown)}.")
    for name, value in limits.items():
        most = _MOST[name.partition("_")[0]]
        if value is not None and not 0 <= value <= most:
            raise Invalid(f"{name.replace('_', ' ')} must be between 0 and {most:,}.")
    for what in ("requests", "tokens", "usd"):
        day, month = limits.get(f"{what}_day"), limits.get(f"{what}_month")
        if day is not None and month is not None and day > month:
            raise Invalid(
                f"The day's {what} are more than the month's.",
                what_next="Raise the month or lower the day.",
            )
    return {name: limits.get(name) for name in LIMITS}


def _facts(budget: Budget | None) -> dict[str, Any]:
    values = {name: getattr(budget, name, None) for name in LIMITS}
    return {
        name: format(value.normalize(), "f") if isinstance(value, Decimal) else value
        for name, value in values.items()
        if value is not None
    }


@transaction.atomic
def set_budget(
    *, scope: str, target: str, limits: Mapping[str, Any], by: User, reason: str
) -> Budget | None:
    """Give a key or a route its limits, in place of those it had; none at all ends the budget."""
    if scope == Budget.Scope.ROUTE:
        require(by, "routing.operate")
        if not Route.objects.filter(slug=target).exists():
            raise NotFound("There is no such route.")
    elif scope == Budget.Scope.KEY:
        if not may(by, "accounts.manage_keys"):
            raise NotAllowed
        if not ApiKey.objects.filter(public_id=target).exists():
            raise NotFound("There is no such key.")
        target = line_of(target)[0]
    else:
        raise Invalid("A budget belongs to a key or to a route.")
    if not reason.strip():
        raise Invalid("Give a reason; it is kept in the audit trail.", code="reason_missing")
    checked = _checked(limits)
    existing = Budget.objects.select_for_update().filter(scope=scope, target=target).first()
    before = _facts(existing)
    after: Budget | None = None
    if any(value is not None for value in checked.values()):
        after = Budget.objects.update_or_create(scope=scope, target=target, defaults=checked)[0]
        after.refresh_from_db()
    elif existing is not None:
        existing.delete()
    if before != _facts(after):
        audit.record(
            "budget.changed",
            by=Actor.of(by),
            object_type="api_key" if scope == Budget.Scope.KEY else "route",
            object_id=target,
            reason=reason.strip(),
            before=before,
            after=_facts(after),
        )
    return after


def budgets_for_snapshot() -> list[dict[str, Any]]:
    """Every budget as replicas need it; a key's with all keys of its line."""
    clients: dict[str, list[str]] = {}
    if Budget.objects.filter(scope=Budget.Scope.KEY).exists():
        for public_id, first in sorted(lines().items()):
            clients.setdefault(first, []).append(public_id)
    return [
        {
            "scope": budget.scope,
            "target": budget.target,
            "clients": clients.get(budget.target, []) if budget.scope == "key" else [],
            **{name: _plain(getattr(budget, name)) for name in LIMITS},
        }
        for budget in Budget.objects.all()
    ]


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Decimal) else value


# what was used


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """One decision's use, by the key, the route and the day on which it was received."""

    client_id: str
    route: str
    day: date
    tokens: int
    usd: Decimal


_ADD = """
    INSERT INTO routing_spend AS s (client_id, route, day, requests, tokens, usd)
    SELECT client_id, route, day, count(*), sum(tokens), sum(usd)
    FROM json_to_recordset(%s::json) AS u(
        client_id text, route text, day date, tokens bigint, usd numeric)
    GROUP BY client_id, route, day
    ON CONFLICT (client_id, route, day) DO UPDATE SET
        requests = s.requests + excluded.requests, tokens = s.tokens + excluded.tokens,
        usd = s.usd + excluded.usd
"""


def add_used(used: Iterable[Used]) -> None:
    """Count ended decisions, in the transaction that moves the follower's place."""
    rows = [
        {
            "client_id": one.client_id,
            "route": one.route,
            "day": one.day,
            "tokens": one.tokens,
            "usd": str(one.usd),
        }
        for one in used
    ]
    if rows:
        with connection.cursor() as cursor:
            cursor.execute(_ADD, [orjson.dumps(rows).decode()])


def tokens_in(details: Mapping[str, Any]) -> int:
    """The tokens of every attempt of a terminal event, served or not."""
    attempts = details.get("attempts") or ()
    return sum((one.get("input_tokens") or 0) + (one.get("output_tokens") or 0) for one in attempts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the ledger's follower had counted at one moment, and which decisions were in it."""

    rows: tuple[tuple[str, str, date, int, int, Decimal], ...]
    counted: frozenset[UUID]


# One statement, so that the sums and the decisions in them are of the same moment.
_SEEN = """
    SELECT client_id, route, day, requests, tokens, usd, NULL::uuid FROM routing_spend
    WHERE day >= %(since)s AND (client_id = ANY(%(clients)s) OR route = ANY(%(routes)s))
    UNION ALL
    SELECT '', '', NULL, 0, 0, 0, id FROM routing_decision
    WHERE id = ANY(%(pending)s::uuid[]) AND outcome <> 'open'
"""


def read_used(
    *, clients: Iterable[str], routes: Iterable[str], pending: Iterable[UUID], now: datetime
) -> Seen:
    """What these keys and routes used since the month began, and which of ``pending`` is in it."""
    with connection.cursor() as cursor:
        cursor.execute(
            _SEEN,
            {
                "since": now.date().replace(day=1),
                "clients": list(clients),
                "routes": list(routes),
                "pending": list(pending),
            },
        )
        found = cursor.fetchall()
    return Seen(
        rows=tuple(row[:6] for row in found if row[6] is None),
        counted=frozenset(row[6] for row in found if row[6] is not None),
    )
