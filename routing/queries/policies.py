"""What the version and draft screens show: steps, verdicts, findings, and who may do what next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.urls import reverse

from accounts.models import User
from routing.engine.document import parse_policy
from routing.engine.registry import FIRST_REGISTRY, Registry
from routing.engine.types import Finding, PolicyError, plain
from routing.models import Backend, PolicyApproval, PolicyVersion
from routing.queries import english
from routing.queries.differences import Change, differences
from routing.queries.leaks import simulation_url
from routing.services import policies
from routing.services.documents import rules_of
from screens.access import may, roles_that_may
from screens.errors import NotFound
from screens.navigation import badge

State = PolicyVersion.State
_RULE_PATH = re.compile(r"rules\[(\d+)\]")
_SECTION_PAGES = {
    "default": "draft-default",
    "fallbacks": "draft-fallbacks",
    "safe_default": "draft-answers",
    "on_classifier_failure": "draft-answers",
    "limits": "draft-limits",
    "session": "draft-limits",
    "owner": "draft-limits",
    "tests": "draft-tests",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    label: str
    state: str
    who: str = ""
    when: datetime | None = None


def version_named(slug: str, number: int) -> PolicyVersion:
    """A version with its people and verdicts. Raises NotFound."""
    version = (
        PolicyVersion.objects.select_related(
            "route", "author", "base", "activated_by", "scheduled_by", "rebased_from"
        )
        .prefetch_related("approvals__by")
        .filter(route__slug=slug, number=number)
        .first()
    )
    if version is None:
        raise NotFound(f"There is no version {number} of the route {slug!r}.")
    return version


def steps_of(version: PolicyVersion) -> list[Step]:
    """Where a version stands: what was done by whom, what is now, and what would come."""
    state, author = version.state, str(version.author)
    steps = [_step("Draft", author, version.created_at, is_current=state == State.DRAFT)]
    if state == State.WITHDRAWN and not version.submitted_at:
        return [*steps, Step(label="Withdrawn", state="stopped", who=author)]
    steps.append(_step("In review", author, version.submitted_at, state == State.IN_REVIEW))
    if state in (State.REJECTED, State.WITHDRAWN) and not version.approved_at:
        return [*steps, _ended_early(version)]
    steps.append(
        _step("Approved", _approvers(version), version.approved_at, state == State.APPROVED)
    )
    if state == State.WITHDRAWN:
        return [*steps, _ended_early(version)]
    if state == State.SCHEDULED:
        steps.append(
            _step("Scheduled", str(version.scheduled_by), version.scheduled_for, is_current=True)
        )
    activated_by = str(version.activated_by) if version.activated_by else ""
    steps.append(_step("Active", activated_by, version.activated_at, state == State.ACTIVE))
    if state == State.ROLLED_BACK:
        return [*steps, Step(label="Rolled back", state="stopped", when=version.retired_at)]
    retired = version.retired_at if state == State.RETIRED else None
    return [*steps, _step("Retired", "", retired, is_current=False)]


def _step(label: str, who: str, when: datetime | None, is_current: bool) -> Step:
    if when is None:
        return Step(label=label, state="next")
    return Step(label=label, state="current" if is_current else "done", who=who, when=when)


def _ended_early(version: PolicyVersion) -> Step:
    if version.state == State.WITHDRAWN:
        return Step(label="Withdrawn", state="stopped", who=str(version.author))
    for approval in version.approvals.all():
        if approval.verdict != PolicyApproval.Verdict.APPROVE:
            is_reject = approval.verdict == PolicyApproval.Verdict.REJECT
            label = "Rejected" if is_reject else "Changes requested"
            return Step(label=label, state="stopped", who=str(approval.by), when=approval.at)
    return Step(label="Rejected", state="stopped")


def _approvers(version: PolicyVersion) -> str:
    verdicts = version.approvals.all()
    return ", ".join(str(one.by) for one in verdicts if one.verdict == "approve")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownFinding:
    """A finding with the place that can mend it, and the request that proves it."""

    finding: Finding
    rule_id: str
    rule_name: str
    url: str
    witness: tuple[tuple[str, str], ...]
    simulate_url: str


def shown_findings(version: PolicyVersion, *, editing: bool) -> list[ShownFinding]:
    """Every finding, the blocking ones first, each with a link to its rule or section."""
    rules = rules_of(version.document)
    return [_shown(one, version, rules, editing) for one in policies.check(version)]


def _shown(
    finding: Finding, version: PolicyVersion, rules: list[dict[str, Any]], editing: bool
) -> ShownFinding:
    found = _RULE_PATH.match(finding.path)
    rule = rules[int(found[1])] if found and int(found[1]) < len(rules) else {}
    rule_id = str(rule.get("id", ""))
    return ShownFinding(
        finding=finding,
        rule_id=rule_id,
        rule_name=str(rule.get("name") or rule_id),
        url=_page_of(finding.path, version, rule_id) if editing else _anchor_of(rule_id),
        witness=tuple(
            (name, _value_words(value)) for name, value in (finding.witness or {}).items()
        ),
        simulate_url=simulation_url(version, finding),
    )


def _value_words(value: Any) -> str:
    shown = plain(value)
    if isinstance(shown, list):
        return ", ".join(shown) or "none"
    return (
        {True: "true", False: "false"}.get(shown, shown) if isinstance(shown, bool) else str(shown)
    )


def _anchor_of(rule_id: str) -> str:
    return f"#rule-{rule_id}" if rule_id else ""


def _page_of(path: str, version: PolicyVersion, rule_id: str) -> str:
    place = [version.route.slug, version.number]
    if rule_id:
        return reverse("draft-rule", args=[*place, rule_id])
    name = _SECTION_PAGES.get(re.split(r"[.\[]", path)[0])
    return reverse(name, args=place) if name else ""


def registry_for(document: Mapping[str, Any]) -> Registry:
    """The signals that this document may test; the first ones where it cannot be read."""
    try:
        return parse_policy(document).registry
    except PolicyError:
        return FIRST_REGISTRY


def backends() -> list[Backend]:
    """Every backend that a draft may name: disabled ones are gone from the choices."""
    return list(Backend.objects.exclude(state=Backend.State.DISABLED))


def base_changes(version: PolicyVersion) -> list[Change]:
    """What the version changes against the one it began from, in terms of rules."""
    if version.base is None:
        return []
    return differences(version.base.document, version.document, english.field_words)


def approvers_for(version: PolicyVersion) -> list[User]:
    """The people who may still approve: by role or as superuser, neither its author nor again."""
    slugs = [role.slug for role in roles_that_may("routing.approve_policy")]
    people = User.objects.filter(is_active=True).filter(
        Q(groups__name__in=slugs) | Q(is_superuser=True)
    )
    judged = [approval.by_id for approval in version.approvals.all()]
    return list(people.exclude(pk=version.author_id).exclude(pk__in=judged).distinct())


@dataclass(frozen=True, slots=True, kw_only=True)
class Possible:
    """What this person may do with this version now; `why_not` says why no verdict is offered."""

    edit: bool
    submit: bool
    judge: bool
    activate: bool
    withdraw: bool
    roll_back: bool
    schedule: bool
    cancel_schedule: bool
    rebase: bool
    why_not: str
    must_rebase: bool


def possible(version: PolicyVersion, active: PolicyVersion | None, person: Any) -> Possible:
    is_own = version.author_id == person.pk
    state = version.state
    has_judged = any(one.by_id == person.pk for one in version.approvals.all())
    may_approve = may(person, "routing.approve_policy")
    may_activate = may(person, "routing.activate_policy")
    is_open = state in policies.OPEN_STATES
    is_overtaken = is_open and active is not None and version.base_id != active.pk
    edits_own = is_own and may(person, "routing.edit_policy")
    return Possible(
        edit=edits_own and state == State.DRAFT,
        submit=edits_own and state == State.DRAFT,
        judge=state == State.IN_REVIEW and may_approve and not is_own and not has_judged,
        activate=state == State.APPROVED and may_activate and not is_overtaken,
        schedule=state == State.APPROVED and may_activate and not is_overtaken,
        cancel_schedule=state == State.SCHEDULED and may_activate,
        rebase=edits_own and is_overtaken,
        withdraw=edits_own and is_open,
        roll_back=may_activate
        and state in (State.RETIRED, State.ROLLED_BACK)
        and version.activated_at is not None,
        why_not=_why_not(state, is_own, may_approve, has_judged),
        must_rebase=is_overtaken,
    )


def _why_not(state: str, is_own: bool, may_approve: bool, has_judged: bool) -> str:
    if state != State.IN_REVIEW:
        return ""
    if is_own:
        return "You wrote this version, so somebody else has to approve it."
    if not may_approve:
        return "Your roles do not include approving a policy."
    return "You have given your verdict on this version." if has_judged else ""


@badge("routes", "waiting for your approval")
def waiting_for(person: Any) -> int | None:
    """How many versions this person could approve now; None for people who approve nothing."""
    if not may(person, "routing.approve_policy"):
        return None
    return (
        PolicyVersion.objects.filter(state=State.IN_REVIEW)
        .exclude(author=person)
        .exclude(approvals__by=person)
        .count()
    )
