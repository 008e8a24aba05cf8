"""What routing and the trail want a person to look at now; the overview asks each of these."""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils import timezone

from audit import queries as trail
from routing.models import Backend, PolicyVersion, Replica, Route
from routing.queries.backends import health_of, latest_probes
from routing.queries.system import SILENT_AFTER
from screens.access import may
from screens.attention import Need, provide


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
def unwell_backends(user: Any) -> list[Need]:
    probes = latest_probes()
    shown = Backend.objects.filter(state__in=("active", "draining"))
    return [
        Need(
            sentence=f"{backend.name} is unhealthy: its last two probes failed.",
            url=backend.get_absolute_url(),
            act="See its errors",
            tone="bad",
        )
        for backend in shown
        if health_of(probes.get(backend.pk, [])) == "unhealthy"
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
