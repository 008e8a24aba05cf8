"""Which screens are asked, as whom, and how long the server takes: no network, no browser."""

from __future__ import annotations

import os
import random
import statistics
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from time import perf_counter
from typing import Final
from urllib.parse import urlencode
from uuid import UUID

from django.db import connection
from django.test import Client
from django.utils import timezone

from audit.ids import first_id
from benchmarks.scale.fill import BACKENDS, CLIENTS, PEOPLE, ROUTES

LISTS: Final = "decisions list"
AUDIT: Final = "audit search"
CHARTS: Final = "overview and charts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    group: str
    name: str
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """Server time by the clock, and how long processors worked for us and our database."""

    p50_ms: float
    p95_ms: float
    max_ms: float
    cpu_p50_ms: float
    cpu_p95_ms: float
    runs: int


def people() -> Client:
    """Everyone, and a signed-in browser of somebody who may read all of it."""
    from django.contrib.auth.models import Group

    from accounts.models import User
    from screens.access import ROLES

    for name in PEOPLE:
        User.objects.get_or_create(username=name, defaults={"full_name": name.title()})
    reader = User.objects.get(username="ada")
    reader.groups.set([Group.objects.get_or_create(name=role)[0] for role in ROLES])
    client = Client(SERVER_NAME="127.0.0.1")
    client.force_login(reader)
    return client


def registry() -> None:
    """Backends, routes with an active policy, and keys, as the rows name them."""
    from decimal import Decimal

    from accounts.models import ApiKey, User
    from routing.engine.canonical import digest
    from routing.models import Backend, PolicyVersion, Route

    author = User.objects.get(username="arjun")
    for name, (tier, boundary) in BACKENDS.items():
        Backend.objects.create(
            name=name,
            tier=tier,
            boundary=boundary,
            owner="scale",
            state="active",
            base_url="http://127.0.0.1:9/v1",
            upstream_model=name,
            data_classes=["public", "internal", "confidential", "restricted"],
            input_usd_per_mtok=Decimal("0.5"),
            output_usd_per_mtok=Decimal("2"),
        )
    baseline = Backend.objects.get(name="llm-inside")
    for slug in ROUTES:
        route = Route.objects.create(slug=slug, name=slug, owner="scale", baseline=baseline)
        document = _policy(slug)
        for number, state in ((1, "retired"), (2, "active")):
            PolicyVersion.objects.create(
                route=route,
                number=number,
                state=state,
                document=document,
                digest=digest(document),
                author=author,
                activated_by=User.objects.get(username="petra"),
                activated_at=timezone.now() - timedelta(days=10 // number),
                **({"retired_at": timezone.now()} if state == "retired" else {}),
            )
    ApiKey.objects.bulk_create(
        ApiKey(
            public_id=f"key{n:05}", secret_sha256=bytes([n]) * 32, name=f"client {n}", owner="scale"
        )
        for n in range(CLIENTS)
    )


def _policy(slug: str) -> dict[str, object]:
    def rule(name: str, then: dict[str, object]) -> dict[str, object]:
        when = {"all": [{"prompt_tokens": {"gte": 1}}]}
        return {"id": name, "name": name.replace("-", " ").capitalize(), "when": when, "then": then}

    small: dict[str, object] = {"route": {"tier": "slm", "targets": ["slm-inside"]}}
    large: dict[str, object] = {"route": {"tier": "llm", "targets": ["llm-inside"]}}
    return {
        "schema": "signalbox.policy/1",
        "route": slug,
        "owner": "scale",
        "rules": [rule("narrow-work", small)] + [rule(f"rule-{n}", large) for n in range(16, 21)],
        "default": {"then": large},
        "safe_default": {"text": "A colleague will answer.", "finish_reason": "stop"},
    }


def cases() -> list[Case]:
    """Every filter of the lists, common and rare, alone and together, and what nothing matches."""
    deep = str(first_id(timezone.now() - timedelta(days=24)))
    decisions: dict[str, dict[str, str]] = {
        "newest": {},
        "a page of 24 days ago": {"before": deep},
        "route": {"route": "route-01"},
        "client": {"client": "key00039"},
        "rule": {"rule": "rule-17"},
        "rule that never matched": {"rule": "rule-99"},
        "backend": {"backend": "slm-second"},
        "boundary public": {"boundary": "public"},
        "tier": {"tier": "llm"},
        "data class, one in 500": {"data_class": "restricted"},
        "version": {"policy": "route-11@1"},
        "version that never ran": {"policy": "route-01@9"},
        "outcome served": {"outcome": "served"},
        "outcome failed": {"outcome": "failed"},
        "outcomes not served": {"outcome": "not_served"},
        "decided: held": {"action": "hold"},
        "cause fallback": {"cause": "fallback_error"},
        "cause never seen": {"cause": "kill_switch"},
        "session": {"session": "s12345"},
        "request id": {"request_id": "req_" + "0" * 32},
        "last hour": {"period": "1h"},
        "last 7 days, failed": {"period": "7d", "outcome": "failed"},
        "route and failed": {"route": "route-09", "outcome": "failed"},
        "route and class": {"route": "route-11", "data_class": "restricted"},
        "route and backend that never met": {"route": "route-03", "backend": "llm-cloud"},
        "class, tier and cause of nothing": {
            "data_class": "restricted",
            "tier": "slm",
            "cause": "budget",
        },
        "client and failed": {"client": "key00001", "outcome": "failed"},
        "client and a class": {"client": "key00038", "data_class": "restricted"},
    }
    week = timezone.now() - timedelta(days=20)
    trail: dict[str, dict[str, str]] = {
        "newest": {},
        "person": {"actor": "petra"},
        "nobody": {"actor": "nobody-of-that-name"},
        "act": {"kind": "policy.activated"},
        "act of every request": {"kind": "decision.completed"},
        "act never seen": {"kind": "classifier.trained"},
        "group of acts": {"group": "policy"},
        "group nothing is in": {"group": "privacy"},
        "object": {"object_type": "policy_version", "object_id": "route-7@1"},
        "request": {"request_id": "req_" + "0" * 32},
        "denied": {"result": "denied"},
        "failed": {"result": "failed"},
        "words of the reason": {"text": "rollback"},
        "words of no reason": {"text": "zeppelin"},
        "before a day": {"until": f"{week:%Y-%m-%d}"},
        "a day": {"since": f"{week:%Y-%m-%d}", "until": f"{week + timedelta(days=1):%Y-%m-%d}"},
        "person and act": {"actor": "rui", "kind": "review.decided"},
        "person, a day": {"actor": "rui", "until": f"{week:%Y-%m-%d}"},
    }
    pages = {
        "overview": "/",
        "routes": "/routes/",
        "route, a week": "/routes/route-01/?period=week",
        "backends": "/backends/",
        "backend": "/backends/llm-inside/",
        "API keys": "/settings/keys/",
        "data flow": "/data-flow/",
        "health of the trail": "/audit/health/",
    }
    return [
        *(
            Case(group=LISTS, name=n, url=f"/decisions/?{urlencode(q)}")
            for n, q in decisions.items()
        ),
        Case(group=LISTS, name="how many are new", url=f"/decisions/new/?after={UUID(int=0)}"),
        *(Case(group=AUDIT, name=n, url=f"/audit/?{urlencode(q)}") for n, q in trail.items()),
        *(Case(group=CHARTS, name=n, url=url) for n, url in pages.items()),
    ]


class Unanswered(Exception):
    """A screen did not answer 200: its time means nothing."""


def _worked_ms(pids: tuple[int, ...]) -> float:
    """Milliseconds that processors worked for these processes: waiting for one does not count."""
    return sum(int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) for pid in pids) / 1e6


def _processes() -> tuple[int, ...]:
    """This one, and the database's backend that serves it: both are on this machine."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        return os.getpid(), int(cursor.fetchone()[0])


def measure(client: Client, chosen: list[Case], *, runs: int, seed: int = 1) -> dict[str, Timing]:
    """Each screen so many times, in a new order every round, after one round to warm up.

    A screen slower than three seconds is asked three times only.
    """
    order = random.Random(seed)
    taken: dict[str, list[tuple[float, float]]] = {case.url: [] for case in chosen}
    pids = _processes()
    for round_ in range(runs + 1):
        for case in order.sample(chosen, len(chosen)):
            times = taken[case.url]
            if len(times) >= 3 and statistics.median(clock for clock, _ in times) > 3000:
                continue
            began, worked = perf_counter(), _worked_ms(pids)
            answer = client.get(case.url)
            if answer.status_code != 200:
                raise Unanswered(f"{case.url} answered {answer.status_code}")
            if round_:
                times.append(((perf_counter() - began) * 1000, _worked_ms(pids) - worked))
    return {url: _timing(times) for url, times in taken.items()}


def _timing(times: list[tuple[float, float]]) -> Timing:
    clock, worked = (sorted(one) for one in zip(*times, strict=True))
    at = min(len(clock) - 1, int(0.95 * len(clock)))
    return Timing(
        p50_ms=round(statistics.median(clock), 2),
        p95_ms=round(clock[at], 2),
        max_ms=round(clock[-1], 2),
        cpu_p50_ms=round(statistics.median(worked), 2),
        cpu_p95_ms=round(worked[at], 2),
        runs=len(clock),
    )
