"""Requests that a route keeps for trying its versions, and tests made from what was tried.

The text of a request is kept only where its author says that it is invented; otherwise its signals
are, without those that are personal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from decimal import Decimal
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

import audit
from accounts.models import User
from audit.actors import Actor
from routing.engine.changes import signals_of
from routing.engine.decide import compile_policy
from routing.engine.document import parse_policy
from routing.engine.examples import outcome_of, run_tests
from routing.engine.first_weights import FIRST_CLASSIFIER
from routing.engine.policy import Example, Policy
from routing.engine.registry import CLASSIFIER_SIGNALS, NUMBER, Registry
from routing.engine.types import PolicyError, SignalValue, plain
from routing.models import PolicyVersion, SavedExample
from routing.services import policies
from routing.services.analysis import registry_facts
from routing.services.documents import plain_number, with_section
from routing.services.simulation import Request, Simulated, decide_measured, measure, simulate
from screens.errors import Conflict, Invalid

MOST = 50
_EXPECTED = ("rule", "outcome", "tier")


def policy_of(version: PolicyVersion) -> Policy:
    """Raises Invalid where the document is no policy."""
    try:
        return parse_policy(version.document)
    except PolicyError:
        raise Invalid(
            "The document of this version cannot be read.",
            what_next="Look at its findings first.",
        ) from None


@transaction.atomic
def save_example(
    *, version: PolicyVersion, name: str, request: Request, is_invented: bool, by: User
) -> SavedExample:
    """Keep a request under a name; its text only when it is invented."""
    policies.require(by, "routing.edit_policy")
    title = name.strip()[:80]
    if not title:
        raise Invalid("Give the example a name.", code="name_missing")
    route = version.route
    if route.examples.count() >= MOST:
        raise Conflict(f"A route keeps at most {MOST} examples; remove one first.")
    policy = policy_of(version)
    registry = policy.registry
    measured, _ = measure(request, registry, policy.classifier)
    sent = asdict(request)
    prompt = sent.pop("prompt")
    try:
        with transaction.atomic():
            example = SavedExample.objects.create(
                route=route,
                name=title,
                is_invented=is_invented,
                prompt=prompt if is_invented else "",
                request=sent,
                classifier=policy.classifier or FIRST_CLASSIFIER.label,
                signals=_kept(measured, registry),
                author=by,
            )
    except IntegrityError:
        raise Conflict(
            "The route has an example of this name already.",
            code="name_taken",
            what_next="Choose another name.",
        ) from None
    audit.record(
        "example.saved",
        by=Actor.of(by),
        object_type="example",
        object_id=f"{route.slug}/{title}",
        details={"route": route.slug, "text_kept": is_invented},
    )
    return example


@transaction.atomic
def remove_example(*, example: SavedExample, by: User, reason: str = "") -> None:
    policies.require(by, "routing.edit_policy")
    route, name = example.route, example.name
    example.delete()
    audit.record(
        "example.removed",
        by=Actor.of(by),
        object_type="example",
        object_id=f"{route.slug}/{name}",
        reason=reason,
        details={"route": route.slug},
    )


def _kept(measured: Mapping[str, Any], registry: Registry) -> dict[str, Any]:
    """The signals as JSON, without personal ones."""
    return {name: plain(value) for name, value in measured.items() if name not in registry.personal}


def simulate_example(*, version: PolicyVersion, example: SavedExample) -> Simulated:
    """Decide a saved example: its text where it was kept, else the signals of its time."""
    request = Request(prompt=example.prompt, **example.request)
    if example.prompt:
        return simulate(version=version, request=request)
    policy = policy_of(version)
    measured = _admitted(example.signals, policy.registry)
    if (policy.classifier or FIRST_CLASSIFIER.label) != (
        example.classifier or FIRST_CLASSIFIER.label
    ):
        # Another classifier's gain is a number on another scale: no signal is better than that.
        measured = {
            name: value for name, value in measured.items() if name not in CLASSIFIER_SIGNALS
        }
    return decide_measured(version=version, measured=measured, request=request)


def _admitted(values: Mapping[str, Any], registry: Registry) -> dict[str, SignalValue]:
    typed = {}
    for name, value in values.items():
        signal = registry.get(name)
        is_number = signal is not None and signal.kind == NUMBER and isinstance(value, str)
        typed[name] = Decimal(value) if is_number else value
    return registry.admit(typed)


def given_of(version: PolicyVersion, measured: Mapping[str, SignalValue]) -> dict[str, Any]:
    """What a test of this version would be given: the signals it tests, and the data class."""
    policy = policy_of(version)
    tested = signals_of(compile_policy(policy, number=0, digest=""))
    wanted = (tested | {"data_class"}) - policy.registry.personal
    return {name: _number(value) for name, value in measured.items() if name in wanted}


def _number(value: SignalValue) -> Any:
    return plain_number(value) if isinstance(value, Decimal) else plain(value)


@transaction.atomic
def copy_as_test(
    *, version: PolicyVersion, name: str, given: Mapping[str, Any], by: User
) -> PolicyVersion:
    """Add a test with these signals to one's draft; it expects what `version` decides of them.

    Begins a draft from `version` where the person has none on the route.
    """
    policies.require(by, "routing.edit_policy")
    title = name.strip()[:200]
    if not title:
        raise Invalid("Give the test a name.", code="name_missing")
    expect = _expected(version, given)
    draft = version
    if version.state != PolicyVersion.State.DRAFT or version.author_id != by.pk:
        draft = policies.start_draft(slug=version.route.slug, by=by, base_number=version.number)
    one = {"name": title, "given": dict(given), "expect": expect}
    tests = [*(draft.document.get("tests") or []), one]
    document = with_section(draft.document, "tests", tests)
    try:
        parse_policy(document)
    except PolicyError as problem:
        raise Invalid(f"This would be no test of the draft: {problem}") from None
    return policies.edit_draft(version=draft, document=document, revision=draft.revision, by=by)


def _expected(version: PolicyVersion, given: Mapping[str, Any]) -> dict[str, str]:
    policy = policy_of(version)
    signals = policy.registry.admit(dict(given))
    if signals.keys() != given.keys():
        raise Invalid("These are no signals of this version.", code="signals_unknown")
    example = Example(name="", given=signals, classifier_failed=False, expect={})
    (result,) = run_tests(
        replace(policy, tests=(example,)),
        registry_facts(),
        now_s=int(timezone.now().timestamp()),
        floor=version.route.data_class,
    )
    seen = outcome_of(policy, result.decision)
    return {key: value for key in _EXPECTED if (value := seen[key]) is not None}
