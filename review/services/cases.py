"""A case begins with a hold. Its holder alone reads its texts, and each reading is recorded."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import UTC, datetime

from django.db import transaction
from django.utils import timezone

from accounts.models import ApiKey, User
from audit import payloads
from audit.actors import SYSTEM, Actor
from review import rules
from review.models import Case, CaseCandidate, CaseVerdict
from review.queries import eligible
from review.services.claims import require_holder
from review.services.pace import note_shown
from review.services.transitions import record
from routing.models import Hold
from screens.access import require
from screens.errors import Invalid, NotFound

Kind = CaseVerdict.Kind


def get_case(case_id: uuid.UUID) -> Case:
    """The case as it is now, with its holder and its hold. Raises NotFound."""
    case = Case.objects.select_related("claimed_by", "hold").filter(pk=case_id).first()
    if case is None:
        raise NotFound("There is no such case.", what_next="Start from the review queue.")
    return case


@transaction.atomic
def open_case(*, decision_id: uuid.UUID) -> Case | None:
    """Open the case of a hold; safe to run twice, and for a hold that has ended (then: None)."""
    hold = Hold.objects.select_for_update().filter(pk=decision_id).first()
    if hold is None or hold.state != Hold.State.WAITING:
        return None
    is_high_risk = eligible.is_restricted(hold.data_class)
    is_waited_for = hold.delivery == Hold.Delivery.WAITING
    priority = rules.priority_of(is_waited_for=is_waited_for, is_high_risk=is_high_risk)
    key = ApiKey.objects.filter(public_id=hold.client_id).only("owner").first()
    case, is_new = Case.objects.get_or_create(
        hold=hold,
        defaults={
            "decision_id": hold.decision_id,
            "route": hold.route,
            "policy": hold.policy,
            "rule": hold.rule,
            "queue": hold.queue,
            "data_class": hold.data_class,
            "client": hold.client,
            "owner": key.owner if key else "",
            "why": hold.sentence,
            "priority": priority,
            "is_high_risk": is_high_risk,
            "opened_at": hold.opened_at,
            "due_at": due_at(hold, priority),
        },
    )
    if is_new:
        record("review.opened", case, SYSTEM("router"), due_at=case.due_at, priority=priority)
    return case


def due_at(hold: Hold, priority: int) -> datetime:
    """When the case of this hold must have ended in this class."""
    ends_s = rules.due_s(
        priority=priority,
        opened_s=hold.opened_at.timestamp(),
        hold_ends_s=hold.deadline_at.timestamp(),
    )
    whole = ends_s == hold.deadline_at.timestamp()
    return hold.deadline_at if whole else datetime.fromtimestamp(ends_s, tz=UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """An answer that may be released. ``origin`` is draft, replay or edit."""

    id: uuid.UUID
    backend: str
    origin: str

    @property
    def text(self) -> str:
        return payloads.open_payload(self.id).decode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """``current`` is what an approval releases; ``others`` may be chosen instead."""

    current: Candidate | None
    others: tuple[Candidate, ...]

    def find(self, candidate_id: uuid.UUID | None) -> Candidate | None:
        return next((one for one in self.others if one.id == candidate_id), None)


def candidates_of(case: Case) -> Candidates:
    """The answers of a case, for whoever's turn it is.

    A second reviewer gets one and the same thing whatever the first decided: the text that would be
    released, else the draft. An adjudicator may also choose what a reviewer wrote.
    """
    hold = hold_of(case)
    made = []
    if hold.candidate_payload:
        made.append(
            Candidate(id=hold.candidate_payload, backend=hold.candidate_backend, origin="draft")
        )
    ready = case.candidates.filter(state=CaseCandidate.State.READY)
    made += [
        Candidate(id=one.payload, backend=one.backend, origin="replay")
        for one in ready
        if one.payload is not None
    ]
    current = made[-1] if made else None
    verdicts = list(case.verdicts.all())
    if case.stage == Case.Stage.SECOND:
        answer = verdicts[0].answer_payload
        if answer is not None:
            current = Candidate(id=answer, backend=verdicts[0].candidate_backend, origin="draft")
        return Candidates(current=current, others=())
    written = [
        Candidate(id=verdict.answer_payload, backend="", origin="edit")
        for verdict in verdicts
        if verdict.kind == Kind.EDIT and verdict.answer_payload is not None
    ]
    return Candidates(current=current, others=(*made[:-1], *written))


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """What the holder reads: the request as JSON text and the answers, each with its id."""

    request: str
    candidates: Candidates

    def as_json(self) -> dict[str, object]:
        current = self.candidates.current
        shown: dict[str, object] = {"request": self.request}
        if current is not None:
            shown |= {
                "candidate": current.text,
                "candidate_id": str(current.id),
                "candidate_backend": current.backend,
            }
        shown["others"] = [
            {"candidate_id": str(one.id), "backend": one.backend, "text": one.text}
            for one in self.candidates.others
        ]
        return shown


@transaction.atomic
def reveal_payloads(*, case: Case, by: User, now: datetime | None = None) -> dict[str, object]:
    """Return the texts of a case to its holder; the reading itself is recorded first.

    Keys: ``request`` (JSON text), when there is one ``candidate`` with ``candidate_id``, which an
    approval must name, and ``others``: the answers that may be chosen instead.
    """
    require(by, "review.decide")
    now = now or timezone.now()
    require_holder(case, by, now)
    hold = hold_of(case)
    request = payloads.open_payload(hold.request_payload).decode()
    texts = Texts(request=request, candidates=candidates_of(case)).as_json()
    read = sorted({"request", "candidate"} & texts.keys())
    note_shown(case, texts, now)
    record("review.revealed", case, Actor.of(by), read=read)
    return texts


def hold_of(case: Case) -> Hold:
    if case.hold is None:
        raise Invalid("Nothing is held behind this case.", code="no_hold")
    return case.hold
