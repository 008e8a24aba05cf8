"""People, backends, routes and a key of the plant, made by the product's own services.

A program: ``python -m tests.faults.world VERB JSON`` with the plant's environment.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import timedelta
from decimal import Decimal
from typing import Any

REASON = "Fault tests"
CLASSES = ["public", "internal", "confidential", "restricted"]
NAMES = ("olivia", "arjun", "petra", "pavel", "quinn")
LIMITS = {"deadline_ms": 6000, "first_token_ms": 4000, "stream_idle_ms": 3000, "attempts": 3}


def _people() -> dict[str, Any]:
    from django.contrib.auth.models import Group

    from accounts.models import User
    from screens.access import ROLES

    groups = [Group.objects.get_or_create(name=role)[0] for role in ROLES]
    made = {}
    for name in NAMES:
        made[name], _ = User.objects.get_or_create(username=name, full_name=name.title())
        made[name].groups.set(groups)
    return made


def _person(name: str) -> Any:
    from accounts.models import User

    return User.objects.get(username=name)


def _backend(name: str, port: int, people: dict[str, Any]) -> Any:
    from routing.services import registry

    is_public = name == "cloud"
    facts = {
        "processor": "Example Cloud",
        "processor_country": "DE",
        "processor_contract": "DPA-1",
        "processor_contact": "privacy@example.com",
        "processor_retention": "none",
    }
    backend = registry.register_backend(
        by=people["olivia"],
        name=name,
        reason=REASON,
        owner="platform",
        tier="llm" if name != "small" else "slm",
        boundary="public" if is_public else "private",
        base_url=f"http://127.0.0.1:{port}/v1",
        upstream_model="theirs",
        data_classes=CLASSES,
        capabilities=["stream", "json", "tools", "images"],
        context_window=32_768,
        max_output_tokens=200,
        max_in_flight=256,
        input_usd_per_mtok=Decimal("1.00"),
        output_usd_per_mtok=Decimal("2.00"),
        **(facts if is_public else {}),
    )
    registry.set_backend_state(backend=backend, state="active", by=people["olivia"], reason=REASON)
    return backend


def _sign_off(backend: Any, people: dict[str, Any]) -> None:
    from django.utils import timezone

    from routing.services import signoffs

    now = timezone.now()
    for data_class in CLASSES:
        asked = signoffs.request_signoff(
            backend=backend,
            data_class=data_class,
            purpose=REASON,
            risk_reference="RA-1",
            conditions="",
            valid_from=now - timedelta(minutes=1),
            valid_to=now + timedelta(days=30),
            by=people["olivia"],
        )
        for name in ("petra", "pavel"):
            asked = signoffs.approve_signoff(signoff=asked, by=people[name], reason=REASON)


def policy(slug: str, *, target: str, then: str = "", limits: dict[str, int] | None = None) -> Any:
    return {
        "schema": "signalbox.policy/1",
        "route": slug,
        "owner": "platform",
        "rules": [],
        "default": {"then": {"route": {"tier": "llm", "targets": [target]}}},
        "fallbacks": {"failure": {target: [then]}} if then else {},
        "safe_default": {"text": "A colleague will answer.", "finish_reason": "stop"},
        "limits": limits or LIMITS,
    }


def activate(slug: str, document: dict[str, Any]) -> dict[str, Any]:
    """A new version through its whole life: draft, submission, approval, activation."""
    from routing.services import policies

    version = policies.start_draft(slug=slug, by=_person("arjun"), document=document)
    policies.submit_version(version=version, by=_person("arjun"), summary=REASON)
    for approver in ("petra", "pavel")[: max(1, version.approvals_needed)]:
        policies.judge_version(
            version=version, by=_person(approver), verdict="approve", comment=REASON
        )
    version = policies.activate_version(version=version, by=_person("olivia"), reason=REASON)
    return {"number": version.number, "digest": version.digest}


def seed(ports: dict[str, int]) -> dict[str, Any]:
    from accounts.services.keys import create_key
    from routing.models import Backend, Route

    people = _people()
    for name, port in ports.items():
        backend = _backend(name, port, people)
        if name == "cloud":
            _sign_off(backend, people)
    for slug, target in (("near", "near"), ("away", "cloud")):
        Route.objects.create(
            slug=slug, name=slug, owner="platform", baseline=Backend.objects.get(name=target)
        )
        activate(slug, policy(slug, target=target, then="spare" if slug == "near" else ""))
    _, text = create_key(
        by=people["olivia"],
        reason=REASON,
        name="faults",
        owner="platform",
        default_route="near",
        routes=[],
        may_pin=False,
        boundary_ceiling="public",
        data_class_ceiling="restricted",
        requests_per_minute=1_000_000,
    )
    return {"api_key": text}


def stop_public(engaged: bool) -> dict[str, Any]:
    from routing.models import KillSwitch
    from routing.services import registry

    by = _person("olivia")
    if engaged:
        registry.engage_switch(scope="public", target="", by=by, reason=REASON)
    else:
        switch = KillSwitch.objects.get(scope="public", released_at__isnull=True)
        registry.release_switch(switch=switch, by=by, reason=REASON)
    return {}


def reap(seconds_later: int) -> dict[str, Any]:
    """What the reaper will do so much later, once the deadlines have passed."""
    from django.utils import timezone

    from routing.services import reaper

    return {"reaped": reaper.reap(now=timezone.now() + timedelta(seconds=seconds_later))}


def submit(slug: str) -> dict[str, Any]:
    from routing.services import policies

    limits = {**LIMITS, "deadline_ms": 6500}
    document = policy(slug, target="near", then="spare", limits=limits)
    version = policies.start_draft(slug=slug, by=_person("arjun"), document=document)
    policies.submit_version(version=version, by=_person("arjun"), summary=REASON)
    return {"pk": version.pk}


def judge(pk: int, by: str) -> dict[str, Any]:
    from routing.models import PolicyVersion
    from routing.services import policies
    from screens.errors import DomainError

    try:
        policies.judge_version(
            version=PolicyVersion.objects.get(pk=pk),
            by=_person(by),
            verdict="approve",
            comment=REASON,
        )
    except DomainError as problem:
        return {"told": problem.code}
    return {"told": "ok"}


VERBS = {"submit": submit, "seed": seed, "stop_public": stop_public, "reap": reap}
BY_NAME = {"activate": activate, "judge": judge}


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    verb, given = sys.argv[1], json.loads(sys.argv[2])
    made = BY_NAME[verb](**given) if verb in BY_NAME else VERBS[verb](given)
    sys.stdout.write(json.dumps(made) + "\n")


if __name__ == "__main__":
    main()
