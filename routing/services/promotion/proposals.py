"""Promotes a version: proposed on frozen evidence, approved by others, promoted by no author.

The database refuses an author as well, the superuser too.
"""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.utils import timezone

import audit
from accounts.models import User
from audit.actors import Actor
from routing.engine import gate
from routing.engine.checks import NAMES
from routing.models import PolicyVersion, Promotion, PromotionApproval, Rollout, Waiver
from routing.services import meaning, policies
from routing.services.promotion import evidence as evidences
from routing.services.promotion.rollouts import begin_rollout
from routing.services.transitions import WrongState, given_reason
from screens.access import require
from screens.errors import Conflict, Invalid, NotAllowed

State = Promotion.State
LONGEST_WAIVER = timedelta(days=90)


class NotReady(Conflict):
    """A check stands in the way; its name and sentence say which."""

    default_code = "gate_not_passed"
    default_what_next = "Wait for the missing evidence, or let a person waive what is missing."


def authors_of(version: PolicyVersion) -> set[int]:
    """Who wrote it, and who wrote what it was rebased from."""
    found, one = set(), version
    while True:
        found.add(one.author_id)
        if one.rebased_from is None:
            return found
        one = one.rebased_from


def refuse_author(version: PolicyVersion, by: User, act: str) -> None:
    """Raise NotAllowed for an author, and record the denial."""
    if by.pk not in authors_of(version):
        return
    with transaction.atomic():
        audit.record(
            "access.denied",
            by=Actor.of(by),
            object_type="policy_version",
            object_id=str(version),
            result="denied",
            details={"act": act, "why": "own_version"},
        )
    raise NotAllowed(
        f"An author of {version} may not {act} its promotion.",
        code="own_version",
        what_next="Ask another person with this permission.",
    )


@transaction.atomic
def waive_check(
    *, version: PolicyVersion, check: str, until: datetime, by: User, reason: str
) -> Waiver:
    """Answer for a check whose evidence is missing, until a date. It is shown for ever."""
    require(by, "routing.approve_policy")
    said, now = given_reason(reason), timezone.now()
    if by.pk in authors_of(version):
        raise NotAllowed(f"An author of {version} may not waive a check of it.")
    if check not in NAMES or check in gate.NEVER_WAIVED:
        raise Invalid("This check cannot be waived.", code="never_waived")
    if not now < until <= now + LONGEST_WAIVER:
        raise Invalid(f"A waiver ends within {LONGEST_WAIVER.days} days.", code="time_invalid")
    waiver = Waiver.objects.create(
        version=version, check_name=check, reason=said[:500], by=by, expires_at=until
    )
    _record("promotion.waived", version, by, said, {"check": check, "until": until})
    return waiver


def reasons_for_two(version: PolicyVersion, judgement: gate.Judgement) -> list[dict[str, str]]:
    reasons = [one.as_json() for one in meaning.reasons_of(version)]
    if judgement.uses_waiver:
        reasons.append({"code": "waiver", "words": "a check is waived"})
    return reasons


@transaction.atomic
def propose_promotion(*, version: PolicyVersion, by: User, reason: str) -> Promotion:
    """Freeze the evidence of a version that passes its gate. Raises NotReady where it does not."""
    require(by, "routing.promote_policy")
    said = given_reason(reason)
    locked = PolicyVersion.objects.select_for_update().get(pk=version.pk)
    if locked.state != PolicyVersion.State.APPROVED:
        raise WrongState(
            f"{version} is {locked.get_state_display()}; only an approved one goes on."
        )
    policies.refuse_conflict(version)
    incumbent = policies.active_version(version.route)
    if incumbent is None:
        raise Invalid("There is no active version to compare with.", what_next="Activate it.")
    evidence = evidences.gather(version)
    judgement = gate.judge(evidence)
    _refuse_standing(judgement)
    text, digest = evidences.freeze(evidence)
    reasons = reasons_for_two(version, judgement)
    run = evidence.get("shadow_run")
    try:
        with transaction.atomic():
            promotion = Promotion.objects.create(
                version=version,
                incumbent=incumbent,
                shadow_run=UUID(run) if run else None,
                evidence=text,
                evidence_digest=digest,
                approvals_needed=2 if reasons else 1,
                reasons=reasons,
                proposed_by=by,
                why=said[:500],
            )
    except IntegrityError:
        raise Conflict("A promotion of this version is open already.") from None
    details = {
        "evidence": text,
        "evidence_digest": digest,
        "seed": evidence["seed"],
        "approvals_needed": promotion.approvals_needed,
        "because": reasons,
    }
    _record("promotion.proposed", version, by, said, details)
    return promotion


def _refuse_standing(judgement: gate.Judgement) -> None:
    if judgement.standing:
        first = judgement.standing[0]
        raise NotReady(f"{first.title}: {first.verdict}. {first.sentence}")


def approve_promotion(*, promotion: Promotion, by: User, comment: str) -> Promotion:
    """Approve the frozen evidence. No author approves, and nobody twice."""
    require(by, "routing.approve_policy")
    refuse_author(promotion.version, by, "approve")
    return _approve(promotion, by, given_reason(comment))


@transaction.atomic
def _approve(promotion: Promotion, by: User, comment: str) -> Promotion:
    locked = Promotion.objects.select_for_update().get(pk=promotion.pk)
    if locked.state != State.PROPOSED:
        raise WrongState("This promotion is not waiting for approval.")
    try:
        with transaction.atomic():
            PromotionApproval.objects.create(
                promotion=locked, by=by, evidence_digest=locked.evidence_digest, comment=comment
            )
    except IntegrityError:
        raise Conflict("You have already approved this promotion.") from None
    count = locked.approvals.count()
    if count >= locked.approvals_needed:
        Promotion.objects.filter(pk=locked.pk, state=State.PROPOSED).update(state=State.APPROVED)
    details = {"approvals": count, "needed": locked.approvals_needed}
    _record("promotion.approved", locked.version, by, comment, details)
    promotion.refresh_from_db()
    return promotion


def promote(*, promotion: Promotion, by: User, reason: str) -> Rollout:
    """Begin the rollout of an approved promotion, after judging everything once more."""
    require(by, "routing.promote_policy")
    refuse_author(promotion.version, by, "carry out")
    if promotion.approvals.filter(by=by).exists():
        raise NotAllowed(
            "Who approved a promotion does not carry it out.",
            what_next="Ask another operator or approver.",
        )
    return _promote(promotion, by, given_reason(reason))


@transaction.atomic
def _promote(promotion: Promotion, by: User, reason: str) -> Rollout:
    version = promotion.version
    locked = Promotion.objects.select_for_update().get(pk=promotion.pk)
    if locked.state != State.APPROVED:
        raise WrongState("This promotion is not approved.")
    policies.refuse_conflict(version)
    if policies.active_version(version.route) != locked.incumbent:
        raise Conflict("Another version became active since the evidence was frozen.")
    _refuse_standing(gate.judge(evidences.gather(version)))
    now = timezone.now()
    Promotion.objects.filter(pk=locked.pk, state=State.APPROVED).update(
        state=State.PROMOTED, promoted_by=by, promoted_at=now
    )
    promotion.refresh_from_db()
    details = {
        "evidence": promotion.evidence,
        "evidence_digest": promotion.evidence_digest,
        "approved_by": [one.by.get_username() for one in promotion.approvals.select_related("by")],
    }
    _record("promotion.promoted", version, by, reason, details)
    frozen = json.loads(promotion.evidence)
    return begin_rollout(promotion=promotion, by=by, projected_usd=frozen.get("projected_usd"))


@transaction.atomic
def withdraw_promotion(*, promotion: Promotion, by: User, reason: str) -> Promotion:
    """End an open promotion; another may be proposed on newer evidence."""
    require(by, "routing.promote_policy")
    said = given_reason(reason)
    changed = Promotion.objects.filter(
        pk=promotion.pk, state__in=(State.PROPOSED, State.APPROVED)
    ).update(state=State.WITHDRAWN, ended_at=timezone.now(), ended_why=said[:500])
    if not changed:
        raise WrongState("This promotion is not open any more.")
    promotion.refresh_from_db()
    _record("promotion.withdrawn", promotion.version, by, said, {})
    return promotion


def _record(
    kind: str, version: PolicyVersion, by: User, reason: str, details: dict[str, Any]
) -> None:
    audit.record(
        kind,
        by=Actor.of(by),
        object_type="policy_version",
        object_id=str(version),
        reason=reason,
        details={"route": version.route.slug, "digest": version.digest, **details},
    )
