"""What routing and the trail want a person to look at now; the overview asks each of these."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Q, Subquery
from django.urls import reverse
from django.utils import timezone

from audit import queries as trail
from audit.models import JobState, Report
from routing.models import (
    Backend,
    Backtest,
    ClassifierTraining,
    Incident,
    PolicyVersion,
    Promotion,
    Replica,
    Route,
    WebhookEndpoint,
)
from routing.queries.backends import health_of, latest_probes
from routing.queries.system import SILENT_AFTER
from routing.services.policies import OPEN_STATES
from screens.access import may
from screens.attention import Need, provide

DAY = timedelta(days=1)
# Of one kind; with more of it the overview would show nothing else.
MOST = 5


@provide("routing.view")
def versions_in_review(user: Any) -> list[Need]:
    waiting = list(
        PolicyVersion.objects.select_related("route", "author")
        .filter(state=PolicyVersion.State.IN_REVIEW)
        .order_by("submitted_at")[:6]
    )
    return [
        Need(
            sentence=f"{version} of {version.author} waits for approval.",
            url=version.get_absolute_url(),
            act="Read the change",
            tone="warn" if may(user, "routing.approve_policy") else "accent",
        )
        for version in waiting
    ]


@provide("routing.view")
def suspended_schedules(user: Any) -> list[Need]:
    suspended = PolicyVersion.objects.select_related("route").filter(
        state=PolicyVersion.State.APPROVED, suspended_at__isnull=False
    )
    return [
        Need(
            sentence=f"The scheduled activation of {version} was suspended. "
            f"{version.suspended_why}".strip(),
            url=version.get_absolute_url(),
            act="Schedule or activate it again",
            tone="warn",
        )
        for version in suspended.order_by("-suspended_at")[:MOST]
    ]


@provide("routing.view")
def overtaken_versions(user: Any) -> list[Need]:
    """Versions that another one overtook: one's own, and those that wait for somebody's act."""
    active = PolicyVersion.objects.filter(
        route=OuterRef("route"), state=PolicyVersion.State.ACTIVE
    ).exclude(pk=OuterRef("base_id"))
    waiting = (PolicyVersion.State.IN_REVIEW, PolicyVersion.State.APPROVED)
    own = Q(author=user, state__in=OPEN_STATES)
    concerned = own | Q(state__in=waiting) if may(user, "routing.approve_policy") else own
    overtaken = (
        PolicyVersion.objects.select_related("route", "author")
        .annotate(overtaken_by=Subquery(active.values("number")[:1]))
        .filter(concerned, overtaken_by__isnull=False)
    )
    return [
        Need(
            sentence=f"{version} needs a rebase: version {version.overtaken_by} has become active "
            f"since {'you' if version.author_id == user.pk else version.author} began it.",
            url=version.get_absolute_url(),
            act="See what differs",
            tone="warn",
        )
        for version in overtaken.order_by("-pk")[:MOST]
    ]


@provide("routing.view")
def failed_jobs(user: Any) -> list[Need]:
    """Backtests and trainings that failed within a day and were not repeated with success."""
    since = timezone.now() - DAY
    is_operator = may(user, "routing.operate")
    asked = Q() if is_operator else Q(by=user)
    again = Backtest.objects.filter(
        version=OuterRef("version"),
        state=Backtest.State.DONE,
        created_at__gt=OuterRef("created_at"),
    )
    backtests = Backtest.objects.select_related("version__route").filter(
        asked, ~Exists(again), state=Backtest.State.FAILED, finished_at__gte=since
    )
    trained = ClassifierTraining.objects.filter(
        name=OuterRef("name"),
        state=ClassifierTraining.State.DONE,
        created_at__gt=OuterRef("created_at"),
    )
    trainings = ClassifierTraining.objects.defer("evalset").filter(
        asked, ~Exists(trained), state=ClassifierTraining.State.FAILED, finished_at__gte=since
    )
    found = [(f"A backtest of {one.version}", one) for one in backtests[:MOST]]
    found += [(f"A training of {one.name}", one) for one in trainings[:MOST]]
    return [
        Need(
            sentence=f"{what} failed. {job.problem}".strip(),
            url=job.get_absolute_url(),
            act="See the job",
            tone="warn",
        )
        for what, job in found
    ]


@provide("routing.view")
def unwell_backends(user: Any) -> list[Need]:
    unwell = [pk for pk, last in latest_probes().items() if health_of(last) == "unhealthy"]
    if not unwell:
        return []
    shown = Backend.objects.filter(pk__in=unwell, state__in=("active", "draining"))
    return [
        Need(
            sentence=f"{backend.name} is unhealthy: its last two probes failed.",
            url=backend.get_absolute_url(),
            act="See its errors",
            tone="bad",
        )
        for backend in shown
    ]


@provide("routing.view")
def open_incidents(user: Any) -> list[Need]:
    """Rollouts that a guard stopped, until somebody has taken note."""
    waiting = Incident.objects.select_related("rollout__route", "rollout__version__route")
    return [
        Need(
            sentence=f"The rollout of {one.rollout.version} was stopped: {one.sentence}",
            url=one.rollout.get_absolute_url(),
            act="See what happened",
            tone="bad",
        )
        for one in waiting.filter(noted_at__isnull=True)[:MOST]
    ]


@provide("routing.view")
def open_promotions(user: Any) -> list[Need]:
    waiting = Promotion.objects.select_related("version__route").filter(
        state__in=(Promotion.State.PROPOSED, Promotion.State.APPROVED)
    )
    return [
        Need(
            sentence=f"The promotion of {one.version} is {one.get_state_display()}.",
            url=one.get_absolute_url(),
            act="Read its evidence",
            tone="accent",
        )
        for one in waiting[:MOST]
    ]


@provide("routing.view")
def routes_without_policy(user: Any) -> list[Need]:
    idle = Route.objects.filter(enabled=True).exclude(versions__state=PolicyVersion.State.ACTIVE)
    return [
        Need(
            sentence=f"The route {route} has no active policy, so its requests are refused.",
            url=route.get_absolute_url(),
            act="Open the route",
            tone="bad",
        )
        for route in idle[:5]
    ]


@provide("routing.operate")
def refused_snapshots(user: Any) -> list[Need]:
    told = Replica.objects.filter(seen_at__gt=timezone.now() - SILENT_AFTER).exclude(refused="")
    return [
        Need(
            sentence=f"The replica {one.name} refuses the newest snapshot, so the last change "
            "is not in effect there.",
            url=reverse("system"),
            act="See why",
            tone="bad",
        )
        for one in told[:5]
    ]


@provide("routing.operate")
def disabled_webhooks(user: Any) -> list[Need]:
    """Webhooks that were given up; one that a person disabled is no news."""
    given_up = WebhookEndpoint.objects.filter(is_disabled_by_system=True)
    return [
        Need(
            sentence=f"A webhook of {one.client} was disabled. {one.disabled_why}",
            url=one.get_absolute_url(),
            act="See its deliveries",
            tone="bad",
        )
        for one in given_up.order_by("-disabled_at")[:MOST]
    ]


@provide("audit.view")
def trail_trouble(user: Any) -> list[Need]:
    health = trail.health()
    sentences: list[str] = []
    if health.verification is not None and health.verification.is_ok is False:
        sentences.append("The last verification of the trail failed.")
    if health.is_behind:
        sentences.append(f"The sequencer is behind: {health.waiting:,} events wait to be sealed.")
    if health.anchor_problem:
        sentences.append("The last checkpoint outside of the database cannot be read.")
    return [
        Need(sentence=sentence, url=reverse("audit-health"), act="Check the integrity", tone="bad")
        for sentence in sentences
    ]


@provide("audit.view")
def failed_reports(user: Any) -> list[Need]:
    again = Report.objects.filter(
        state=JobState.READY,
        period_from=OuterRef("period_from"),
        period_to=OuterRef("period_to"),
        requested_at__gt=OuterRef("requested_at"),
    )
    failed = Report.objects.filter(
        ~Exists(again), state=JobState.FAILED, ended_at__gte=timezone.now() - DAY
    )
    return [
        Need(
            sentence=f"The {report} failed. {report.problem}".strip(),
            url=report.get_absolute_url(),
            act="See the report",
            tone="warn",
        )
        for report in failed[:MOST]
    ]
