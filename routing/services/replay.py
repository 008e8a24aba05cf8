"""Decides a recorded request again, from what the ledger holds of it, and compares.

The same facts under the same version must give the same decision. Nothing is sent and nothing is
recorded: a replay is a reading.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from routing.engine.decide import compile_policy, decide
from routing.engine.document import parse_policy
from routing.engine.registry import NUMBER, Registry
from routing.engine.types import WITHHELD, BackendFacts, Facts, PolicyError, SignalValue
from routing.models import PolicyVersion
from screens.errors import Invalid, NotFound

# What makes two decisions the same; the wording of a sentence may change between releases.
_DECIDING = (
    "action", "backend", "tier", "boundary", "rule", "cause", "plan", "hold", "data_class",
)  # fmt: skip
WORDS = {
    "action": "What happens",
    "backend": "Backend",
    "tier": "Tier",
    "boundary": "Boundary",
    "rule": "Rule",
    "cause": "Cause",
    "plan": "Backends behind it",
    "hold": "Terms of the hold",
    "data_class": "Data class",
    "trace": "Trace",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    name: str
    recorded: Any
    now: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """How a decision came out again. `caveats` says in words what could not be as it was."""

    version: PolicyVersion
    is_same_version: bool
    sentence: str
    differences: tuple[Difference, ...]
    caveats: tuple[str, ...]

    @property
    def is_same(self) -> bool:
        return not self.differences


def facts_as_json(facts: Facts) -> dict[str, Any]:
    """What a decision depended on beside its signals and backends; part of its entry."""
    return {
        "now_s": facts.now_s,
        "needs": sorted(facts.needs),
        "output_tokens": facts.output_tokens,
        "pin": facts.pin,
        "boundary_ceiling": facts.boundary_ceiling,
        "sticky_tier": facts.sticky_tier,
        "in_rollout": facts.in_rollout,
        "baseline": facts.baseline,
        "killed": sorted(facts.killed),
        "classifier_failed": facts.classifier_failed,
        "failed_signals": sorted(facts.failed_signals),
        "capped_rules": sorted(facts.capped_rules),
        "regions": sorted(facts.regions),
        "arm": facts.arm,
    }


def backends_as_json(backends: Mapping[str, BackendFacts]) -> list[dict[str, Any]]:
    """The registry as the decision saw it; with it, a replay needs nothing from today."""
    return [
        {
            "name": one.name,
            "tier": one.tier,
            "boundary": one.boundary,
            "state": one.state,
            "healthy": one.healthy,
            "cooling": one.cooling,
            "context_window": one.context_window,
            "capabilities": sorted(one.capabilities),
            "data_classes": sorted(one.data_classes),
            "signoffs": dict(one.signoffs),
            "price_in": format(one.price_in, "f"),
            "price_out": format(one.price_out, "f"),
            "over_budget": one.over_budget,
            "key_allowed": one.key_allowed,
            "region": one.region,
        }
        for _, one in sorted(backends.items())
    ]


def backends_of(recorded: list[dict[str, Any]]) -> dict[str, BackendFacts]:
    """The registry of a `decision.made` as the engine takes it."""
    return {
        item["name"]: BackendFacts(
            **{
                **item,
                "capabilities": frozenset(item["capabilities"]),
                "data_classes": frozenset(item["data_classes"]),
                "price_in": Decimal(item["price_in"]),
                "price_out": Decimal(item["price_out"]),
            }
        )
        for item in recorded
    }


def _signals(recorded: Mapping[str, Any], registry: Registry) -> dict[str, SignalValue]:
    values: dict[str, object] = {}
    for name, value in recorded.items():
        signal = registry.get(name)
        is_number = signal is not None and signal.kind == NUMBER and isinstance(value, str)
        values[name] = Decimal(value) if is_number and value != WITHHELD else value
    return registry.admit(values)


def facts_of(details: Mapping[str, Any], registry: Registry) -> Facts:
    """The facts as they were; what an older release did not record keeps its default."""
    known: dict[str, Any] = {
        name: frozenset(value) if isinstance(value, list) else value
        for name, value in details["facts"].items()
    }
    recorded = details["decision"]["trace"]["signals"]
    signals = _signals(recorded, registry)
    data_class = recorded["data_class"]
    return Facts(signals=signals, data_class=data_class, **known)


def version_of(label: str) -> PolicyVersion:
    """The version that `route@number` names. Raises NotFound."""
    slug, _, number = label.partition("@")
    version = (
        PolicyVersion.objects.select_related("route")
        .filter(route__slug=slug, number=int(number) if number.isdigit() else -1)
        .first()
    )
    if version is None:
        raise NotFound(f"There is no version {label}.")
    return version


def replay(*, details: Mapping[str, Any], number: int | None = None) -> Replay:
    """Decide again from the details of a `decision.made`; `number` chooses another version."""
    own = str(details["policy"])
    label = own if number is None else f"{details['route']}@{number}"
    version = version_of(label)
    try:
        policy = parse_policy(version.document)
    except PolicyError as problem:
        raise Invalid(f"The version {label} cannot be read: {problem}") from None
    compiled = compile_policy(policy, number=version.number, digest=version.digest)
    recorded = details["decision"]
    signals = recorded["trace"]["signals"]
    caveats = []
    if "backends" in details:
        backends = backends_of(details["backends"])
    else:
        backends = _todays_registry()
        caveats.append("The entry does not hold the registry of its time; today's was used.")
    if WITHHELD in signals.values():
        caveats.append(
            "Some signals are withheld in the trail, so rules that test them may differ."
        )
    if label == own and version.digest != details["policy_digest"]:
        caveats.append("The stored version does not have the digest that was recorded.")
    again = decide(compiled, facts_of(details, policy.registry), backends)
    return Replay(
        version=version,
        is_same_version=label == own,
        sentence=again.sentence,
        differences=differences_of(recorded, again.as_json(), with_trace=label == own),
        caveats=tuple(caveats),
    )


def differences_of(
    recorded: Mapping[str, Any], again: Mapping[str, Any], *, with_trace: bool
) -> tuple[Difference, ...]:
    """What is not the same; the rules and candidates too where it is the same version."""
    found = [
        Difference(name=WORDS[name], recorded=recorded.get(name), now=again[name])
        for name in _DECIDING
        if recorded.get(name) != again[name]
    ]
    parts = ("rules", "candidates") if with_trace else ()
    for part in parts:
        if recorded["trace"][part] != again["trace"][part]:
            found.append(
                Difference(name=f"{WORDS['trace']}: {part}", recorded="as above", now="differs")
            )
    return tuple(found)


def _todays_registry() -> dict[str, BackendFacts]:
    from routing.services.analysis import registry_facts

    return registry_facts()
