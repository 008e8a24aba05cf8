"""Sets up what is measured through the product's own services; run as a program of its own.

Prints one JSON line: the API key and, per kind of upstream, the route to call.
"""

from __future__ import annotations

import json
import os
import sys
from decimal import Decimal
from typing import Any

_REASON = "Overhead benchmark"


def policy(route: str, backend: str) -> dict[str, Any]:
    """Fifteen rules over every sort of signal; our prompt is taken by the last."""

    def rule(name: str, *conditions: dict[str, Any]) -> dict[str, Any]:
        target = {"route": {"tier": "llm", "targets": [backend]}}
        return {
            "id": name,
            "name": name.replace("-", " ").capitalize(),
            "owner": "benchmark",
            "when": {"all": list(conditions)},
            "then": target,
        }

    rules = [
        rule("restricted", {"data_class": {"in": ["restricted"]}}),
        rule("secrets", {"personal_data": {"contains_any": ["payment_card", "secret"]}}),
        rule("legal", {"topic": {"in": ["legal"]}}, {"prompt_tokens": {"lte": 4000}}),
        rule("medical", {"topic": {"in": ["medical"]}}),
        rule("tools", {"has_tools": {"eq": True}}),
        rule("images", {"has_images": {"eq": True}}),
        rule("documents", {"wants_json": {"eq": True}}, {"prompt_tokens": {"gte": 1000}}),
        rule("code", {"has_code": {"eq": True}}, {"gain": {"gte": Decimal("0.01")}}),
        rule("german", {"language": {"in": ["de"]}}),
        rule("french-or-spanish", {"language": {"in": ["fr", "es"]}}),
        rule("long", {"prompt_tokens": {"gte": 6000}}),
        rule("long-talk", {"turns": {"gte": 12}}),
        rule("planning-step", {"step": {"in": ["plan", "judge"]}}),
        rule("very-hard", {"gain": {"gte": Decimal("0.90")}}),
        rule("everything", {"prompt_tokens": {"gte": 1}}),
    ]
    return {
        "schema": "signalbox.policy/1",
        "route": route,
        "owner": "benchmark",
        "rules": rules,
        "default": {"then": {"route": {"tier": "llm", "targets": [backend]}}},
        "safe_default": {"text": "A colleague will answer.", "finish_reason": "stop"},
        "limits": {
            "deadline_ms": 60000,
            "first_token_ms": 20000,
            "stream_idle_ms": 20000,
            "attempts": 3,
        },
    }


def plain(value: Any) -> Any:
    """A document as it is stored: numbers of JSON."""
    return json.loads(json.dumps(value, default=float))


def _people() -> dict[str, Any]:
    from django.contrib.auth.models import Group

    from accounts.models import User
    from screens.access import ROLES

    made = {}
    for role in ROLES:
        group, _ = Group.objects.get_or_create(name=role)
        user, _ = User.objects.get_or_create(username=f"bench-{role.replace('_', '-')}")
        user.groups.set([group])
        made[role] = user
    return made


def _backend(name: str, url: str, operator: Any) -> None:
    from routing.models import Backend
    from routing.services import registry

    backend = registry.register_backend(
        by=operator,
        name=name,
        reason=_REASON,
        owner="benchmark",
        tier="llm",
        boundary="private",
        base_url=url,
        upstream_model="fake-model",
        secret_ref="env:SIGNALBOX_BENCH_UPSTREAM_KEY",
        data_classes=["public", "internal", "confidential", "restricted"],
        capabilities=["stream", "json", "tools", "images"],
        context_window=32768,
        max_output_tokens=1024,
        max_in_flight=1024,
        input_usd_per_mtok=Decimal("2.50"),
        output_usd_per_mtok=Decimal("10.00"),
    )
    registry.set_backend_state(
        backend=backend, state=Backend.State.ACTIVE, by=operator, reason=_REASON
    )


def _route(slug: str, backend: str, people: dict[str, Any]) -> None:
    from routing.models import Backend, Route
    from routing.services import policies

    Route.objects.create(
        slug=slug, name=slug, owner="benchmark", baseline=Backend.objects.get(name=backend)
    )
    document = plain(policy(slug, backend))
    version = policies.start_draft(slug=slug, by=people["author"], document=document)
    policies.submit_version(version=version, by=people["author"], summary=_REASON)
    policies.judge_version(
        version=version, by=people["approver"], verdict="approve", comment=_REASON
    )
    policies.activate_version(version=version, by=people["operator"], reason=_REASON)


def seed(ports: dict[str, int]) -> dict[str, Any]:
    from accounts.services.keys import create_key

    people = _people()
    routes = {}
    for kind, port in ports.items():
        _backend(f"fake-{kind}", f"http://127.0.0.1:{port}/v1", people["operator"])
        routes[kind] = f"overhead-{kind}"
        _route(routes[kind], f"fake-{kind}", people)
    _, text = create_key(
        by=people["operator"],
        reason=_REASON,
        name="benchmark",
        owner="benchmark",
        default_route=routes["instant"],
        routes=[],
        may_pin=False,
        # Limits are checked on every request; this one is never reached.
        requests_per_minute=2_000_000_000,
    )
    return {"api_key": text, "routes": routes}


def main() -> None:
    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    django.setup()
    sys.stdout.write(json.dumps(seed(json.loads(sys.argv[1]))) + "\n")


if __name__ == "__main__":
    main()
