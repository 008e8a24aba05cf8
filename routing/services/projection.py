"""Follows the ledger and keeps the decision list: read models are derived, never written beside it.

Position and rows move in one transaction, so a crash repeats nothing and loses nothing. The counts
that screens read (Traffic, Speed) move with the rows, by triggers of the list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import psycopg
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

_LATER = {"fallback": "fallback_error", "escalation": "uncertain_escalated"}

_NEXT = """
    SELECT l.seq, e.kind, e.at, e.decision_id, e.request_id,
        CASE WHEN e.kind LIKE 'decision.%%' THEN e.body END
    FROM audit.leaf l JOIN audit.event e ON e.id = l.event_id
    WHERE l.seq > %s AND l.seq <= %s + %s
    ORDER BY l.seq
"""


def _next(position: int) -> list[Any]:
    # The driver's own cursor and its binary form: as text, bodies would be twice as long.
    with psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(_NEXT, (position, position, BATCH), binary=True)
        return cursor.fetchall()


def _made(decision_id: UUID, request_id: str, body: dict[str, Any]) -> dict[str, Any]:
    details = body["details"]
    decision = details["decision"]
    return {
        "id": decision_id,
        "at": details["received_at"],
        "deadline_at": details["deadline_at"],
        "route": details["route"],
        "client": details["client"]["name"],
        "client_id": details["client"]["id"],
        "request_id": request_id,
        "session": details["session"],
        "policy": details["policy"],
        "policy_digest": details["policy_digest"],
        "rule": decision["rule"],
        "cause": decision["cause"],
        "action": decision["action"],
        "tier": decision["tier"] or "",
        "backend": decision["backend"] or "",
        "boundary": decision["boundary"] or "",
        "data_class": decision["data_class"],
        "streamed": details["stream"],
        "prompt_bytes": details["input"]["bytes"],
        "sentence": decision["sentence"],
        "outcome": "open",
        "attempts": 0,
        "usage_source": "",
        "error_code": "",
    }


def _ended(kind: str, at: datetime, body: dict[str, Any]) -> dict[str, Any]:
    details = body["details"]
    changes: dict[str, Any] = {
        "outcome": _OUTCOMES[kind],
        "finished_at": at,
        "attempts": len(details.get("attempts") or ()),
        "input_tokens": details.get("input_tokens"),
        "output_tokens": details.get("output_tokens"),
        "usage_source": details.get("usage_source") or "",
        "cost_usd": details.get("cost_usd"),
        "baseline_cost_usd": details.get("baseline_cost_usd"),
        "overhead_us": details.get("overhead_us"),
        "first_token_ms": details.get("first_token_ms"),
        "total_ms": details.get("total_ms"),
        "error_code": details.get("error_code") or "",
    }
    for name in ("backend", "tier", "boundary"):
        # Where a fallback or a hold served it, the last backend is the one that counts.
        if details.get(name):
            changes[name] = details[name]
    if cause := _cause(details.get("attempts") or ()):
        changes["cause"] = cause
    return changes


def _cause(attempts: Sequence[Mapping[str, Any]]) -> str:
    """Why the last backend was called, where it was not the one that was decided on."""
    carried = [one for one in attempts if one.get("kind") in ("first", "retry", *_LATER)]
    kind = carried[-1]["kind"] if carried else ""
    if kind == "fallback":
        before = [one.get("problem") for one in carried[:-1]]
        return "fallback_timeout" if before[-1:] == ["timeout"] else "fallback_error"
    return _LATER.get(kind, "")


# Statements of one parameter: their text, and so their plan, is the same for every batch, and a row
# costs a tenth of what it does as an object with thirty parameters.
_COLUMNS = {
    "id": "uuid",
    "at": "timestamptz",
    "deadline_at": "timestamptz",
    "finished_at": "timestamptz",
    **dict.fromkeys(
        ("route", "client", "client_id", "request_id", "session", "policy", "policy_digest"), "text"
    ),
    **dict.fromkeys(
        ("rule", "cause", "action", "outcome", "tier", "backend", "boundary", "data_class"), "text"
    ),
    "streamed": "boolean",
    "prompt_bytes": "int",
    "sentence": "text",
    "attempts": "smallint",
    "input_tokens": "int",
    "output_tokens": "int",
    "usage_source": "text",
    "cost_usd": "numeric",
    "baseline_cost_usd": "numeric",
    "overhead_us": "int",
    "first_token_ms": "int",
    "total_ms": "int",
    "error_code": "text",
}
_MADE = f"""
    INSERT INTO routing_decision ({", ".join(_COLUMNS)})
    SELECT {", ".join(_COLUMNS)}
    FROM json_to_recordset(%s::json) AS r({", ".join(map(" ".join, _COLUMNS.items()))})
    ON CONFLICT DO NOTHING
"""  # noqa: S608 - names of our own

_ENDS = """
    UPDATE routing_decision d SET
        outcome = e.outcome, finished_at = e.finished_at, attempts = e.attempts,
        input_tokens = e.input_tokens, output_tokens = e.output_tokens,
        usage_source = e.usage_source, cost_usd = e.cost_usd,
        baseline_cost_usd = e.baseline_cost_usd, overhead_us = e.overhead_us,
        first_token_ms = e.first_token_ms, total_ms = e.total_ms, error_code = e.error_code,
        backend = coalesce(e.backend, d.backend), tier = coalesce(e.tier, d.tier),
        boundary = coalesce(e.boundary, d.boundary), cause = coalesce(e.cause, d.cause)
    FROM json_to_recordset(%s::json) AS e(
        id uuid, outcome text, finished_at timestamptz, attempts smallint, input_tokens int,
        output_tokens int, usage_source text, cost_usd numeric, baseline_cost_usd numeric,
        overhead_us int, first_token_ms int, total_ms int, error_code text, backend text,
        tier text, boundary text, cause text)
    WHERE d.id = e.id
"""


def _store(statement: str, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    with psycopg.Cursor(connection.connection) as cursor:
        cursor.execute(statement, [orjson.dumps(rows).decode()])


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
            usd=Decimal(ended[decision_id].get("cost_usd") or 0),
        )
        for decision_id, client_id, route, at in begun.values_list("id", "client_id", "route", "at")
    ]


@transaction.atomic
def follow() -> int:
    """Take the next entries of the ledger into the decision list; returns how many were read."""
    Projection.objects.get_or_create(name=NAME)
    place = Projection.objects.select_for_update().get(name=NAME)
    entries = _next(place.position)
    if not entries:
        return 0
    made: dict[UUID, dict[str, Any]] = {}
    ended: list[dict[str, Any]] = []
    entries_ended: dict[UUID, dict[str, Any]] = {}
    for _, kind, at, decision_id, request_id, body in entries:
        if kind == "decision.made":
            made[decision_id] = _made(decision_id, request_id, orjson.loads(body))
        elif kind in _OUTCOMES:
            read = orjson.loads(body)
            entries_ended[decision_id] = read["details"]
            changes = _ended(kind, at, read)
            if decision_id in made:
                made[decision_id].update(changes)
            else:
                ended.append({"id": decision_id, **changes})
    _store(_MADE, list(made.values()))
    _store(_ENDS, ended)
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
