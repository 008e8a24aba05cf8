"""Follows the ledger and keeps the decision list: read models are derived, never written beside it.

Position and rows move in one transaction, so a crash repeats nothing and loses nothing. The counts
that screens read (Traffic, Speed) move with the rows, by triggers of the list.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from django.db import connection, transaction
from django.utils import timezone

from routing.models import Decision, Projection, Span, Speed, Spend, Traffic
from routing.queries.traffic import FIVE_MINUTES_KEPT
from routing.services import budgets

NAME = "decisions"
BATCH = 1000

_OUTCOMES = {
    "decision.completed": "served",
    "decision.safe_default": "safe_default",
    "decision.held": "held",
    "decision.refused": "refused",
    "decision.failed": "failed",
    "decision.aborted": "aborted",
    "decision.blocked": "blocked",
    "decision.outcome_unknown": "outcome_unknown",
}

_NEXT = """
    SELECT l.seq, e.kind, e.at, e.decision_id, e.request_id, e.body
    FROM audit.leaf l JOIN audit.event e ON e.id = l.event_id
    WHERE l.seq > %s AND l.seq <= %s + %s
    ORDER BY l.seq
"""


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _decimal(value: Any) -> Decimal | None:
    return None if value is None else Decimal(value)


def _made(decision_id: Any, request_id: str, body: dict[str, Any]) -> Decision:
    details = body["details"]
    decision = details["decision"]
    return Decision(
        id=decision_id,
        at=_at(details["received_at"]),
        deadline_at=_at(details["deadline_at"]),
        route=details["route"],
        client=details["client"]["name"],
        client_id=details["client"]["id"],
        request_id=request_id,
        session=details["session"],
        policy=details["policy"],
        policy_digest=details["policy_digest"],
        rule=decision["rule"],
        cause=decision["cause"],
        action=decision["action"],
        tier=decision["tier"] or "",
        backend=decision["backend"] or "",
        boundary=decision["boundary"] or "",
        data_class=decision["data_class"],
        streamed=details["stream"],
        prompt_bytes=details["input"]["bytes"],
        sentence=decision["sentence"],
    )


def _ended(kind: str, at: datetime, body: dict[str, Any]) -> dict[str, Any]:
    details = body["details"]
    changes: dict[str, Any] = {
        "outcome": _OUTCOMES[kind],
        "finished_at": at,
        "attempts": len(details.get("attempts") or ()),
        "input_tokens": details.get("input_tokens"),
        "output_tokens": details.get("output_tokens"),
        "usage_source": details.get("usage_source") or "",
        "cost_usd": _decimal(details.get("cost_usd")),
        "baseline_cost_usd": _decimal(details.get("baseline_cost_usd")),
        "overhead_us": details.get("overhead_us"),
        "first_token_ms": details.get("first_token_ms"),
        "total_ms": details.get("total_ms"),
        "error_code": details.get("error_code") or "",
    }
    for name in ("backend", "tier", "boundary"):
        # Where a fallback or a hold served it, the last backend is the one that counts.
        if details.get(name):
            changes[name] = details[name]
    return changes


_ENDS = """
    UPDATE routing_decision d SET
        outcome = e.outcome, finished_at = e.finished_at, attempts = e.attempts,
        input_tokens = e.input_tokens, output_tokens = e.output_tokens,
        usage_source = e.usage_source, cost_usd = e.cost_usd,
        baseline_cost_usd = e.baseline_cost_usd, overhead_us = e.overhead_us,
        first_token_ms = e.first_token_ms, total_ms = e.total_ms, error_code = e.error_code,
        backend = coalesce(e.backend, d.backend), tier = coalesce(e.tier, d.tier),
        boundary = coalesce(e.boundary, d.boundary)
    FROM json_to_recordset(%s::json) AS e(
        id uuid, outcome text, finished_at timestamptz, attempts smallint, input_tokens int,
        output_tokens int, usage_source text, cost_usd numeric, baseline_cost_usd numeric,
        overhead_us int, first_token_ms int, total_ms int, error_code text, backend text,
        tier text, boundary text)
    WHERE d.id = e.id
"""


def _store_ends(ended: list[tuple[UUID, dict[str, Any]]]) -> None:
    """One statement for a batch: a row at a time was most of the follower's work."""
    if not ended:
        return
    rows = [{"id": decision_id, **changes} for decision_id, changes in ended]
    with connection.cursor() as cursor:
        cursor.execute(_ENDS, [orjson.dumps(rows, default=str).decode()])


def _used(ended: dict[Any, dict[str, Any]]) -> list[budgets.Used]:
    """What the ended decisions used; who asked, and when, stands with their beginning."""
    begun = Decision.objects.filter(id__in=list(ended)).values_list(
        "id", "client_id", "route", "at"
    )
    return [
        budgets.Used(
            client_id=client_id,
            route=route,
            day=at.astimezone(UTC).date(),
            tokens=budgets.tokens_in(ended[decision_id]),
            usd=_decimal(ended[decision_id].get("cost_usd")) or Decimal(0),
        )
        for decision_id, client_id, route, at in begun.values_list("id", "client_id", "route", "at")
    ]


@transaction.atomic
def follow() -> int:
    """Take the next entries of the ledger into the decision list; returns how many were read."""
    Projection.objects.get_or_create(name=NAME)
    place = Projection.objects.select_for_update().get(name=NAME)
    with connection.cursor() as cursor:
        cursor.execute(_NEXT, [place.position, place.position, BATCH])
        entries = cursor.fetchall()
    if not entries:
        return 0
    made: dict[Any, Decision] = {}
    ended: list[tuple[Any, dict[str, Any]]] = []
    entries_ended: dict[Any, dict[str, Any]] = {}
    for _, kind, at, decision_id, request_id, body in entries:
        if kind == "decision.made":
            made[decision_id] = _made(decision_id, request_id, orjson.loads(bytes(body)))
        elif kind in _OUTCOMES:
            read = orjson.loads(bytes(body))
            entries_ended[decision_id] = read["details"]
            changes = _ended(kind, at, read)
            if decision_id in made:
                for name, value in changes.items():
                    setattr(made[decision_id], name, value)
            else:
                ended.append((decision_id, changes))
    Decision.objects.bulk_create(made.values(), ignore_conflicts=True)
    _store_ends(ended)
    budgets.add_used(_used(entries_ended))
    place.position = entries[-1][0]
    place.save(update_fields=["position"])
    return len(entries)


@transaction.atomic
def rebuild() -> None:
    """Forget the decision list; ``follow`` then makes it again from the first entry."""
    _hold_the_follower_off()
    Decision.objects.all().delete()
    Traffic.objects.all().delete()
    Speed.objects.all().delete()
    Spend.objects.all().delete()
    Projection.objects.filter(name=NAME).update(position=-1)


@transaction.atomic
def recount() -> int:
    """Count traffic and speeds again from the decision list; returns how many have ended."""
    _hold_the_follower_off()
    with connection.cursor() as cursor:
        cursor.execute("SELECT routing_recount()")
        return int(cursor.fetchone()[0])


def _hold_the_follower_off() -> None:
    Projection.objects.get_or_create(name=NAME)
    Projection.objects.select_for_update().get(name=NAME)


def keep_house() -> int:
    """Make the months ahead, drop slots of five minutes that no screen reads; returns how many.

    Safe to run late or twice: rows of a month that is not there yet wait at the edge.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT routing_ensure_partitions(3)")
    old = {"span": Span.FIVE_MINUTES, "slot__lt": timezone.now() - FIVE_MINUTES_KEPT}
    return sum(model.objects.filter(**old).delete()[0] for model in (Traffic, Speed))
