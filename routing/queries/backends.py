"""Reads the registry for its screens: health, speed, who uses a backend, what happened to it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import Count, Max, QuerySet
from django.utils import timezone

from accounts.queries import history_of
from audit.ids import first_id
from audit.models import Event
from routing.models import Backend, BackendProbe, Decision, PolicyVersion
from routing.models.backends import SignOff
from routing.queries import signoffs
from routing.queries.decisions import Chip
from routing.queries.traffic import Distribution, begins, counted, speeds
from screens.charts import LineChart, Point, Series, line_chart
from screens.errors import NotFound

DAY: Final = timedelta(hours=24)
SLOT: Final = timedelta(minutes=30)

STATES: Final = {
    "draft": "Registered and not used: no request reaches it, policies may be tested against it.",
    "active": "Takes requests.",
    "draining": "Takes no new request; those in flight finish.",
    "disabled": "Takes no request at all.",
}
# What a person reads before the state changes.
CONSEQUENCES: Final = {
    "draft": "No request reaches it any more. Policies that name it use their fallbacks.",
    "active": "Policies that name it send it requests within five seconds.",
    "draining": "New requests go to the fallbacks of their policies; requests in flight finish.",
    "disabled": "Nothing is sent to it. Refused while an active policy names it.",
}
ACTS: Final = {
    "draft": "Back to draft",
    "active": "Activate",
    "draining": "Drain",
    "disabled": "Disable",
}
SORTS: Final = {"name": "Name", "tier": "Tier", "p95": "p95", "price": "Price"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    tier: str = ""
    boundary: str = ""
    state: str = ""
    owner: str = ""
    data_class: str = ""
    sort: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Filters:
        names = [item.name for item in fields(cls)]
        return cls(
            **{name: query.get(name, "").replace("\x00", "").strip()[:100] for name in names}
        )

    def query(self, *, without: str = "", **changes: str) -> str:
        kept = {item.name: getattr(self, item.name) for item in fields(self)} | changes
        return "?" + urlencode({k: v for k, v in kept.items() if v and k != without})

    def chips(self) -> list[Chip]:
        return [
            Chip(
                name=item.name.replace("_", " ").capitalize(),
                value=getattr(self, item.name),
                url=self.query(without=item.name),
            )
            for item in fields(self)
            if getattr(self, item.name) and item.name != "sort"
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """What the decisions of 24 hours say of one backend."""

    requests: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    failed: int = 0
    in_flight: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    backend: Backend
    health: str
    probe: BackendProbe | None
    speed: Speed
    used_by: Sequence[PolicyVersion]
    state_means: str


def backends(filters: Filters) -> QuerySet[Backend]:
    found = Backend.objects.all()
    for name in ("tier", "boundary", "state"):
        if value := getattr(filters, name):
            found = found.filter(**{name: value})
    if filters.owner:
        found = found.filter(owner__icontains=filters.owner)
    if filters.data_class:
        found = found.filter(data_classes__contains=[filters.data_class])
    return found


def rows(filters: Filters) -> list[Row]:
    """The registry as the list shows it. A company has tens of backends, so it is read whole."""
    found = list(backends(filters))
    probes = latest_probes()
    speeds = speed_of_all()
    users = used_by_names([backend.name for backend in found])
    made = [
        Row(
            backend=backend,
            health=health_of(probes.get(backend.pk, [])),
            probe=next(iter(probes.get(backend.pk, [])), None),
            speed=speeds.get(backend.name, Speed()),
            used_by=users[backend.name],
            state_means=STATES[backend.state],
        )
        for backend in found
    ]
    return _sorted(made, filters.sort)


def _sorted(made: list[Row], by: str) -> list[Row]:
    if by == "p95":
        return sorted(made, key=lambda row: (row.speed.p95_ms is None, -(row.speed.p95_ms or 0)))
    if by == "price":
        return sorted(made, key=lambda row: (row.backend.output_usd_per_mtok, row.backend.name))
    if by == "name":
        return sorted(made, key=lambda row: row.backend.name)
    return made


def latest_probes() -> dict[int, list[BackendProbe]]:
    """The two newest probes of every backend, newest first."""
    newest = BackendProbe.objects.raw(
        """
        SELECT p.* FROM routing_backend b
        CROSS JOIN LATERAL (
            SELECT * FROM routing_backendprobe WHERE backend_id = b.id ORDER BY at DESC LIMIT 2
        ) p ORDER BY p.at DESC
        """
    )
    found: dict[int, list[BackendProbe]] = {}
    for probe in newest:
        found.setdefault(probe.backend_id, []).append(probe)
    return found


def health_of(newest: Sequence[BackendProbe]) -> str:
    """healthy, unhealthy (the last two probes failed), doubtful (the last failed) or not probed."""
    if not newest:
        return "not probed"
    if newest[0].ok:
        return "healthy"
    return "doubtful" if len(newest) < 2 or newest[1].ok else "unhealthy"


def speed_of_all(now: datetime | None = None) -> dict[str, Speed]:
    """What the last 24 hours say of every backend, from the roll-ups."""
    now = now or timezone.now()
    since = begins(now - DAY, now)
    counts: dict[str, dict[str, int]] = {}
    for row in counted(since, now + SLOT, by=("backend", "outcome")):
        of_backend = counts.setdefault(row["backend"], {})
        of_backend[row["outcome"]] = of_backend.get(row["outcome"], 0) + int(row["n"])
    took = speeds("total_ms", since, now + SLOT, by=("backend",))
    nothing = Distribution({})
    return {
        name: Speed(
            requests=sum(of_backend.values()),
            p50_ms=took.get((name,), nothing).quantile(0.5),
            p95_ms=took.get((name,), nothing).quantile(0.95),
            failed=of_backend.get("failed", 0) + of_backend.get("outcome_unknown", 0),
            in_flight=of_backend.get("open", 0),
        )
        for name, of_backend in counts.items()
        if name
    }


def used_by_names(names: Iterable[str]) -> dict[str, list[PolicyVersion]]:
    """The active versions whose document names each backend anywhere."""
    active = PolicyVersion.objects.select_related("route").filter(state=PolicyVersion.State.ACTIVE)
    texts = [(version, json.dumps(version.document)) for version in active]
    return {name: [version for version, text in texts if f'"{name}"' in text] for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One active version that names a backend, and where in it."""

    version: PolicyVersion
    places: Sequence[str]


def uses_of(name: str) -> list[Use]:
    """Which rules and sections of active policies would miss this backend."""
    return [
        Use(version=version, places=_places(version.document, name))
        for version in used_by_names([name])[name]
    ]


def _places(document: Mapping[str, Any], name: str) -> list[str]:
    quoted = f'"{name}"'
    found = []
    for section, content in document.items():
        if section == "rules":
            rules = [rule for rule in content if quoted in json.dumps(rule)]
            found += [f"rule {rule.get('name') or rule.get('id')}" for rule in rules]
        elif quoted in json.dumps(content):
            found.append(section.replace("_", " "))
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """One kind of error of 24 hours, how often, and when last."""

    words: str
    count: int
    last: datetime
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class BackendPage:
    backend: Backend
    health: str
    probe: BackendProbe | None
    speed: Speed
    used_by: Sequence[PolicyVersion]
    latency: LineChart
    failures: LineChart
    probes: int
    failed_probes: int
    troubles: Sequence[Trouble]
    uses: Sequence[Use]
    signoffs: Sequence[signoffs.Row]
    history: Sequence[Event]

    @property
    def state_means(self) -> str:
        return STATES[self.backend.state]


def backend_named(name: str) -> Backend:
    backend = Backend.objects.filter(name=name).first()
    if backend is None:
        raise NotFound(
            "There is no such backend.", what_next="It may have another name; see the list."
        )
    return backend


def backend_page(backend: Backend) -> BackendPage:
    now = timezone.now()
    seen = list(
        BackendProbe.objects.filter(backend=backend, at__gte=now - DAY).order_by("-at")[:3000]
    )
    latency, failures = _health_charts(seen, now)
    newest = list(BackendProbe.objects.filter(backend=backend).order_by("-at")[:2])
    return BackendPage(
        backend=backend,
        health=health_of(newest),
        probe=newest[0] if newest else None,
        speed=speed_of_all(now).get(backend.name, Speed()),
        used_by=used_by_names([backend.name])[backend.name],
        latency=latency,
        failures=failures,
        probes=len(seen),
        failed_probes=sum(not probe.ok for probe in seen),
        troubles=[*_probe_troubles(seen), *_decision_troubles(backend, now)],
        uses=uses_of(backend.name),
        signoffs=[
            signoffs.row_of(signoff, now)
            for signoff in SignOff.objects.filter(backend=backend).select_related(
                "backend", "requested_by", "first_approver", "second_approver"
            )
        ],
        history=history_of("backend", backend.name, limit=30),
    )


def _health_charts(seen: Sequence[BackendProbe], now: datetime) -> tuple[LineChart, LineChart]:
    """The slowest answer of each half hour, and how many probes failed in it."""
    slots = DAY // SLOT
    start = now - DAY
    slowest: list[float | None] = [None] * slots
    failed: list[float | None] = [None] * slots
    for probe in seen:
        at = min(slots - 1, int((probe.at - start) / SLOT))
        failed[at] = (failed[at] or 0) + (not probe.ok)
        if probe.ok:
            slowest[at] = max(slowest[at] or 0, probe.latency_ms)
    labels = [f"{start + SLOT * (at + 1):%H:%M}" for at in range(slots)]

    def chart(name: str, values: Sequence[float | None], unit: str = "") -> LineChart:
        points = tuple(
            Point(label=label, value=value) for label, value in zip(labels, values, strict=True)
        )
        return line_chart([Series(name=name, points=points)], unit=unit)

    return chart("Slowest answer", slowest, " ms"), chart("Failed probes", failed)


def _probe_troubles(seen: Sequence[BackendProbe]) -> list[Trouble]:
    grouped: dict[str, list[BackendProbe]] = {}
    for probe in seen:
        if not probe.ok:
            grouped.setdefault(probe.detail or "The probe failed.", []).append(probe)
    return [
        Trouble(words=f"Probe: {detail}", count=len(probes), last=probes[0].at, url="")
        for detail, probes in sorted(grouped.items(), key=lambda item: -len(item[1]))[:5]
    ]


def _decision_troubles(backend: Backend, now: datetime) -> list[Trouble]:
    found = (
        Decision.objects.filter(pk__gte=first_id(now - DAY), backend=backend.name)
        .exclude(error_code="")
        .order_by()
        .values("error_code")
        .annotate(n=Count("pk"), last=Max("at"))
        .order_by("-n")[:5]
    )
    return [
        Trouble(
            words=f"Requests: {row['error_code'].replace('_', ' ')}",
            count=row["n"],
            last=row["last"],
            url="?"
            + urlencode({"backend": backend.name, "outcome": "not_served", "period": "24h"}),
        )
        for row in found
    ]


CSV_HEAD: Final = (
    "name", "tier", "boundary", "region", "owner", "state", "health", "p95_ms_24h", "requests_24h",
    "input_usd_per_mtok", "output_usd_per_mtok", "price_version", "data_classes", "used_by",
)  # fmt: skip


def csv_row(row: Row) -> tuple[Any, ...]:
    backend = row.backend
    return (
        backend.name,
        backend.tier,
        backend.boundary,
        backend.region,
        backend.owner,
        backend.state,
        row.health,
        "" if row.speed.p95_ms is None else round(row.speed.p95_ms),
        row.speed.requests,
        backend.input_usd_per_mtok,
        backend.output_usd_per_mtok,
        backend.price_version,
        " ".join(backend.data_classes),
        " ".join(str(version) for version in row.used_by),
    )
