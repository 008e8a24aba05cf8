"""Reads the list of decisions: filtered from the URL, newest first, paged by the ids themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import QuerySet
from django.utils import timezone

from accounts.models import ApiKey
from audit.ids import first_id
from routing.engine.types import CAUSES
from routing.models import Backend, Decision, Route
from routing.queries.narrowing import may_narrow, newest_ids
from routing.queries.traffic import DIMENSIONS, begins

PER_PAGE: Final = 50
COUNT_NEW_UP_TO: Final = 200
CSV_ROWS: Final = 10_000
# Clocks of other machines may be a little ahead of ours.
AHEAD: Final = timedelta(hours=1)

PERIODS: Final[dict[str, tuple[str, timedelta]]] = {
    "1h": ("last hour", timedelta(hours=1)),
    "24h": ("last 24 hours", timedelta(hours=24)),
    "7d": ("last 7 days", timedelta(days=7)),
}
ACTIONS: Final = {
    "route": "sent to a backend",
    "hold": "held for a person",
    "safe_default": "safe default",
    "refuse": "refused",
}
# Outcomes that people ask for together; the overview's figures link to them.
OUTCOME_GROUPS: Final = {
    "not_served": ("refused", "blocked", "failed", "outcome_unknown", "aborted"),
    "refused_or_blocked": ("refused", "blocked"),
    "failed_or_unknown": ("failed", "outcome_unknown"),
}

LABELS: Final[dict[str, str]] = {
    "route": "Route",
    "outcome": "Outcome",
    "action": "Decided",
    "tier": "Tier",
    "backend": "Backend",
    "boundary": "Boundary",
    "rule": "Rule",
    "data_class": "Data class",
    "client": "Client",
    "cause": "Cause",
    "policy": "Version",
    "session": "Session",
    "request_id": "Request id",
    "period": "Period",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Chip:
    name: str
    value: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    """What the list is cut down to; every field is one parameter of the URL."""

    route: str = ""
    outcome: str = ""
    action: str = ""
    tier: str = ""
    backend: str = ""
    boundary: str = ""
    rule: str = ""
    data_class: str = ""
    client: str = ""
    cause: str = ""
    policy: str = ""
    session: str = ""
    request_id: str = ""
    period: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Filters:
        names = [item.name for item in fields(cls)]
        return cls(
            **{name: query.get(name, "").replace("\x00", "").strip()[:128] for name in names}
        )

    def chosen(self) -> dict[str, str]:
        return {
            item.name: getattr(self, item.name) for item in fields(self) if getattr(self, item.name)
        }

    def counted(self) -> dict[str, Sequence[str]] | None:
        """The conditions as the counts know them; None where one is not counted."""
        chosen = self.chosen()
        chosen.pop("period", "")
        if not set(chosen) <= set(DIMENSIONS):
            return None
        groups = OUTCOME_GROUPS
        return {
            name: groups.get(value, (value,)) if name == "outcome" else (value,)
            for name, value in chosen.items()
        }

    def query(self, *, without: str = "", **changes: str) -> str:
        """The query string of these filters, less one or with changes; starts with `?`."""
        kept = {**self.chosen(), **changes}
        kept.pop(without, None)
        return f"?{urlencode(kept)}"

    def chips(self, client_names: Mapping[str, str]) -> list[Chip]:
        shown = {
            "client": lambda value: client_names.get(value, value),
            "period": lambda value: PERIODS.get(value, (value,))[0],
        }
        return [
            Chip(
                name=LABELS[name],
                value=shown.get(name, lambda text: text.replace("_", " "))(value),
                url=self.query(without=name),
            )
            for name, value in self.chosen().items()
        ]


def matching(filters: Filters, now: datetime | None = None) -> QuerySet[Decision]:
    """The decisions that the filters let through, newest first."""
    found = Decision.objects.all()
    chosen = filters.chosen()
    if period := PERIODS.get(chosen.pop("period", "")):
        # The id begins with the time, so its index finds the period; it begins where the counts
        # of the overview begin, so that a figure and its list agree.
        now = now or timezone.now()
        found = found.filter(pk__gte=first_id(begins(now - period[1], now)))
    if client := chosen.pop("client", ""):
        found = found.filter(client_id=client)
    if outcome := chosen.pop("outcome", ""):
        found = found.filter(outcome__in=OUTCOME_GROUPS.get(outcome, (outcome,)))
    return found.filter(**chosen).order_by("-pk")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One page of the list. `older` is the id to continue before, or None."""

    decisions: Sequence[Decision]
    older: UUID | None
    newest: UUID | None


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def page(filters: Filters, before: str = "") -> Page:
    """Keyset paging: rows that arrive meanwhile move nothing on the pages behind."""
    now = timezone.now()
    found = matching(filters, now)
    place = _uuid(before)
    if place:
        found = found.filter(pk__lt=place)
    only = filters.counted()
    if only is not None and may_narrow(only):
        period, ahead = PERIODS.get(filters.period), first_id(now + AHEAD)
        ids = newest_ids(
            only,
            lowest=first_id(begins(now - period[1], now)) if period else None,
            below=min(place or ahead, ahead),
            wanted=PER_PAGE + 1,
        )
        found = Decision.objects.filter(pk__in=ids).order_by("-pk")
    rows = list(found[: PER_PAGE + 1])
    shown = rows[:PER_PAGE]
    return Page(
        decisions=shown,
        older=shown[-1].pk if len(rows) > PER_PAGE else None,
        newest=shown[0].pk if shown else None,
    )


def count_new(filters: Filters, after: str) -> int:
    """How many came since `after` (an id, or "" for all), counted up to COUNT_NEW_UP_TO."""
    found = matching(filters)
    if place := _uuid(after):
        found = found.filter(pk__gt=place)
    return found.order_by()[:COUNT_NEW_UP_TO].count()


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the form of the filters offers."""

    routes: list[str]
    backends: list[str]
    clients: list[tuple[str, str]]
    outcomes: list[tuple[str, str]]
    data_classes: tuple[str, ...]
    causes: tuple[str, ...]
    actions: dict[str, str]
    periods: dict[str, str]


def choices() -> Choices:
    keys = ApiKey.objects.order_by("name", "public_id").values_list("public_id", "name")[:200]
    return Choices(
        routes=list(Route.objects.values_list("slug", flat=True)),
        backends=list(Backend.objects.order_by("name").values_list("name", flat=True)),
        clients=list(keys),
        outcomes=list(Decision.Outcome.choices),
        data_classes=settings.DATA_CLASSES,
        causes=CAUSES,
        actions=ACTIONS,
        periods={code: words for code, (words, _) in PERIODS.items()},
    )


def route_slugs() -> list[str]:
    """For the form of API keys."""
    return list(Route.objects.values_list("slug", flat=True))


def last_used(public_ids: Sequence[str]) -> dict[str, datetime]:
    """The newest decision of each key."""
    # One step into the index for each key; grouping would read every decision of all of them.
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT k.id, d.at FROM unnest(%s::text[]) AS k (id) CROSS JOIN LATERAL (
                   SELECT at FROM routing_decision WHERE client_id = k.id ORDER BY id DESC LIMIT 1
               ) d""",
            [list(public_ids)],
        )
        return dict(cursor.fetchall())


CSV_FIELDS: Final = (
    "id",
    "at",
    "route",
    "client",
    "data_class",
    "outcome",
    "action",
    "tier",
    "backend",
    "boundary",
    "rule",
    "cause",
    "policy",
    "attempts",
    "input_tokens",
    "output_tokens",
    "usage_source",
    "cost_usd",
    "baseline_cost_usd",
    "overhead_us",
    "first_token_ms",
    "total_ms",
    "error_code",
    "request_id",
)


def csv_rows(filters: Filters) -> Iterator[Sequence[Any]]:
    """The head and the newest CSV_ROWS rows of the current view."""
    yield CSV_FIELDS
    for row in matching(filters).values_list(*CSV_FIELDS)[:CSV_ROWS].iterator(chunk_size=1000):
        yield tuple(_cell(value) for value in row)


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat(timespec="milliseconds")
    # A spreadsheet runs what begins with these; a client chooses its request id.
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return value
