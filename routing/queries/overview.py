"""Reads what the overview shows: traffic, cost, latency and events of a day, in a few queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db import connection
from django.utils import timezone

from audit.ids import first_id
from audit.models import Event
from routing.models import Backend, KillSwitch, PolicyVersion, Route
from routing.queries.backends import Speed, health_of, latest_probes, speed_of_all
from screens.access import may
from screens.charts import Event as Mark
from screens.charts import LineChart, Part, Point, Series, StackedBar, line_chart, stacked_bar

HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(hours=24)
SLOTS: Final = 24
MARKED: Final = (
    "policy.activated",
    "policy.rolled_back",
    "kill_switch.engaged",
    "kill_switch.released",
    "backend.state_changed",
    "backend.health_changed",
)

_FIGURES: Final = """
    count(*) AS total,
    count(*) FILTER (WHERE outcome = 'served' AND tier = 'slm') AS slm,
    count(*) FILTER (WHERE outcome = 'served' AND tier = 'llm') AS llm,
    count(*) FILTER (WHERE action = 'hold') AS held,
    count(*) FILTER (WHERE outcome = 'safe_default') AS safe_default,
    count(*) FILTER (WHERE outcome IN ('refused', 'blocked')) AS refused,
    count(*) FILTER (WHERE outcome IN ('failed', 'outcome_unknown')) AS failed,
    count(*) FILTER (WHERE outcome = 'aborted') AS aborted,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY total_ms)
        FILTER (WHERE outcome = 'served') AS p50_ms,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY total_ms)
        FILTER (WHERE outcome = 'served') AS p95_ms,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY overhead_us) AS overhead_p50_us,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY overhead_us) AS overhead_p95_us,
    sum(cost_usd) AS cost,
    sum(cost_usd) FILTER (WHERE baseline_cost_usd IS NOT NULL) AS compared_cost,
    sum(baseline_cost_usd) AS baseline_cost
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What happened in one period. Latency is that of served requests; money in USD."""

    total: int = 0
    slm: int = 0
    llm: int = 0
    held: int = 0
    safe_default: int = 0
    refused: int = 0
    failed: int = 0
    aborted: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    overhead_p50_us: float | None = None
    overhead_p95_us: float | None = None
    cost: Decimal | None = None
    compared_cost: Decimal | None = None
    baseline_cost: Decimal | None = None


def _select(where: str, parameters: Sequence[Any], *, by: str = "") -> list[dict[str, Any]]:
    head = f"{by} AS slot, " if by else ""
    tail = "GROUP BY slot" if by else ""
    with connection.cursor() as cursor:
        # Every part of the statement is written here; values go as parameters.
        cursor.execute(
            f"SELECT {head}{_FIGURES} FROM routing_decision WHERE {where} {tail}",  # noqa: S608
            parameters,
        )
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def figures(since: datetime, until: datetime) -> Figures:
    """One period. The id begins with the time, so its index finds the rows."""
    return Figures(**_select("id >= %s AND id < %s", (first_id(since), first_id(until)))[0])


def hourly(now: datetime) -> list[tuple[datetime, Figures]]:
    """The last 24 hours by the clock, the running one last; hours without traffic are there too."""
    last = now.replace(minute=0, second=0, microsecond=0)
    start = last - HOUR * (SLOTS - 1)
    rows = _select("id >= %s", (first_id(start),), by="date_trunc('hour', at, 'UTC')")
    known = {row.pop("slot"): Figures(**row) for row in rows}
    slots = [start + HOUR * at for at in range(SLOTS)]
    return [(slot, known.get(slot, Figures())) for slot in slots]


# what it is now


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """A figure of a period beside that of the period before."""

    label: str
    value: int
    share: float | None
    before: int
    query: str
    tone: str = ""

    @property
    def change(self) -> str:
        if self.value == self.before:
            return "as before"
        return f"{'up' if self.value > self.before else 'down'} from {self.before:,}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    code: str
    words: str
    figures: Figures
    before: Figures
    compared: Sequence[Compared]
    split: StackedBar


def _compared(code: str, now: Figures, before: Figures) -> list[Compared]:
    def one(label: str, name: str, query: str, tone: str = "") -> Compared:
        value = getattr(now, name)
        return Compared(
            label=label,
            value=value,
            share=value / now.total if now.total else None,
            before=getattr(before, name),
            query=f"?period={code}{query}",
            tone=tone if value else "",
        )

    return [
        one("Requests", "total", ""),
        one("Small model", "slm", "&tier=slm&outcome=served"),
        one("Larger model", "llm", "&tier=llm&outcome=served"),
        one("Held for a person", "held", "&action=hold"),
        one("Refused", "refused", "&outcome=refused_or_blocked"),
        one("Failed", "failed", "&outcome=failed_or_unknown", "bad"),
    ]


def _split(now: Figures) -> StackedBar:
    rest = now.total - now.slm - now.llm - now.safe_default - now.refused - now.failed
    return stacked_bar(
        [
            Part(label="Small model", count=now.slm, look="1"),
            Part(label="Larger model", count=now.llm, look="2"),
            Part(label="Safe default", count=now.safe_default, look="3"),
            Part(label="Refused", count=now.refused, look="warn"),
            Part(label="Failed", count=now.failed, look="bad"),
            Part(label="Open, held or broken off", count=max(0, rest), look="none"),
        ]
    )


def _period(code: str, words: str, length: timedelta, now: datetime) -> Period:
    current, before = figures(now - length, now + HOUR), figures(now - 2 * length, now - length)
    return Period(
        code=code,
        words=words,
        figures=current,
        before=before,
        compared=_compared(code, current, before),
        split=_split(current),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Money:
    """Today's cost beside what the same traffic would have cost on the baseline."""

    cost: Decimal
    saved: Decimal | None
    sentence: str


def money(today: Figures, routes: Sequence[Route]) -> Money:
    cost = today.cost or Decimal(0)
    baselines = sorted(
        {
            f"{route.baseline.name} at price list {route.baseline.price_version}"
            for route in routes
            if route.baseline
        }
    )
    if not today.baseline_cost or not baselines:
        return Money(
            cost=cost,
            saved=None,
            sentence="Nothing to compare yet: no request of today has a baseline.",
        )
    saved = today.baseline_cost - (today.compared_cost or Decimal(0))
    share = saved / today.baseline_cost * 100
    verb = "saved" if saved >= 0 else "added"
    return Money(
        cost=cost,
        saved=saved,
        sentence=(
            f"Routing {verb} {abs(share):.0f} % today against sending everything to "
            f"{' or '.join(baselines)}."
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthRow:
    backend: Backend
    health: str
    probe: Any
    speed: Speed


def health_strip() -> list[HealthRow]:
    probes, speeds = latest_probes(), speed_of_all()
    shown = Backend.objects.exclude(state=Backend.State.DRAFT)
    return [
        HealthRow(
            backend=backend,
            health=health_of(probes.get(backend.pk, [])),
            probe=next(iter(probes.get(backend.pk, [])), None),
            speed=speeds.get(backend.name, Speed()),
        )
        for backend in shown
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivePolicy:
    route: Route
    version: PolicyVersion | None


def active_policies() -> list[ActivePolicy]:
    routes = Route.objects.select_related("baseline")
    active = {
        version.route_id: version
        for version in PolicyVersion.objects.select_related("route", "activated_by").filter(
            state=PolicyVersion.State.ACTIVE
        )
    }
    return [ActivePolicy(route=route, version=active.get(route.pk)) for route in routes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Now:
    """What changes by the minute."""

    as_of: datetime
    periods: Sequence[Period]
    money: Money
    policies: Sequence[ActivePolicy]
    health: Sequence[HealthRow]
    public_switch: KillSwitch | None
    recent: Sequence[Event]


def now_page(user: Any) -> Now:
    now = timezone.now()
    policies = active_policies()
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    recent: Sequence[Event] = ()
    if may(user, "audit.view"):
        # Requests have their own list; ten of them would hide what people did.
        recent = list(
            Event.objects.exclude(kind__startswith="decision.").order_by("-at", "-id")[:10]
        )
    return Now(
        as_of=now,
        periods=(
            _period("1h", "Last hour", HOUR, now),
            _period("24h", "Last 24 hours", DAY, now),
        ),
        money=money(figures(midnight, now + HOUR), [item.route for item in policies]),
        policies=policies,
        health=health_strip(),
        public_switch=KillSwitch.objects.filter(scope="public", released_at__isnull=True).first(),
        recent=recent,
    )


# how the day went


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    id: str
    title: str
    caption: str
    chart: LineChart


@dataclass(frozen=True, slots=True, kw_only=True)
class DayPage:
    pictures: Sequence[Picture]
    events: Sequence[Event]


def day_page() -> DayPage:
    """Small multiples over one axis, with what people changed marked on each."""
    now = timezone.now()
    slots = hourly(now)
    start = slots[0][0]
    events = list(Event.objects.filter(kind__in=MARKED, at__gte=start).order_by("-at", "-id")[:40])
    marks = [
        Mark(index=min(SLOTS - 1, int((event.at - start) / HOUR)), label=event.words)
        for event in events
    ]

    def picture(key: str, title: str, caption: str, unit: str, **lines: Any) -> Picture:
        series = [
            Series(
                name=name.replace("_", " "),
                points=tuple(
                    Point(label=f"{slot:%H}:00", value=read(figures)) for slot, figures in slots
                ),
            )
            for name, read in lines.items()
        ]
        chart = line_chart(series, unit=unit, events=marks)
        return Picture(id=key, title=title, caption=caption, chart=chart)

    return DayPage(events=events, pictures=_pictures(picture))


def _pictures(picture: Any) -> list[Picture]:
    def amount(name: str) -> Any:
        return lambda figures: (
            None if getattr(figures, name) is None else float(getattr(figures, name))
        )

    def rounded(name: str, by: float = 1) -> Any:
        return lambda figures: (
            None if getattr(figures, name) is None else round(float(getattr(figures, name)) / by, 1)
        )

    return [
        picture(
            "traffic",
            "Served requests",
            "Requests served per hour, by tier.",
            "",
            Small_model=amount("slm"),
            Larger_model=amount("llm"),
        ),
        picture(
            "stopped",
            "Held, refused, failed",
            "Requests per hour that did not simply go through.",
            "",
            Held=amount("held"),
            Refused=amount("refused"),
            Failed=amount("failed"),
        ),
        picture(
            "latency",
            "Latency",
            "Milliseconds to the end of the answer, served requests.",
            " ms",
            p95=rounded("p95_ms"),
            p50=rounded("p50_ms"),
        ),
        picture(
            "cost",
            "Cost",
            "US dollars per hour: paid, and on the baseline.",
            "",
            Paid=amount("cost"),
            Baseline=amount("baseline_cost"),
        ),
    ]


# what needs a person
