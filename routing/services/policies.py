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
from routing.models import PolicyApproval, PolicyVersion, Rollout, Route
from routing.services import backtests, meaning
from routing.services.analysis import findings_of, registry_facts
from routing.services.enforcement import refuse_retired, refuse_unproved
from routing.services.transitions import (
    MustRebase,
    WrongState,
    given_reason,
    move,
    record,
    suspend_schedule,
)
from screens.access import may
from screens.errors import Conflict, Invalid, NotAllowed, NotFound

State = PolicyVersion.State
Verdict = PolicyApproval.Verdict
OPEN_STATES = (State.DRAFT, State.IN_REVIEW, State.APPROVED, State.SCHEDULED)


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


def require(by: User, permission: str) -> None:
    if not may(by, permission):
        raise NotAllowed


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
    record("policy.drafted", version, by, details={"base": str(base) if base else None})
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
        record("policy.edited", version, by, before={"digest": before}, after={"digest": fresh})
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
    # What is judged here must be what is frozen: no other tab may change it in between.
    PolicyVersion.objects.select_for_update().get(pk=version.pk)
    version.refresh_from_db()
    if version.conflicts:
        raise Invalid(
            f"Settle the conflicts of the rebase first: {len(version.conflicts)} are left.",
            code="conflicts_open",
        )
    refuse_findings(version)
    if backtests.unacknowledged(version):
        raise Invalid(
            "The last backtest of this draft crosses guardrails that nobody took note of.",
            code="guardrails_open",
            what_next="Open the backtest, look at those decisions, and take note with a reason.",
        )
    reasons = [reason.as_json() for reason in meaning.reasons_of(version)]
    move(
        version,
        (State.DRAFT,),
        State.IN_REVIEW,
        submitted_at=timezone.now(),
        summary=summary.strip()[:300],
        approval_reasons=reasons,
        **({"approvals_needed": 2} if reasons else {}),
    )
    details = {"approvals_needed": version.approvals_needed, "because": reasons}
    record("policy.submitted", version, by, reason=summary.strip(), details=details)
    return version


def refuse_findings(version: PolicyVersion) -> None:
    """Raise NotAPolicy when a finding blocks the version now."""
    blocking = [finding for finding in check(version) if finding.blocking]
    if blocking:
        raise NotAPolicy(blocking)


def refuse_conflict(version: PolicyVersion) -> None:
    """Raise MustRebase, NotAPolicy or NotProved when the version could not be activated now."""
    active = active_version(version.route)
    if active is not None and version.base_id != active.pk:
        raise MustRebase
    refuse_findings(version)
    refuse_unproved(version, registry_facts())


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
    said = given_reason(comment)
    return _judge(version=version, by=by, verdict=verdict, comment=said)


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
            move(version, (State.IN_REVIEW,), State.APPROVED, approved_at=timezone.now())
        record(
            "policy.approved",
            version,
            by,
            reason=comment,
            details={"approvals": approvals, "needed": locked.approvals_needed},
        )
    else:
        move(version, (State.IN_REVIEW,), State.REJECTED)
        record("policy.rejected", version, by, reason=comment, details={"verdict": verdict})
    version.refresh_from_db()
    return version


@transaction.atomic
def withdraw_version(*, version: PolicyVersion, by: User, reason: str) -> PolicyVersion:
    require(by, "routing.edit_policy")
    if version.author_id != by.pk:
        raise NotAllowed("Only its author withdraws a version.")
    said = given_reason(reason)
    move(version, OPEN_STATES, State.WITHDRAWN)
    record("policy.withdrawn", version, by, reason=said)
    return version


def activate_version(*, version: PolicyVersion, by: User, reason: str) -> PolicyVersion:
    """Make an approved version the route's active one: a pointer swap that replicas follow."""
    return put_into_force(version=version, by=by, reason=reason, source=State.APPROVED)


@transaction.atomic
def put_into_force(
    *, version: PolicyVersion, by: User, reason: str, source: str, actor: Actor | None = None
) -> PolicyVersion:
    """Activate for the person `by`. `actor` is the clock where that person agreed beforehand."""
    require(by, "routing.activate_policy")
    said = given_reason(reason)
    route = Route.objects.select_for_update().get(pk=version.route_id)
    previous = active_version(route)
    refuse_conflict(version)
    if Rollout.objects.filter(route=route, state=Rollout.State.RUNNING).exists():
        raise Conflict("A rollout of this route is running.", what_next="Stop it first.")
    _end_bake(route, by, actor, f"{version} became active.", but=version)
    _swap(previous, State.RETIRED, version, (source,), by)
    record(
        "policy.activated",
        version,
        actor or by,
        reason=said,
        before={"active": str(previous) if previous else None},
        after={"active": str(version)},
        details={"scheduled_by": by.get_username()} if actor else None,
    )
    _suspend_overtaken(version, actor or by)
    return version


@transaction.atomic
def roll_back(*, slug: str, to_number: int, by: User, reason: str) -> PolicyVersion:
    """Make an earlier active version active again: one act with a reason and no approval."""
    require(by, "routing.activate_policy")
    said = given_reason(reason)
    route = Route.objects.select_for_update().filter(slug=slug).first()
    if route is None:
        raise NotFound
    previous, target = active_version(route), get_version(slug=slug, number=to_number)
    if target.activated_at is None:
        raise WrongState(f"{target} was never active.", what_next="Activate it instead.")
    refuse_retired(target)
    _end_bake(route, by, None, said)
    _swap(previous, State.ROLLED_BACK, target, (State.RETIRED, State.ROLLED_BACK), by)
    record(
        "policy.rolled_back",
        target,
        by,
        reason=said,
        before={"active": str(previous) if previous else None},
        after={"active": str(target)},
    )
    _suspend_overtaken(target, by)
    return target


def _end_bake(
    route: Route, by: User, actor: Actor | None, reason: str, but: PolicyVersion | None = None
) -> None:
    """A rollout of this route does not outlive a change of the active version by hand."""
    live = Rollout.objects.filter(route=route, state__in=Rollout.LIVE).exclude(version=but)
    for rollout in live.select_related("version__route"):
        live.filter(pk=rollout.pk).update(
            state=Rollout.State.ABORTED, ended_at=timezone.now(), ended_why=reason[:500]
        )
        record("rollout.aborted", rollout.version, actor or by, reason=reason)


@transaction.atomic
def swap_back(*, version: PolicyVersion, by: User, actor: Actor, reason: str) -> PolicyVersion:
    """Return to a version that was active before, because a rollout was stopped."""
    previous = active_version(version.route)
    _swap(previous, State.ROLLED_BACK, version, (State.RETIRED, State.ROLLED_BACK), by)
    record(
        "policy.rolled_back",
        version,
        actor,
        reason=reason,
        before={"active": str(previous) if previous else None},
        after={"active": str(version)},
    )
    _suspend_overtaken(version, actor)
    return version


def _suspend_overtaken(active: PolicyVersion, by: User | Actor) -> None:
    """What was scheduled for this route began from a version that is not active any more."""
    for version in active.route.versions.filter(state=State.SCHEDULED):
        suspend_schedule(version=version, why=f"{active} became active first.", by=by)


def _swap(
    previous: PolicyVersion | None,
    ends_as: str,
    version: PolicyVersion,
    sources: tuple[str, ...],
    by: User,
) -> None:
    if previous is not None:
        move(previous, (State.ACTIVE,), ends_as, retired_at=timezone.now())
    move(version, sources, State.ACTIVE, activated_at=timezone.now(), activated_by=by)
