"""Decides a request that is given by its signals: the witnesses that the analysis shows."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from django.utils import timezone

from routing.engine.branches import CAPABILITY_SIGNALS
from routing.engine.decide import compile_policy, decide
from routing.engine.document import parse_policy
from routing.engine.explain import changes
from routing.engine.registry import NUMBER, Registry
from routing.engine.types import Facts, SignalValue
from routing.models import PolicyVersion
from routing.services.analysis import registry_facts
from routing.services.simulation import Simulated, killed_for


def read_signals(given: Mapping[str, Any], registry: Registry) -> dict[str, SignalValue]:
    """Signals from JSON, where a decimal may be a string; what the registry knows of them."""
    values: dict[str, object] = {}
    for name, value in given.items():
        signal = registry.get(name)
        if signal is not None and signal.kind == NUMBER and isinstance(value, str):
            try:
                values[name] = Decimal(value)
            except InvalidOperation:
                continue
        else:
            values[name] = value
    return registry.admit(values)


def simulate_signals(
    *, version: PolicyVersion, signals: Mapping[str, SignalValue], classifier_failed: bool = False
) -> Simulated:
    """What this version decides about a request that has just these signals.

    The caller is one whose key may use public backends, so that every way out is seen. Raises
    PolicyError when the document of the version cannot be read.
    """
    policy = parse_policy(version.document)
    compiled = compile_policy(policy, number=version.number, digest=version.digest)
    given = signals.get("data_class")
    facts = Facts(
        signals=signals,
        data_class=given if isinstance(given, str) else version.route.data_class,
        now_s=int(timezone.now().timestamp()),
        needs=frozenset(
            word for name, word in CAPABILITY_SIGNALS.items() if signals.get(name) is True
        ),
        boundary_ceiling="public",
        killed=killed_for(version.route.slug),
        classifier_failed=classifier_failed,
    )
    return Simulated(
        decision=decide(compiled, facts, registry_facts()),
        contributions=(),
        nearest=changes(compiled, facts),
    )
