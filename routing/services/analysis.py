"""Holds a policy document against the registry: what the engine's analysis finds, and its tests."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from routing.engine import analyse
from routing.engine.document import parse_policy
from routing.engine.types import BackendFacts, Finding, PolicyError
from routing.models import Backend, SignOff


def registry_facts() -> dict[str, BackendFacts]:
    """Every registered backend as the engine sees it, with the sign-offs that hold now."""
    now = timezone.now()
    signoffs: dict[int, dict[str, int]] = {}
    for signoff in SignOff.objects.filter(
        state=SignOff.State.GRANTED, valid_from__lte=now, valid_to__gt=now
    ):
        signoffs.setdefault(signoff.backend_id, {})[signoff.data_class] = int(
            signoff.valid_to.timestamp()
        )
    return {
        backend.name: BackendFacts(
            name=backend.name,
            tier=backend.tier,
            boundary=backend.boundary,
            state="active" if backend.state == Backend.State.ACTIVE else backend.state,
            context_window=backend.context_window,
            capabilities=frozenset(backend.capabilities),
            data_classes=frozenset(backend.data_classes),
            signoffs=signoffs.get(backend.pk, {}),
            price_in=backend.input_usd_per_mtok,
            price_out=backend.output_usd_per_mtok,
            region=backend.region,
        )
        for backend in Backend.objects.all()
    }


def findings_of(document: dict[str, Any]) -> list[Finding]:
    """All findings of a document, the blocking ones first; an unreadable one gives its own."""
    try:
        policy = parse_policy(document)
    except PolicyError as problem:
        return problem.findings
    facts = registry_facts()
    findings = analyse.analyse(policy, facts, now_s=int(timezone.now().timestamp()))
    return sorted(findings, key=lambda finding: not finding.blocking)
