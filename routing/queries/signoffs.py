"""Reads sign-offs for their screens, and says when one is about to end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts.models import User
from accounts.queries import history_of
from audit.models import Event
from routing.models import SignOff
from routing.queries.decisions import Chip
from routing.services.signoffs import why_not_approve
from screens.access import may, roles_that_may
from screens.attention import Need, provide
from screens.navigation import badge

STANDINGS: Final = {
    "requested": "Asked for; nothing is sent until two approvers agree.",
    "valid": "Two approvers agreed, and the period runs.",
    "not yet valid": "Two approvers agreed; the period has not begun.",
    "expired": "The period has ended; nothing is sent any more.",
    "refused": "An approver said no.",
    "revoked": "It was taken back before its end.",
}
TONES: Final = {
    "requested": "warn",
    "valid": "good",
    "not yet valid": "accent",
    "expired": "bad",
    "refused": "bad",
    "revoked": "bad",
}
WARN_AT: Final = (
    (timedelta(days=7), "bad"),
    (timedelta(days=14), "warn"),
    (timedelta(days=30), "accent"),
)
_PEOPLE: Final = ("backend", "requested_by", "first_approver", "second_approver", "ended_by")


@dataclass(frozen=True, slots=True, kw_only=True)
class Filters:
    standing: str = ""
    backend: str = ""
    data_class: str = ""

    @classmethod
    def of(cls, query: Mapping[str, str]) -> Filters:
        names = [item.name for item in fields(cls)]
        return cls(
            **{name: query.get(name, "").replace("\x00", "").strip()[:100] for name in names}
        )

    def query(self, *, without: str = "") -> str:
        kept = {item.name: getattr(self, item.name) for item in fields(self)}
        return "?" + urlencode({k: v for k, v in kept.items() if v and k != without})

    def chips(self) -> list[Chip]:
        return [
            Chip(
                name=item.name.replace("_", " ").capitalize(),
                value=getattr(self, item.name),
                url=self.query(without=item.name),
            )
            for item in fields(self)
            if getattr(self, item.name)
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    signoff: SignOff
    standing: str
    tone: str
    approvals: int
    warning: str

    @property
    def approvers(self) -> list[User]:
        both = (self.signoff.first_approver, self.signoff.second_approver)
        return [person for person in both if person is not None]


def signoffs(filters: Filters, now: datetime) -> QuerySet[SignOff]:
    found = SignOff.objects.select_related(*_PEOPLE).order_by("-requested_at")
    if filters.backend:
        found = found.filter(backend__name=filters.backend)
    if filters.data_class:
        found = found.filter(data_class=filters.data_class)
    granted = Q(state="granted")
    # The second of the end counts as over, as it does at dispatch.
    second = now.replace(microsecond=0)
    over = granted & Q(valid_to__lt=second + timedelta(seconds=1))
    by_clock = {
        "not yet valid": granted & Q(valid_from__gt=now),
        "valid": granted & Q(valid_from__lte=now) & ~over,
        "expired": over & Q(valid_from__lte=now),
    }
    if filters.standing:
        found = found.filter(by_clock.get(filters.standing, Q(state=filters.standing)))
    return found


def row_of(signoff: SignOff, now: datetime | None = None) -> Row:
    now = now or timezone.now()
    standing = signoff.standing(now)
    return Row(
        signoff=signoff,
        standing=standing,
        tone=TONES[standing],
        approvals=sum(
            person is not None for person in (signoff.first_approver_id, signoff.second_approver_id)
        ),
        warning=warning_of(signoff, now) if standing == "valid" else "",
    )


def warning_of(signoff: SignOff, now: datetime) -> str:
    left = signoff.valid_to - now
    return f"ends in {_days(left)}" if left <= WARN_AT[-1][0] else ""


def _days(left: timedelta) -> str:
    if left < timedelta(days=1):
        return "less than a day"
    return "1 day" if left.days == 1 else f"{left.days} days"


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    label: str
    state: str
    who: str = ""
    when: datetime | None = None


def steps_of(signoff: SignOff, now: datetime) -> list[Step]:
    """Asked for, first approver, second approver, valid, ended: who and when."""
    standing = signoff.standing(now)
    steps = [
        Step(
            label="Asked for",
            state="done",
            who=str(signoff.requested_by),
            when=signoff.requested_at,
        )
    ]
    ended = standing in ("refused", "revoked")
    for number, person, when in (
        ("First approver", signoff.first_approver, signoff.first_approved_at),
        ("Second approver", signoff.second_approver, signoff.second_approved_at),
    ):
        if person is not None:
            steps.append(Step(label=number, state="done", who=str(person), when=when))
        elif not ended:
            is_next = steps[-1].state == "done"
            steps.append(Step(label=number, state="current" if is_next else "next"))
    if ended:
        who = str(signoff.ended_by or "")
        return [
            *steps,
            Step(label=standing.capitalize(), state="stopped", who=who, when=signoff.ended_at),
        ]
    if standing == "expired":
        return [
            *steps,
            Step(label="Valid", state="done", when=signoff.valid_from),
            Step(label="Expired", state="stopped", when=signoff.valid_to),
        ]
    state = {"valid": "current", "not yet valid": "next"}.get(standing, "next")
    return [
        *steps,
        Step(label="Valid", state=state, when=signoff.valid_from if state == "current" else None),
        Step(label="Expires", state="next"),
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    row: Row
    steps: Sequence[Step]
    history: Sequence[Event]
    approvers: Sequence[User]
    may_approve: bool
    may_refuse: bool
    may_revoke: bool
    why_not: str


def page_of_signoff(signoff: SignOff, person: Any) -> Page:
    now = timezone.now()
    row = row_of(signoff, now)
    is_open = signoff.state == SignOff.State.REQUESTED
    permitted = may(person, "routing.sign_off")
    why = ""
    if is_open:
        why = why_not_approve(signoff, person)
        if not why and not permitted:
            why = "Your roles do not include signing off."
        if not why and signoff.valid_to <= now:
            why = "Its period has ended; ask for a new one."
    return Page(
        row=row,
        steps=steps_of(signoff, now),
        history=history_of("signoff", str(signoff.pk), limit=30),
        approvers=approvers_for(signoff) if is_open else [],
        may_approve=is_open and permitted and not why,
        may_refuse=is_open and permitted,
        may_revoke=row.standing in ("valid", "not yet valid") and permitted,
        why_not=why,
    )


def approvers_for(signoff: SignOff) -> list[User]:
    """Who may stand for it: by role, and nobody who stands on it already."""
    slugs = [role.slug for role in roles_that_may("routing.sign_off")]
    taken = [signoff.requested_by_id, signoff.first_approver_id, signoff.second_approver_id]
    people = User.objects.filter(is_active=True, groups__name__in=slugs)
    return list(people.exclude(pk__in=[pk for pk in taken if pk]).distinct())


@badge("sign-offs", "waiting for your approval")
def waiting_for(person: Any) -> int | None:
    """How many requests this person could approve now; None for people who sign nothing off."""
    if not may(person, "routing.sign_off"):
        return None
    return (
        SignOff.objects.filter(state=SignOff.State.REQUESTED, valid_to__gt=timezone.now())
        .exclude(requested_by=person)
        .exclude(Q(first_approver__isnull=False) & Q(first_approver=person))
        .count()
    )


@provide("routing.view")
def requests_that_wait(user: Any) -> list[Need]:
    waiting = SignOff.objects.select_related("backend", "requested_by").filter(
        state=SignOff.State.REQUESTED, valid_to__gt=timezone.now()
    )
    return [
        Need(
            sentence=f"{one.requested_by} asks to send {one.data_class} data to {one.backend}.",
            url=one.get_absolute_url(),
            act="Read the request",
            tone="warn"
            if may(user, "routing.sign_off") and not why_not_approve(one, user)
            else "accent",
        )
        for one in waiting.order_by("requested_at")[:6]
    ]


@provide("routing.view")
def ends_in_sight(user: Any) -> list[Need]:
    """Valid sign-offs that end within 30 days, unless a later one already takes over."""
    now = timezone.now()
    valid = list(
        SignOff.objects.select_related("backend")
        .filter(
            state=SignOff.State.GRANTED, valid_from__lte=now, valid_to__gt=now - timedelta(days=7)
        )
        .order_by("valid_to")
    )
    latest: dict[tuple[int, str], SignOff] = {}
    for one in valid:
        latest[one.backend_id, one.data_class] = one
    return [need for one in latest.values() if (need := _need_of(one, now)) is not None]


def _need_of(one: SignOff, now: datetime) -> Need | None:
    left = one.valid_to - now
    tone = next((tone for limit, tone in WARN_AT if left <= limit), None)
    if tone is None:
        return None
    if left <= timedelta(0):
        sentence = (
            f"The sign-off of {one.backend} for {one.data_class} data has expired; nothing is sent."
        )
    else:
        sentence = (
            f"The sign-off of {one.backend} for {one.data_class} data ends in {_days(left)}; "
            "after that nothing is sent."
        )
    return Need(sentence=sentence, url=one.get_absolute_url(), act="See the sign-off", tone=tone)
