"""The policy dossier: everything a security or architecture review asks of one version.

The same version against the same registry gives the same dossier, byte for byte: nothing here
comes from the clock but what the version itself recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import orjson
import typst
from django.conf import settings
from django.utils import timezone

from routing.engine.canonical import digest as digest_of
from routing.engine.conditions import leaves, negations_inward
from routing.engine.document import parse_policy
from routing.engine.flows import permitted
from routing.engine.policy import Outcome, Policy
from routing.engine.types import Finding, PolicyError, plain
from routing.engine.wording import condition_words
from routing.models import PolicyVersion, SignOff
from routing.queries import english
from routing.queries.data_flow import ways_of
from routing.queries.decision import said
from routing.queries.differences import Change, differences
from routing.queries.evidence import NONE_YET, approvals_of, backtests_of, evaluation_of
from routing.services import policies
from routing.services.analysis import registry_facts
from routing.services.data_flow import standing_signoffs

TEMPLATE: Final = Path(settings.BASE_DIR) / "templates" / "typst" / "dossier.typ"


def dossier_of(version: PolicyVersion) -> dict[str, Any]:
    """The dossier as plain JSON, with its own digest under ``hash``."""
    content = _content(version)
    return {**content, "hash": digest_of(content)}


def _content(version: PolicyVersion) -> dict[str, Any]:
    document = version.document
    findings = policies.check(version)
    try:
        policy: Policy | None = parse_policy(document)
    except PolicyError:
        policy = None
    return {
        **_identity(version),
        **_rules(document, findings),
        "changes": [_change(one) for one in _base_changes(version)],
        "base": str(version.base) if version.base else "",
        "classifier": str(document.get("classifier") or "the first classifier, as installed"),
        "thresholds": list(_thresholds(policy)) if policy else [],
        "hooks": list(_hooks(policy)) if policy else [],
        "flows": _flows(version, policy) if policy else [],
        "tests": english.test_results(document, version.route.data_class),
        "findings": [_finding(one) for one in findings],
        "evaluation": evaluation_of(document),
        "backtests": backtests_of(version),
        "shadow": NONE_YET,
        "approvals_needed": version.approvals_needed,
        "approvals": approvals_of(version),
    }


def _identity(version: PolicyVersion) -> dict[str, Any]:
    route = version.route
    return {
        "id": str(version),
        "digest": version.digest,
        "route": {
            "slug": route.slug,
            "name": route.name,
            "purpose": route.description or "not stated",
            "owner": route.owner,
            "floor": route.data_class,
            "kept": route.get_capture_display(),
        },
        "policy_owner": str(version.document.get("owner", "")),
        "state": version.get_state_display(),
        "summary": version.summary or "not stated",
        "author": str(version.author),
        "dates": _dates(version),
    }


def _rules(document: dict[str, Any], findings: list[Finding]) -> dict[str, Any]:
    """The policy in English, and what is proved of it."""
    words = english.policy_words(document)
    shown = ("id", "name", "owner", "note", "is_enabled", "when", "then")
    return {
        "rules": [{name: getattr(rule, name) for name in shown} for rule in words.rules],
        "default": words.default,
        "parts": [{"title": title, "lines": list(lines)} for title, lines in words.parts],
        "faults": [f"{fault.path}: {fault.message}" for fault in words.faults],
        "proofs": [
            {"words": proof.words, "is_proved": proof.is_proved, "why": proof.why}
            for proof in english.proofs(words, findings)
        ],
    }


def _finding(one: Finding) -> dict[str, Any]:
    return {
        "code": one.code,
        "path": one.path,
        "message": one.message,
        "blocking": one.blocking,
        "witness": ", ".join(
            f"{name.replace('_', ' ')} {said(plain(value))}"
            for name, value in (one.witness or {}).items()
        ),
    }


def _time(when: Any) -> str:
    return f"{when:%Y-%m-%d %H:%M} UTC" if when else ""


def _dates(version: PolicyVersion) -> list[list[str]]:
    named = (
        ("Begun", version.created_at),
        ("Submitted", version.submitted_at),
        ("Approved", version.approved_at),
        ("Activated", version.activated_at),
        ("Retired", version.retired_at),
    )
    return [[name, _time(when)] for name, when in named if when]


def _base_changes(version: PolicyVersion) -> list[Change]:
    if version.base is None:
        return []
    return differences(version.base.document, version.document, english.field_words)


def _change(change: Change) -> str:
    fields = [f"{one.field} from “{one.before}” to “{one.after}”" for one in change.fields]
    said = "; ".join([words for words in (change.words, *fields) if words])
    return f"{change.subject} “{change.name}” {change.kind}" + (f": {said}" if said else "")


def _thresholds(policy: Policy) -> Iterator[dict[str, str]]:
    """Every number that a rule compares with, and what its author says of it."""
    for rule in policy.rules:
        if not rule.is_enabled:
            continue
        for test in leaves(negations_inward(rule.when)):
            constant = test.constant
            numbers = constant if isinstance(constant, tuple) else (constant,)
            if any(isinstance(number, Decimal) for number in numbers):
                yield {
                    "rule": rule.name,
                    "words": condition_words(test, policy.registry),
                    "why": rule.note or "The version does not say how it was chosen.",
                }
    for tier, terms in policy.escalation.items():
        yield {
            "rule": f"answers of the tier {tier}",
            "words": f"{terms.signal} at least {terms.accept_gte:f}",
            "why": "The version does not say how it was chosen.",
        }


def _hooks(policy: Policy) -> Iterator[str]:
    """Where a person comes in."""
    for name, outcome in (
        *((r.name, r.then) for r in policy.rules if r.is_enabled),
        ("Default", policy.default),
    ):
        for held in (outcome, outcome.on_no_target):
            if held is not None and held.hold is not None:
                yield _hook(name, held, is_way_out=held is not outcome)
    for tier, terms in policy.escalation.items():
        for held in (terms.on_uncertain, terms.then):
            if held.hold is not None:
                yield _hook(f"an uncertain answer of {tier}", held, is_way_out=False)


def _hook(name: str, outcome: Outcome, *, is_way_out: bool) -> str:
    hold = outcome.hold
    assert hold is not None  # noqa: S101  (the callers ask)
    share = f", for at most {hold.cap_pct:f} % of the requests" if hold.cap_pct is not None else ""
    draft = f"; the reviewer sees a draft of {hold.candidate}" if hold.candidate else ""
    when = "when no backend may take it, " if is_way_out else ""
    after = hold.on_timeout.replace("_", " ")
    return f"{name}: {when}queue {hold.queue}, {hold.hold_s} s, then {after}{share}{draft}."


def _flows(version: PolicyVersion, policy: Policy) -> list[dict[str, Any]]:
    route = version.route
    found = permitted(
        policy,
        registry_facts(),
        now_s=int(timezone.now().timestamp()),
        floor=route.data_class,
        baseline=route.baseline.name if route.baseline and route.rollout_pct < 100 else None,
    )
    grouped: dict[tuple[str, str, str], list[Mapping[str, str]]] = {}
    for flow in found:
        ways = grouped.setdefault((flow.data_class, flow.backend, flow.boundary), [])
        ways.append({"kind": flow.kind, "rule": flow.rule, "name": flow.name})
    signoffs = standing_signoffs(timezone.now())
    return [
        {
            "data_class": data_class,
            "backend": backend,
            "boundary": boundary,
            "signoff": _signoff(signoffs.get((backend, data_class)))
            if boundary == "public"
            else "",
            "ways": "; ".join(ways_of(ways)),
        }
        for (data_class, backend, boundary), ways in grouped.items()
    ]


def _signoff(signoff: SignOff | None) -> str:
    if signoff is None:
        return "none"
    return f"number {signoff.pk}, {signoff.risk_reference}, to {signoff.valid_to:%Y-%m-%d}"


def as_pdf(content: Mapping[str, Any], version: PolicyVersion) -> bytes:
    """The same dossier as a tagged PDF. Values go in as data, which typst never reads as code."""
    made = typst.compile(
        str(TEMPLATE),
        root=str(TEMPLATE.parent),
        format="pdf",
        ignore_system_fonts=True,
        sys_inputs={"dossier": orjson.dumps(content).decode()},
        timestamp=int((version.submitted_at or version.created_at).timestamp()),
    )
    if not isinstance(made, bytes):
        raise TypeError("typst gave no document")
    return made
