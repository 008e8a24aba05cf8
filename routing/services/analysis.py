"""Holds a policy document against the registry: what the engine's analysis finds, and its tests."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from routing.engine import analyse
from routing.engine.document import parse_policy
from routing.engine.examples import TestResult, run_tests
from routing.engine.policy import Policy
from routing.engine.types import BackendFacts, Finding, PolicyError
from routing.engine.wording import listed
from routing.models import Backend, SignOff
from routing.services.enforcement import findings_on_score


def registry_facts() -> dict[str, BackendFacts]:
    """Every registered backend as the engine sees it, with the sign-offs that hold now."""
    now = timezone.now()
    signoffs: dict[int, dict[str, int]] = {}
    for signoff in SignOff.objects.filter(
        state=SignOff.State.GRANTED, valid_from__lte=now, valid_to__gt=now
    ):
        expiries = signoffs.setdefault(signoff.backend_id, {})
        ends = int(signoff.valid_to.timestamp())
        expiries[signoff.data_class] = max(ends, expiries.get(signoff.data_class, 0))
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


def findings_of(document: dict[str, Any], *, floor: str | None = None) -> list[Finding]:
    """All findings of a document, the blocking ones first; an unreadable one gives its own.

    ``floor`` is the data class of the route, under which no request of it can be. A test of the
    document that fails is a blocking finding like any other.
    """
    try:
        policy = parse_policy(document)
    except PolicyError as problem:
        return problem.findings
    facts, now_s = registry_facts(), int(timezone.now().timestamp())
    findings = analyse.analyse(policy, facts, now_s=now_s, floor=floor)
    failing = [
        Finding(
            code="test_failed",
            path=f"tests[{result.number - 1}]",
            message=f"the test “{result.name}” {listed(result.wrong)}",
        )
        for result in run_tests(policy, facts, now_s=now_s, floor=floor)
        if not result.passed
    ]
    scored = findings_on_score(policy, facts)
    return sorted(
        [*findings, *failing, *scored],
        key=lambda finding: (not finding.blocking, not finding.blocks_activation),
    )


def test_results(policy: Policy, *, floor: str | None = None) -> tuple[TestResult, ...]:
    """Every test of a policy against the registry as it is now."""
    now_s = int(timezone.now().timestamp())
    return run_tests(policy, registry_facts(), now_s=now_s, floor=floor)
