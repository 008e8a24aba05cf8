"""What the screens of promotions and rollouts show: checks, what is missing until when, guards."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils import timezone

from audit.models import Event
from routing.engine import gate
from routing.engine.checks import FAIL, PASS, Check, rank_segments
from routing.engine.rollout import GUARDS
from routing.models import PolicyVersion, Promotion, Rollout, Route
from routing.services.promotion import evidence
from routing.services.promotion.proposals import authors_of
from screens.access import may
from screens.errors import NotFound

TONES = {PASS: "good", FAIL: "bad"}
_TIMELINE = ("rollout.started", "rollout.advanced", "rollout.resumed", "rollout.aborted",
             "rollout.done", "incident.noted", "promotion.promoted")  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One check as it is shown; `expected` is when its missing evidence can be there."""

    check: Check
    tone: str
    waived: bool
    expected: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotePage:
    lines: list[Line]
    verdict: str
    first: Check | None
    promotion: Promotion | None
    why_not_approve: str
    why_not_carry_out: str
    segments: list[Any]


def promote_page(version: PolicyVersion, user: Any) -> PromotePage:
    found = evidence.gather(version)
    judgement = gate.judge(found)
    promotion = (
        version.promotions.exclude(state=Promotion.State.WITHDRAWN)
        .prefetch_related("approvals__by")
        .first()
    )
    now = timezone.now()
    standing = judgement.standing
    segments = rank_segments(found.get("segments") or ())
    return PromotePage(
        lines=[
            Line(
                check=check,
                tone=TONES.get(check.verdict, "warn"),
                waived=check.name in judgement.waived,
                expected=now + timedelta(days=check.more_days) if check.more_days else None,
            )
            for check in judgement.checks
        ],
        verdict=judgement.verdict,
        first=standing[0] if standing else None,
        promotion=promotion,
        why_not_approve=_why_not_approve(promotion, version, user),
        why_not_carry_out=_why_not_carry_out(promotion, version, user),
        segments=segments,
    )


def _has_approved(promotion: Promotion, user: Any) -> bool:
    return any(one.by_id == user.pk for one in promotion.approvals.all())


def _why_not_approve(promotion: Promotion | None, version: PolicyVersion, user: Any) -> str:
    if promotion is None or promotion.state != Promotion.State.PROPOSED:
        return "There is nothing to approve."
    if not may(user, "routing.approve_policy"):
        return "Your roles do not approve."
    if user.pk in authors_of(version):
        return "An author of the version does not approve its promotion."
    return "You have approved it already." if _has_approved(promotion, user) else ""


def _why_not_carry_out(promotion: Promotion | None, version: PolicyVersion, user: Any) -> str:
    if promotion is None or promotion.state == Promotion.State.PROMOTED:
        return "There is nothing to carry out."
    if promotion.state != Promotion.State.APPROVED:
        left = promotion.approvals_needed - len(promotion.approvals.all())
        return f"{left} more approval{'s are' if left > 1 else ' is'} needed."
    if not may(user, "routing.promote_policy"):
        return "Your roles do not promote."
    if user.pk in authors_of(version):
        return "An author of the version does not promote it."
    return "Who approved does not carry it out." if _has_approved(promotion, user) else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutPage:
    rollout: Rollout | None
    steps: list[dict[str, Any]]
    guards: list[dict[str, Any]]
    incidents: list[Any]
    events: list[Event]
    earlier: list[Rollout]
    may_resume: bool


def route_named(slug: str) -> Route:
    route = Route.objects.filter(slug=slug).first()
    if route is None:
        raise NotFound
    return route


def last_rollout(route: Route) -> Rollout | None:
    return (
        route.rollouts.select_related("version__route", "baseline__route", "started_by", "route")
        .order_by("-id")
        .first()
    )


def rollout_page(route: Route) -> RolloutPage:
    rollout = last_rollout(route)
    if rollout is None:
        return RolloutPage(
            rollout=None, steps=[], guards=[], incidents=[], events=[], earlier=[],
            may_resume=False,
        )  # fmt: skip
    incidents = list(rollout.incidents.select_related("noted_by"))
    return RolloutPage(
        rollout=rollout,
        steps=[_step(rollout, at) for at in range(len(rollout.steps))],
        guards=[{**one, "title": GUARDS[one["name"]]} for one in rollout.guards],
        incidents=incidents,
        events=list(
            Event.objects.filter(
                kind__in=_TIMELINE, object_type="policy_version", object_id=str(rollout.version)
            ).order_by("-at", "-id")[:40]
        ),
        earlier=list(route.rollouts.exclude(pk=rollout.pk).select_related("version__route")[:10]),
        may_resume=rollout.state == Rollout.State.ABORTED
        and rollout.version.state == PolicyVersion.State.APPROVED
        and all(one.noted_at and one.guard != "boundary" for one in incidents),
    )


def _step(rollout: Rollout, at: int) -> dict[str, Any]:
    step = rollout.steps[at]
    state = "next"
    if at < rollout.step or rollout.state == Rollout.State.DONE:
        state = "done"
    elif at == rollout.step:
        state = "current" if rollout.is_live else "stopped"
    return {
        "label": f"{step['share']} %",
        "state": state,
        "who": f"at least {timedelta(minutes=step['minutes'])} h, {step['treated']:,} requests",
        "when": None,
    }
