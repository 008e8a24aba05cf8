"""Policies, backends and facts that the engine's tests share."""

from __future__ import annotations

import copy
from decimal import Decimal
from typing import Any

from routing.engine import canonical
from routing.engine.decide import compile_policy, decide
from routing.engine.document import parse_policy
from routing.engine.types import BackendFacts, Facts

NOW = 1_800_000_000
DAY = 86_400
ALL_CLASSES = frozenset({"public", "internal", "confidential", "restricted"})

# The example of the policy language, as it stands in docs/policy.md.
EXAMPLE: dict[str, Any] = {
    "schema": "signalbox.policy/1",
    "route": "support-triage",
    "owner": "support-platform",
    "classifier": "support-triage@3",
    "signals": {"language": {"timeout_ms": 5}},
    "rules": [
        {
            "id": "restricted-stays-private",
            "name": "Restricted data stays inside",
            "when": {"all": [{"data_class": {"in": ["restricted"]}}]},
            "then": {
                "route": {"tier": "llm", "targets": ["private-llama-70b"]},
                "on_no_target": "hold",
            },
        },
        {
            "id": "narrow-work",
            "when": {
                "all": [
                    {"gain": {"lte": 0.04}},
                    {"unfamiliar": {"eq": False}},
                    {"prompt_tokens": {"lte": 1500}},
                ]
            },
            "then": {"route": {"tier": "slm", "targets": ["phi-4-mini", "smollm"]}},
        },
        {
            "id": "unsure-and-high-stakes",
            "when": {"all": [{"score": {"lt": 0.35}}, {"topic": {"in": ["legal", "medical"]}}]},
            "then": {
                "hold": {
                    "queue": "clinical",
                    "hold_s": 25,
                    "on_timeout": "safe_default",
                    "cap_pct": 3,
                    "over_cap": "safe_default",
                }
            },
        },
    ],
    "default": {"then": {"route": {"tier": "llm", "targets": ["private-llama-70b"]}}},
    "fallbacks": {
        "failure": {"phi-4-mini": ["smollm", "private-llama-70b"]},
        "context_window": ["private-llama-70b-long"],
        "content_policy": [],
    },
    "escalation": {
        "slm": {
            "confidence": {"signal": "token_logprob_q10", "accept_gte": 0.62},
            "on_uncertain": "escalate",
            "to": ["private-llama-70b"],
            "then": "hold",
        }
    },
    "safe_default": {"text": "A colleague will answer shortly.", "finish_reason": "stop"},
    "session": {"sticky": True, "ttl_s": 1800, "may_rise": True, "may_fall": False},
    "limits": {
        "deadline_ms": 30000,
        "first_token_ms": 8000,
        "stream_idle_ms": 20000,
        "attempts": 3,
    },
    "on_classifier_failure": {
        "restricted": {"route": {"tier": "llm", "targets": ["private-llama-70b"]}},
        "default": "default",
    },
    "invariants": [
        {
            "forbid": {
                "data_class": {"in": ["confidential", "restricted"]},
                "boundary": {"in": ["public"]},
            }
        }
    ],
    "tests": [
        {
            "given": {"data_class": "restricted", "score": 0.99},
            "expect": {"rule": "restricted-stays-private", "outcome": "route", "tier": "llm"},
        }
    ],
}


def document(**changes: Any) -> dict[str, Any]:
    """The example with some top-level keys replaced; None removes one."""
    changed = copy.deepcopy(EXAMPLE)
    for key, value in changes.items():
        if value is None:
            changed.pop(key, None)
        else:
            changed[key] = value
    return changed


def small(rules: list[dict[str, Any]], then: Any = None, **more: Any) -> dict[str, Any]:
    """A policy of just these rules, with a default to `large`."""
    default = then or {"route": {"tier": "llm", "targets": ["large"]}}
    return {
        "schema": "signalbox.policy/1",
        "route": "support-triage",
        "owner": "support-platform",
        "rules": rules,
        "default": {"then": default},
        **more,
    }


def rule(rule_id: str, when: Any, then: Any, **more: Any) -> dict[str, Any]:
    return {"id": rule_id, "when": when, "then": then, **more}


def to(*targets: str, tier: str | None = None, **more: Any) -> dict[str, Any]:
    route: dict[str, Any] = {"targets": list(targets)}
    if tier:
        route["tier"] = tier
    return {"route": route, **more}


def compiled(source: dict[str, Any], number: int = 14) -> Any:
    return compile_policy(parse_policy(source), number=number, digest=canonical.digest(source))


def backend(name: str, tier: str = "llm", boundary: str = "private", **more: Any) -> BackendFacts:
    values: dict[str, Any] = {
        "context_window": 32_000,
        "capabilities": frozenset({"tools", "images", "json", "stream", "logprobs"}),
        "data_classes": ALL_CLASSES,
        "price_in": Decimal("0.10"),
        "price_out": Decimal("0.30"),
    }
    if boundary == "public":
        values["signoffs"] = {"public": NOW + DAY, "internal": NOW + DAY}
        values["data_classes"] = frozenset({"public", "internal"})
    values.update(more)
    return BackendFacts(name=name, tier=tier, boundary=boundary, **values)


def fleet(*backends: BackendFacts) -> dict[str, BackendFacts]:
    return {one.name: one for one in backends}


def example_fleet(**changes: dict[str, Any]) -> dict[str, BackendFacts]:
    """The backends of the example; keyword arguments (dashes as `_`) change some of them."""
    tiers = {
        "phi-4-mini": ("slm", {"context_window": 4_096}),
        "smollm": ("slm", {"context_window": 2_048}),
        "private-llama-70b": ("llm", {}),
        "private-llama-70b-long": ("llm", {"context_window": 128_000}),
    }
    built = {}
    for name, (tier, more) in tiers.items():
        changed = changes.get(name.replace("-", "_"), {})
        built[name] = backend(name, tier, **{**more, **changed})
    return built


def facts(data_class: str = "internal", **more: Any) -> Facts:
    """Facts of one request; signals are given as `signals={...}`."""
    more.setdefault("signals", {})
    more.setdefault("now_s", NOW)
    return Facts(data_class=data_class, **more)


NARROW = {
    "gain": Decimal("0.021"),
    "score": Decimal("0.93"),
    "unfamiliar": False,
    "prompt_tokens": 212,
    "topic": "account",
}


def decided(source: dict[str, Any], backends: dict[str, BackendFacts], **more: Any) -> Any:
    """The decision of a document on facts that are given as for `facts()`."""
    return decide(compiled(source), facts(**more), backends)
