"""Reads what the overview shows: traffic, cost, latency and events of a day, in a few queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

from django.db.models import Sum
from django.utils import timezone

from audit.models import Event
from audit.queries import last_acts
from routing.models import Backend, Budget, KillSwitch, PolicyVersion, Route, Spend
from routing.models.traffic import Speed as Speeds
from routing.queries.backends import Speed, health_of, latest_probes, speed_of_all
from routing.queries.switches import engaged_switches
from routing.queries.traffic import Distribution, begins, counted, floor, speeds
from screens.access import may
from screens.charts import Event as Mark
from screens.charts import LineChart, Part, Point, Series, StackedBar, line_chart, stacked_bar

Measure = Speeds.Measure
HOUR: Final = timedelta(hours=1)
DAY: Final = timedelta(hours=24)
ESCALATED: Final = "uncertain_escalated"
SLOTS: Final = 24
MARKED: Final = (
    "policy.activated",
    "policy.rolled_back",
    "rollout.started",
    "rollout.advanced",
    "rollout.aborted",
    "rollout.done",
    "kill_switch.engaged",
    "kill_switch.released",
    "backend.state_changed",
    "backend.health_changed",
)


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
    escalated: int = 0
    public: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    overhead_p50_us: float | None = None
    overhead_p95_us: float | None = None
    cost: Decimal | None = None
    compared_cost: Decimal | None = None
    baseline_cost: Decimal | None = None


def _summed(
    rows: Sequence[dict[str, Any]], total_ms: Distribution, overhead: Distribution
) -> Figures:
    """Rows by outcome, tier and action, and the speeds of the same period, as one Figures."""

    def count(**wanted: tuple[str, ...]) -> int:
        return sum(
            int(row["n"])
            for row in rows
            if all(row[name] in values for name, values in wanted.items())
        )

    def money(name: str) -> Decimal | None:
        return sum((row[name] for row in rows), Decimal(0)) if rows else None

    return Figures(
        total=count(),
        slm=count(outcome=("served",), tier=("slm",)),
        llm=count(outcome=("served",), tier=("llm",)),
        held=count(action=("hold",)),
        safe_default=count(outcome=("safe_default",)),
        refused=count(outcome=("refused", "blocked")),
        failed=count(outcome=("failed", "outcome_unknown")),
        aborted=count(outcome=("aborted",)),
        escalated=count(cause=(ESCALATED,)),
        public=count(outcome=("served",), boundary=("public",)),
        p50_ms=total_ms.quantile(0.5),
        p95_ms=total_ms.quantile(0.95),
        overhead_p50_us=overhead.quantile(0.5),
        overhead_p95_us=overhead.quantile(0.95),
        cost=money("cost_usd"),
        compared_cost=money("compared_cost_usd"),
        baseline_cost=money("baseline_cost_usd"),
    )


_BY: Final = ("outcome", "tier", "action", "cause", "boundary")
_NOTHING: Final = Distribution({})


_SPEEDS: Final = (Measure.TOTAL, Measure.OVERHEAD)


def figures(since: datetime, below: datetime) -> Figures:
    """One period, from the roll-ups."""
    took = speeds(_SPEEDS, since, below)
    return _summed(
        counted(since, below, by=_BY),
        took.get((Measure.TOTAL,), _NOTHING),
        took.get((Measure.OVERHEAD,), _NOTHING),
    )


def hourly(now: datetime) -> list[tuple[datetime, Figures]]:
    """The last 24 hours by the clock, the running one last; hours without traffic are there too."""
    start = floor(now, HOUR) - HOUR * (SLOTS - 1)
    rows: dict[datetime, list[dict[str, Any]]] = {}
    for row in counted(start, now + HOUR, by=_BY, every=HOUR):
        rows.setdefault(row["slot"], []).append(row)
    took = speeds(_SPEEDS, start, now + HOUR, every=HOUR)
    slots = [start + HOUR * at for at in range(SLOTS)]
    return [
        (
            slot,
            _summed(
                rows.get(slot, []),
                took.get((slot, Measure.TOTAL), _NOTHING),
                took.get((slot, Measure.OVERHEAD), _NOTHING),
            ),
        )
        for slot in slots
    ]


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
    split_before: StackedBar


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
        one("Sent to a public backend", "public", "&boundary=public&outcome=served"),
        one("Escalated", "escalated", f"&cause={ESCALATED}"),
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
    since = begins(now - length, now)
    current, before = figures(since, now + HOUR), figures(since - length, since)
    return Period(
        code=code,
        words=words,
        figures=current,
        before=before,
        compared=_compared(code, current, before),
        split=_split(current),
        split_before=_split(before),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgeted:
    """One route's limit of today or of the month in US dollars, and what is used of it."""

    route: str
    period: str
    limit: Decimal
    used: Decimal

    @property
    def percent(self) -> int:
        return int(self.used * 100 / self.limit) if self.limit else 100

    @property
    def words(self) -> str:
        return f"{self.percent} % used"

    @property
    def tone(self) -> str:
        return "bad" if self.percent >= 100 else "warn" if self.percent >= 80 else "neutral"


def budgets_of_routes(now: datetime) -> list[Budgeted]:
    """Routes with a budget in money, the fullest first."""
    today = now.astimezone(UTC).date()
    used: dict[tuple[str, str], Decimal] = {}
    spent = (
        Spend.objects.filter(day__gte=today.replace(day=1), day__lte=today)
        .values("route", "day")
        .annotate(sum=Sum("usd"))
    )
    for row in spent:
        for period in ("month", *(["day"] if row["day"] == today else [])):
            key = (row["route"], period)
            used[key] = used.get(key, Decimal(0)) + row["sum"]
    found = [
        Budgeted(
            route=budget.target,
            period=period,
            limit=limit,
            used=used.get((budget.target, period), Decimal(0)),
        )
        for budget in Budget.objects.filter(scope=Budget.Scope.ROUTE)
        for period in ("day", "month")
        if (limit := getattr(budget, f"usd_{period}")) is not None
    ]
    return sorted(found, key=lambda one: (-one.percent, one.route))


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
    budgets: Sequence[Budgeted]
    policies: Sequence[ActivePolicy]
    health: Sequence[HealthRow]
    switches: Sequence[KillSwitch]
    recent: Sequence[Event]

    @property
    def is_public_stopped(self) -> bool:
        return any(switch.scope == KillSwitch.Scope.PUBLIC for switch in self.switches)


def now_page(user: Any) -> Now:
    now = timezone.now()
    policies = active_policies()
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    recent: Sequence[Event] = ()
    if may(user, "audit.view"):
        # Requests have their own list; ten of them would hide what people did.
        recent = last_acts(10)
    return Now(
        as_of=now,
        periods=(
            _period("1h", "Last hour", HOUR, now),
            _period("24h", "Last 24 hours", DAY, now),
        ),
        money=money(figures(midnight, now + HOUR), [item.route for item in policies]),
        budgets=budgets_of_routes(now),
        policies=policies,
        health=health_strip(),
        switches=engaged_switches(),
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
