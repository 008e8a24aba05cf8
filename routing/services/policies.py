"""The life of a policy version: drafted, submitted, judged, activated, retired, rolled back.

Author is never approver, the superuser neither. Every change is one transaction with its event.
"""

from __future__ import annotations

from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import F, Max
from django.utils import timezone

import audit
from accounts.models import User
from audit.actors import Actor
from routing.engine.canonical import digest as digest_of
from routing.engine.types import Finding
from routing.models import PolicyApproval, PolicyVersion, Route
from routing.services.analysis import findings_of
from screens.access import may
from screens.errors import Conflict, Invalid, NotAllowed, NotFound

State = PolicyVersion.State
Verdict = PolicyApproval.Verdict


class NotAPolicy(Invalid):
    """The document has blocking findings; they say where and why."""

    default_code = "policy_invalid"

    def __init__(self, findings: list[Finding]) -> None:
        self.findings = findings
        super().__init__(
            " ".join(finding.message for finding in findings[:3]),
            what_next="Correct the rules that are named, then submit again.",
        )


class OwnVersion(NotAllowed):
    is_recorded = True
    default_message = "The author of a version may not approve it."
    default_code = "own_version"
    default_what_next = "Ask another person with the role approver."


class WrongState(Conflict):
    default_code = "wrong_state"


class MustRebase(Conflict):
    default_message = "Another version became active since this draft began."
    default_code = "must_rebase"
    default_what_next = (
        "Withdraw it, begin a new draft from the active version and apply the change again."
    )


def require(by: User, permission: str) -> None:
    if not may(by, permission):
        raise NotAllowed


def _audited(
    kind: str,
    version: PolicyVersion,
    by: User,
    *,
    reason: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    audit.record(
        kind,
        by=Actor.of(by),
        object_type="policy_version",
        object_id=str(version),
        reason=reason,
        before=before,
        after=after,
        details={"route": version.route.slug, "digest": version.digest, **(details or {})},
    )


def active_version(route: Route) -> PolicyVersion | None:
    return route.versions.filter(state=State.ACTIVE).first()


def get_version(*, slug: str, number: int) -> PolicyVersion:
    version = (
        PolicyVersion.objects.select_related("route", "author", "base")
        .filter(route__slug=slug, number=number)
        .first()
    )
    if version is None:
        raise NotFound
    return version


@transaction.atomic
def start_draft(
    *, slug: str, by: User, document: dict[str, Any] | None = None, base_number: int | None = None
) -> PolicyVersion:
    """Begin a draft from ``document``, from an earlier version, or from the active one.

    A person has one draft per route; when there is one already, it is returned unchanged.
    """
    require(by, "routing.edit_policy")
    route = Route.objects.select_for_update().filter(slug=slug).first()
    if route is None:
        raise NotFound
    if existing := route.versions.filter(author=by, state=State.DRAFT).first():
        return existing
    base = active_version(route)
    source = get_version(slug=slug, number=base_number) if base_number else base
    content = document or (source.document if source else None)
    if content is None:
        raise Invalid("There is no version to begin from.", what_next="Import a document first.")
    number = (route.versions.aggregate(top=Max("number"))["top"] or 0) + 1
    version = PolicyVersion.objects.create(
        route=route,
        number=number,
        document=content,
        digest=digest_of(content),
        base=base,
        author=by,
    )
    _audited("policy.drafted", version, by, details={"base": str(base) if base else None})
    return version


@transaction.atomic
def edit_draft(
    *,
    version: PolicyVersion,
    document: dict[str, Any],
    revision: int,
    by: User,
    summary: str | None = None,
) -> PolicyVersion:
    """Replace the document of one's own draft. ``revision`` is the one that the form was made from.

    A draft may be incomplete; it may not be unreadable: what the language cannot hold is refused.
    """
    require(by, "routing.edit_policy")
    if version.author_id != by.pk:
        raise NotAllowed("Only its author edits a draft.", what_next="Begin a draft of your own.")
    fresh = digest_of(document)
    changed = PolicyVersion.objects.filter(
        pk=version.pk, state=State.DRAFT, revision=revision
    ).update(
        document=document,
        digest=fresh,
        revision=F("revision") + 1,
        **({} if summary is None else {"summary": summary}),
    )
    if changed != 1:
        raise Conflict("This draft was changed elsewhere, or is no longer a draft.")
    before = version.digest
    version.refresh_from_db()
    if before != fresh or summary is not None:
        _audited("policy.edited", version, by, before={"digest": before}, after={"digest": fresh})
    return version


def check(version: PolicyVersion) -> list[Finding]:
    """Every finding of the analysis against the registry as it is now; blocking ones first."""
    return findings_of(version.document, floor=version.route.data_class)


@transaction.atomic
def submit_version(*, version: PolicyVersion, by: User, summary: str) -> PolicyVersion:
    """Freeze a draft for approval. Raises NotAPolicy when a finding blocks it."""
    require(by, "routing.edit_policy")
    if version.author_id != by.pk:
        raise NotAllowed("Only its author submits a draft.")
    if not summary.strip():
        raise Invalid("Say in one sentence what this version changes.", code="summary_missing")
    blocking = [finding for finding in check(version) if finding.blocking]
    if blocking:
        raise NotAPolicy(blocking)
    _move(
        version,
        (State.DRAFT,),
        State.IN_REVIEW,
        submitted_at=timezone.now(),
        summary=summary.strip()[:300],
    )
    _audited("policy.submitted", version, by, reason=summary.strip())
    return version


def _move(version: PolicyVersion, sources: tuple[str, ...], target: str, **changes: Any) -> None:
    changed = PolicyVersion.objects.filter(pk=version.pk, state__in=sources).update(
        state=target, **changes
    )
    if changed != 1:
        version.refresh_from_db()
        raise WrongState(f"{version} is {version.get_state_display()}; this cannot be done now.")
    version.refresh_from_db()


def refuse_own(version: PolicyVersion, by: User, act: str) -> None:
    """Raise OwnVersion and record the denial, outside the transaction that it ends."""
    if version.author_id == by.pk:
        with transaction.atomic():
            audit.record(
                "access.denied",
                by=Actor.of(by),
                object_type="policy_version",
                object_id=str(version),
                result="denied",
                details={"act": act, "why": OwnVersion.default_code},
            )
        raise OwnVersion


def judge_version(*, version: PolicyVersion, by: User, verdict: str, comment: str) -> PolicyVersion:
    """Give a verdict on the digest of a submitted version; enough approvals make it approved."""
    require(by, "routing.approve_policy")
    if verdict == Verdict.APPROVE:
        refuse_own(version, by, "approve")
    if not comment.strip():
        raise Invalid("Give a reason; it is kept in the audit trail.", code="reason_missing")
    return _judge(version=version, by=by, verdict=verdict, comment=comment.strip())


@transaction.atomic
def _judge(*, version: PolicyVersion, by: User, verdict: str, comment: str) -> PolicyVersion:
    locked = PolicyVersion.objects.select_for_update().get(pk=version.pk)
    if locked.state != State.IN_REVIEW:
        raise WrongState(
            f"{version} is {locked.get_state_display()}; it is not waiting for a verdict."
        )
    try:
        with transaction.atomic():
            PolicyApproval.objects.create(
                version=locked, by=by, verdict=verdict, comment=comment, digest=locked.digest
            )
    except IntegrityError:
        raise Conflict("You have already given a verdict on this version.") from None
    if verdict == Verdict.APPROVE:
        approvals = locked.approvals.filter(verdict=Verdict.APPROVE, digest=locked.digest).count()
        if approvals >= locked.approvals_needed:
            _move(version, (State.IN_REVIEW,), State.APPROVED, approved_at=timezone.now())
        _audited(
            "policy.approved",
            version,
            by,
            reason=comment,
            details={"approvals": approvals, "needed": locked.approvals_needed},
        )
    else:
        _move(version, (State.IN_REVIEW,), State.REJECTED)
        _audited("policy.rejected", version, by, reason=comment, details={"verdict": verdict})
    version.refresh_from_db()
    return version


@transaction.atomic
def withdraw_version(*, version: PolicyVersion, by: User, reason: str) -> PolicyVersion:
    require(by, "routing.edit_policy")
    if version.author_id != by.pk:
        raise NotAllowed("Only its author withdraws a version.")
    if not reason.strip():
        raise Invalid("Give a reason; it is kept in the audit trail.", code="reason_missing")
    _move(version, (State.DRAFT, State.IN_REVIEW, State.APPROVED), State.WITHDRAWN)
    _audited("policy.withdrawn", version, by, reason=reason.strip())
    return version


@transaction.atomic
def activate_version(*, version: PolicyVersion, by: User, reason: str) -> PolicyVersion:
    """Make an approved version the route's active one: a pointer swap that replicas follow."""
    require(by, "routing.activate_policy")
    if not reason.strip():
        raise Invalid("Give a reason; it is kept in the audit trail.", code="reason_missing")
    route = Route.objects.select_for_update().get(pk=version.route_id)
    previous = active_version(route)
    if previous is not None and version.base_id != previous.pk:
        raise MustRebase
    blocking = [finding for finding in check(version) if finding.blocking]
    if blocking:
        raise NotAPolicy(blocking)
    _swap(previous, State.RETIRED, version, (State.APPROVED,), by)
    _audited(
        "policy.activated",
        version,
        by,
        reason=reason.strip(),
        before={"active": str(previous) if previous else None},
        after={"active": str(version)},
    )
    return version


@transaction.atomic
def roll_back(*, slug: str, to_number: int, by: User, reason: str) -> PolicyVersion:
    """Make an earlier active version active again: one act with a reason and no approval."""
    require(by, "routing.activate_policy")
    if not reason.strip():
        raise Invalid("Give a reason; it is kept in the audit trail.", code="reason_missing")
    route = Route.objects.select_for_update().filter(slug=slug).first()
    if route is None:
        raise NotFound
    previous, target = active_version(route), get_version(slug=slug, number=to_number)
    if target.activated_at is None:
        raise WrongState(f"{target} was never active.", what_next="Activate it instead.")
    _swap(previous, State.ROLLED_BACK, target, (State.RETIRED, State.ROLLED_BACK), by)
    _audited(
        "policy.rolled_back",
        target,
        by,
        reason=reason.strip(),
        before={"active": str(previous) if previous else None},
        after={"active": str(target)},
    )
    return target


def _swap(
    previous: PolicyVersion | None,
    ends_as: str,
    version: PolicyVersion,
    sources: tuple[str, ...],
    by: User,
) -> None:
    if previous is not None:
        _move(previous, (State.ACTIVE,), ends_as, retired_at=timezone.now())
    _move(version, sources, State.ACTIVE, activated_at=timezone.now(), activated_by=by)
