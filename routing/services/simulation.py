"""Decides one made-up request under any version: no backend is called and nothing is stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any

from django.utils import timezone

from routing.engine import classifier, signals
from routing.engine.decide import compile_policy, decide
from routing.engine.document import parse_policy
from routing.engine.explain import Change, changes
from routing.engine.registry import Registry
from routing.engine.types import Decision, Facts
from routing.models import KillSwitch, PolicyVersion
from routing.services.analysis import registry_facts
from routing.services.classifiers import scorer_of

_NEEDS = (("has_tools", "tools"), ("has_images", "images"), ("wants_json", "json"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a caller would send."""

    prompt: str
    data_class: str
    client: str = ""
    step: str = ""
    has_tools: bool = False
    wants_json: bool = False
    may_use_public: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """The decision, the largest contributions to the gain, and what would let other rules match."""

    decision: Decision
    contributions: tuple[tuple[str, str], ...]
    nearest: tuple[Change, ...]


def body_of(request: Request) -> dict[str, Any]:
    """The request as the live API would parse it."""
    body: dict[str, Any] = {"messages": [{"role": "user", "content": request.prompt}]}
    if request.has_tools:
        body["tools"] = [{"type": "function", "function": {"name": "look_up_order"}}]
    if request.wants_json:
        body["response_format"] = {"type": "json_object"}
    return body


def simulate(*, version: PolicyVersion, request: Request) -> Simulated:
    """What this version decides about the request with the registry as it is now.

    Raises PolicyError when the document of the version cannot be read.
    """
    policy = parse_policy(version.document)
    measured, contributions = measure(request, policy.registry, policy.classifier)
    return decide_measured(
        version=version, measured=measured, request=request, contributions=contributions
    )


def measure(
    request: Request, registry: Registry, named: str | None = None
) -> tuple[dict[str, Any], tuple[tuple[str, str], ...]]:
    """The signals of a made-up request, and what its score is made of.

    `named` is the classifier that the policy names.
    """
    body = body_of(request)
    measured: dict[str, Any] = signals.measure(
        body,
        step=request.step or None,
        client=request.client or None,
        hour=timezone.now().astimezone(UTC).hour,
        registry=registry,
    )
    measured["data_class"] = request.data_class
    scorer = scorer_of(named)
    scored = classifier.score(scorer, body, measured) if scorer else None
    if scored is None:
        return measured, ()
    return measured | scored.as_signals(), tuple(scored.top_contributions())


def decide_measured(
    *,
    version: PolicyVersion,
    measured: Mapping[str, Any],
    request: Request,
    contributions: tuple[tuple[str, str], ...] = (),
) -> Simulated:
    """What this version decides about signals that were measured before; the prompt is not read."""
    policy = parse_policy(version.document)
    compiled = compile_policy(policy, number=version.number, digest=version.digest)
    facts = Facts(
        signals=measured,
        data_class=request.data_class,
        now_s=int(timezone.now().timestamp()),
        needs=frozenset(word for name, word in _NEEDS if measured.get(name) is True),
        boundary_ceiling="public" if request.may_use_public else "private",
        killed=killed_for(version.route.slug),
        classifier_failed=scorer_of(policy.classifier) is None,
        failed_signals=signals.unmeasured(measured),
    )
    return Simulated(
        decision=decide(compiled, facts, registry_facts()),
        contributions=contributions,
        nearest=changes(compiled, facts),
    )


def killed_for(slug: str) -> frozenset[str]:
    """The engine's `killed` set of a route, from the switches that are engaged."""
    engaged = KillSwitch.objects.filter(released_at__isnull=True)
    return frozenset(
        "public" if switch.scope == KillSwitch.Scope.PUBLIC else switch.target
        for switch in engaged
        if switch.scope != KillSwitch.Scope.ROUTE or switch.target == slug
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ExamplePrompt:
    """A saved request to try. Every person and number in it is invented."""

    name: str
    prompt: str
    changes: Mapping[str, Any]


EXAMPLES = (
    ExamplePrompt(
        name="Short question",
        prompt="Where do I find the delivery date of my order in the app?",
        changes={},
    ),
    ExamplePrompt(
        name="Contains a card number",
        prompt="I was charged twice on my card 4111 1111 1111 1111, please refund one of them.",
        changes={},
    ),
    ExamplePrompt(
        name="Dispute with a lawyer",
        prompt="Your last invoice breaches our contract. My lawyer will sue unless the penalty of "
        "EUR 840 is withdrawn by Friday. Answer to mira.holt@example.com.",
        changes={},
    ),
    ExamplePrompt(
        name="Restricted data",
        prompt="Summarise the case notes for the clinic's insurance claim of patient 114.",
        changes={"data_class": "restricted"},
    ),
    ExamplePrompt(
        name="Needs tools",
        prompt="Check whether order 5521 has left the warehouse and tell me when it arrives.",
        changes={"has_tools": True},
    ),
    ExamplePrompt(
        name="Long reasoning",
        prompt="We compare three tariffs: A costs 19 a month plus 0.12 per unit, B costs 34 plus "
        "0.07, C is flat at 61. From how many units a month is each one the cheapest, and what "
        "changes when A drops its fee in December? Explain step by step and show the sums.",
        changes={},
    ),
    ExamplePrompt(
        name="German",
        prompt="Mein Paket ist seit einer Woche unterwegs. Wie kann ich die Zustellung ändern?",
        changes={},
    ),
)
