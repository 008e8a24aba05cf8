"""Follows the witness of a finding twice: as the policy's lists read, and as live traffic goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from routing.engine import leaks
from routing.engine.canonical import digest
from routing.engine.decide import compile_policy
from routing.engine.document import parse_policy
from routing.engine.policy import Policy
from routing.engine.types import BackendFacts, Finding, Scenario
from routing.models import PolicyVersion
from routing.services import policies
from routing.services.analysis import registry_facts
from routing.services.simulation import killed_for


@dataclass(frozen=True, slots=True, kw_only=True)
class Leak:
    """One witness on both ways, with what was set aside for the first and what stops the second."""

    scenario: Scenario
    assumed: tuple[str, ...]
    circumstances: tuple[str, ...]
    listed: leaks.Walk
    live: leaks.Walk
    stops: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "assumed": list(self.assumed),
            "circumstances": list(self.circumstances),
            "as_listed": [_step(step) for step in self.listed.steps],
            "in_live_traffic": [_step(step) for step in self.live.steps],
            "stopped_by": list(self.stops),
        }


def _step(step: leaks.Step) -> dict[str, Any]:
    return {"backend": step.backend, "boundary": step.boundary, "sentence": step.sentence}


def key_of(finding: Finding) -> str:
    """Names a finding of a version: the same words at the same place are the same finding."""
    said = {"code": finding.code, "path": finding.path, "message": finding.message}
    return digest(said).removeprefix("sha256:")[:16]


def follow(
    policy: Policy,
    scenario: Scenario,
    backends: Mapping[str, BackendFacts],
    *,
    now_s: int,
    killed: frozenset[str] = frozenset(),
) -> Leak:
    compiled = compile_policy(policy, number=0, digest="")
    listed = leaks.as_listed(compiled, scenario, backends, now_s=now_s)
    return Leak(
        scenario=scenario,
        assumed=leaks.assumptions(scenario, listed.decision.data_class),
        circumstances=leaks.circumstances(scenario),
        listed=listed,
        live=leaks.as_live(compiled, scenario, backends, now_s=now_s, killed=killed),
        stops=leaks.stops(compiled, scenario, backends, listed, now_s=now_s, killed=killed),
    )


def leak_of(*, version: PolicyVersion, key: str) -> tuple[Finding, Leak] | None:
    """The finding with its witness followed, or None where it is not found any more."""
    for finding in policies.check(version):
        if finding.scenario is not None and key_of(finding) == key:
            leak = follow(
                parse_policy(version.document),
                finding.scenario,
                registry_facts(),
                now_s=int(timezone.now().timestamp()),
                killed=killed_for(version.route.slug),
            )
            return finding, leak
    return None
