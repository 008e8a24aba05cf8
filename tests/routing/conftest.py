"""Backends, a route and its policy, as an operator would have registered them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from routing.models import Backend, Route
from routing.services import policies, registry

ALL_CLASSES = ["public", "internal", "confidential", "restricted"]


def backend_fields(**changed: Any) -> dict[str, Any]:
    return {
        "owner": "platform",
        "tier": "slm",
        "boundary": "private",
        "base_url": "http://127.0.0.1:9/v1",
        "upstream_model": "tiny-1",
        "data_classes": ALL_CLASSES,
        "capabilities": ["stream", "json"],
        "context_window": 4096,
        "input_usd_per_mtok": Decimal("0.05"),
        "output_usd_per_mtok": Decimal("0.10"),
        **changed,
    }


def policy_document(route: str = "support", **changed: Any) -> dict[str, Any]:
    return {
        "schema": "signalbox.policy/1",
        "route": route,
        "owner": "support-platform",
        "rules": [
            {
                "id": "narrow-work",
                "name": "Short questions",
                "when": {"all": [{"prompt_tokens": {"lte": 200}}]},
                "then": {"route": {"tier": "slm", "targets": ["small"]}},
            }
        ],
        "default": {"then": {"route": {"tier": "llm", "targets": ["large"]}}},
        "safe_default": {"text": "A colleague will answer shortly.", "finish_reason": "stop"},
        **changed,
    }


@pytest.fixture
def backends(people: dict[str, Any]) -> dict[str, Backend]:
    made = {}
    for name, tier in (("small", "slm"), ("large", "llm")):
        made[name] = registry.register_backend(
            by=people["olivia"], name=name, reason="test", **backend_fields(tier=tier)
        )
        registry.set_backend_state(
            backend=made[name], state="active", by=people["olivia"], reason="test"
        )
    return made


@pytest.fixture
def route(backends: dict[str, Backend]) -> Route:
    return Route.objects.create(
        slug="support", name="Support", owner="support-platform", baseline=backends["large"]
    )


@pytest.fixture
def active_version(route: Route, people: dict[str, Any]) -> Any:
    version = policies.start_draft(slug=route.slug, by=people["arjun"], document=policy_document())
    policies.submit_version(version=version, by=people["arjun"], summary="First policy")
    policies.judge_version(version=version, by=people["petra"], verdict="approve", comment="Good.")
    return policies.activate_version(version=version, by=people["olivia"], reason="Go")
