"""Another backend's answer to a held request: asked for by the holder, made by a worker.

The case leaves its holder meanwhile and comes back to the queue with the new answer, or with what
went wrong. Both ends are safe to run late or twice.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from audit import payloads
from audit.actors import SYSTEM, Actor
from review import rules
from review.models import Case, CaseCandidate
from review.services.cases import hold_of
from review.services.claims import check_reason, require_holder
from review.services.transitions import UNCLAIMED, move, record, refuse
from routing.services import asking_again
from screens.access import require
from screens.errors import Conflict, DomainError

REPLAYER = SYSTEM("replay")
_STAYS = (rules.FIRST, rules.ADJUDICATION)


@transaction.atomic
def request_replay(
    *,
    case: Case,
    by: User,
    backend: str,
    reason_code: str,
    reason: str,
    now: datetime | None = None,
) -> CaseCandidate:
    """Send a claimed case to another backend; the caller starts the task that asks it."""
    require(by, "review.decide")
    now = now or timezone.now()
    require_holder(case, by, now)
    check_reason(reason_code, reason)
    if case.stage not in _STAYS:
        raise Conflict(
            "A second look is at one answer and ends with a verdict.",
            code="not_replayed",
            what_next="Decide as you see it: where the two differ, a lead settles it.",
        )
    if case.replays >= rules.MOST_REPLAYS:
        raise Conflict(
            f"This case has been asked again {rules.MOST_REPLAYS} times, which is the most.",
            code="replays_used_up",
            what_next="Choose one of its answers, write one, or give the safe default.",
        )
    offer = asking_again.check(
        decision_id=case.decision_id, data_class=case.data_class, backend=backend
    )
    number = case.replays + 1
    if not move(case, "replay", held_by=by, replays=number, **UNCLAIMED):
        refuse(case)
    candidate = CaseCandidate.objects.create(
        case=case,
        number=number,
        backend=offer.name,
        boundary=offer.boundary,
        asked_by=by,
        asked_at=now,
    )
    record(
        "review.replay_requested",
        case,
        Actor.of(by),
        reason=reason,
        reason_code=reason_code,
        backend=offer.name,
        boundary=offer.boundary,
        number=number,
    )
    return candidate


def make_candidate(*, candidate_id: int, now: datetime | None = None) -> bool:
    """Ask the backend and end the replay; False when there is nothing (any more) to ask for."""
    candidate = CaseCandidate.objects.select_related("case__hold").get(pk=candidate_id)
    case = candidate.case
    is_wanted = case.state == Case.State.REPLAYING and case.replays == candidate.number
    if candidate.state != CaseCandidate.State.MAKING or not is_wanted:
        return False
    reply, problem = None, ""
    try:
        reply = asking_again.ask(
            decision_id=case.decision_id,
            data_class=case.data_class,
            backend=candidate.backend,
            request=payloads.open_payload(hold_of(case).request_payload),
        )
    except DomainError as refused:
        problem = str(refused)
    return end_replay(
        case=case, number=candidate.number, reply=reply, problem=problem, now=now or timezone.now()
    )


@transaction.atomic
def end_replay(
    *,
    case: Case,
    number: int,
    now: datetime,
    reply: asking_again.Reply | None = None,
    problem: str = "",
) -> bool:
    """Bring a case back from its replay, with the new answer or with the problem."""
    case.refresh_from_db()
    if case.replays != number or not move(case, "replayed"):
        return False
    sealed = None
    if reply is not None:
        sealed = payloads.seal(
            reply.text.encode(),
            decision_id=case.decision_id,
            kind="candidate",
            key=payloads.payload_key(),
        )
        payloads.store(sealed)
    states = CaseCandidate.State
    CaseCandidate.objects.filter(case=case, number=number).update(
        state=states.READY if sealed else states.FAILED,
        payload=sealed.id if sealed else None,
        problem=problem[:300],
        ended_at=now,
    )
    candidate = CaseCandidate.objects.get(case=case, number=number)
    record(
        "review.replayed",
        case,
        REPLAYER,
        reason=problem[:300],
        backend=candidate.backend,
        boundary=candidate.boundary,
        number=number,
        is_answered=sealed is not None,
        commitment=sealed.commitment if sealed else None,
        input_tokens=reply.input_tokens if reply else None,
        output_tokens=reply.output_tokens if reply else None,
    )
    return True
