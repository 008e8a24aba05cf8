"""Sets the demonstration up through the product's own services, so that the trail begins with it."""

from __future__ import annotations

import json
import os
import secrets
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml
from django.conf import settings
from django.contrib.auth.models import Group
from django.db import transaction
from django.utils import timezone

import audit
from accounts.models import ApiKey, User
from accounts.services.keys import create_key
from audit.actors import SYSTEM
from routing.models import Backend, Route
from routing.services import policies, registry
from screens.access import ROLES

PEOPLE = (
    ("olivia", "Olivia Hart", "Platform operator", ("operator",)),
    ("arjun", "Arjun Mehta", "Policy author, support platform", ("author",)),
    ("petra", "Petra Lindqvist", "Approver, model risk", ("approver",)),
    ("pavel", "Pavel Novak", "Approver, information security", ("approver",)),
    ("rui", "Rui Carvalho", "Reviewer, customer care", ("reviewer",)),
    ("noor", "Noor van Dijk", "Lead reviewer, customer care", ("reviewer", "lead_reviewer")),
    ("ada", "Ada Nwosu", "Internal auditor", ("auditor",)),
    ("sam", "Sam Kowalski", "Administrator", ("administrator",)),
)
ROUTE = "support-triage"
SLM, LLM, PUBLIC = "smollm2-135m", "stand-in-large", "stand-in-public"
_KEY_LIFE = timedelta(days=180)


def facts_file() -> Path:
    return settings.VAR_DIR / "demo.json"


def _known() -> dict[str, Any]:
    try:
        return json.loads(facts_file().read_text())
    except (FileNotFoundError, ValueError):
        return {}


def _write(facts: dict[str, Any]) -> None:
    fresh = facts_file().with_suffix(".new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(facts, file, indent=1)
    fresh.replace(facts_file())


@transaction.atomic
def _people(known: dict[str, str]) -> list[dict[str, Any]]:
    for role in ROLES:
        Group.objects.get_or_create(name=role)
    made = []
    for name, full_name, job, roles in PEOPLE:
        user, is_new = User.objects.get_or_create(
            username=name, defaults={"full_name": full_name, "job": job}
        )
        password = known.get(name) or secrets.token_urlsafe(12)
        if is_new or name not in known:
            user.set_password(password)
            user.save()
        if is_new:
            user.groups.set(Group.objects.filter(name__in=roles))
            audit.record(
                "person.created",
                by=SYSTEM("demo"),
                object_type="person",
                object_id=name,
                reason="Demonstration",
                after={"roles": sorted(roles), "full_name": full_name},
            )
        made.append({"name": name, "password": password, "roles": list(roles)})
    return made


def _backends(operator: User) -> None:
    reason = "Demonstration backend"
    common: dict[str, Any] = {
        "owner": "platform-operations",
        "boundary": "private",
        "region": "on-premises",
    }
    small_is_real = os.environ.get("SIGNALBOX_SLM_MODEL", "").startswith("stand-in") is False
    wanted = {
        SLM: {
            "description": "SmolLM2-135M-Instruct, a real small language model on this machine"
            if small_is_real
            else "A stand-in for the small model, for machines that cannot run one",
            "tier": "slm",
            "base_url": os.environ["SIGNALBOX_SLM_URL"],
            "upstream_model": os.environ["SIGNALBOX_SLM_MODEL"],
            "secret_ref": "env:SIGNALBOX_SLM_KEY",
            "capabilities": ["stream", "json", "logprobs"],
            "data_classes": ["public", "internal", "confidential", "restricted"],
            "context_window": 2048,
            "max_output_tokens": 96,
            "max_in_flight": 16,
            "input_usd_per_mtok": Decimal("0.04"),
            "output_usd_per_mtok": Decimal("0.08"),
        },
        LLM: {
            "description": "A deterministic stand-in for a larger private model; it is not a language model",
            "tier": "llm",
            "base_url": os.environ["SIGNALBOX_LLM_URL"],
            "upstream_model": os.environ["SIGNALBOX_LLM_MODEL"],
            "secret_ref": "env:SIGNALBOX_LLM_KEY",
            "capabilities": ["stream", "json", "tools", "images", "embeddings"],
            "data_classes": ["public", "internal", "confidential", "restricted"],
            "context_window": 32768,
            "max_output_tokens": 1024,
            "max_in_flight": 128,
            "input_usd_per_mtok": Decimal("2.50"),
            "output_usd_per_mtok": Decimal("10.00"),
        },
        # Nobody signs it off, so no request goes to it; and its address is of this machine, so
        # that nothing would leave if somebody did.
        PUBLIC: {
            "description": "Stands for a public API, to try boundaries and sign-offs with. It is the "
            "stand-in on this machine: nothing leaves it, and without a sign-off nothing is sent",
            "tier": "llm",
            "boundary": "public",
            "region": "this machine",
            "base_url": os.environ["SIGNALBOX_LLM_URL"],
            "upstream_model": os.environ["SIGNALBOX_LLM_MODEL"],
            "secret_ref": "env:SIGNALBOX_LLM_KEY",
            "capabilities": ["stream", "json", "tools"],
            "data_classes": ["public", "internal"],
            "context_window": 131072,
            "max_output_tokens": 1024,
            "max_in_flight": 16,
            "input_usd_per_mtok": Decimal("1.10"),
            "output_usd_per_mtok": Decimal("4.40"),
        },
    }
    for name, fields in wanted.items():
        backend = Backend.objects.filter(name=name).first()
        if backend is None:
            backend = registry.register_backend(
                by=operator, name=name, reason=reason, **{**common, **fields}
            )
            registry.set_backend_state(backend=backend, state="active", by=operator, reason=reason)
        elif (backend.base_url, backend.upstream_model) != (
            fields["base_url"],
            fields["upstream_model"],
        ):
            registry.change_backend(
                backend=backend,
                by=operator,
                reason="The demonstration's servers moved",
                base_url=fields["base_url"],
                upstream_model=fields["upstream_model"],
            )


@transaction.atomic
def _route() -> Route:
    route, is_new = Route.objects.get_or_create(
        slug=ROUTE,
        defaults={
            "name": "Support triage",
            "description": "Answers customer messages that the help desk receives, in several languages.",
            "owner": "support-platform",
            "data_class": "internal",
            "capture": Route.Capture.ENCRYPTED,
            "baseline": Backend.objects.get(name=LLM),
            "slo_p95_ms": 4000,
        },
    )
    if is_new:
        audit.record(
            "route.created",
            by=SYSTEM("demo"),
            object_type="route",
            object_id=ROUTE,
            reason="Demonstration",
            after={"slug": ROUTE, "owner": route.owner, "data_class": route.data_class},
        )
    return route


def demo_policy() -> dict[str, Any]:
    return yaml.safe_load((Path(__file__).parent / "policy.yaml").read_text())


def _policy(route: Route, people: dict[str, User]) -> None:
    if policies.active_version(route) is not None or route.versions.exists():
        return
    version = policies.start_draft(slug=route.slug, by=people["arjun"], document=demo_policy())
    policies.submit_version(
        version=version,
        by=people["arjun"],
        summary="First policy: short familiar questions to the small model, the rest to the larger one.",
    )
    policies.judge_version(
        version=version,
        by=people["petra"],
        verdict="approve",
        comment="Data stays inside, and everything unfamiliar goes to the larger model.",
    )
    policies.activate_version(
        version=version, by=people["olivia"], reason="First activation of the demonstration route"
    )


def _api_key(operator: User, known: str) -> str:
    from accounts.secrets import fingerprint

    if (
        known
        and ApiKey.objects.filter(
            secret_sha256=fingerprint(known), revoked_at__isnull=True
        ).exists()
    ):
        return known
    _, text = create_key(
        by=operator,
        reason="Demonstration key",
        name="help-desk",
        owner="support-platform",
        default_route=ROUTE,
        routes=[],
        may_pin=True,
        requests_per_minute=60_000,
        expires_at=timezone.now() + _KEY_LIFE,
    )
    return text


def seed() -> dict[str, Any]:
    """Bring the demonstration to its starting state; safe to run at every start. Writes demo.json."""
    known = _known()
    made = _people({person["name"]: person["password"] for person in known.get("people", ())})
    people = {
        user.username: user for user in User.objects.filter(username__in=[p[0] for p in PEOPLE])
    }
    _backends(people["olivia"])
    _policy(_route(), people)
    facts = {
        "url": settings.SIGNALBOX_URL,
        "gateway_url": settings.SIGNALBOX_URL,
        "openai_base_url": f"{settings.SIGNALBOX_URL}/v1",
        "api_key": _api_key(people["olivia"], known.get("api_key", "")),
        "routes": [ROUTE],
        "people": made,
        "sample_traffic_sent": bool(known.get("sample_traffic_sent")),
    }
    _write(facts)
    return facts


def note_sample_traffic() -> None:
    _write({**_known(), "sample_traffic_sent": True})
