"""Claiming, reading and deciding, on a real database."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from audit.models import Event
from review.errors import (
    AlreadyClaimed,
    CandidateChanged,
    CaseEnded,
    ClaimLost,
    LeaseCapped,
    ReasonMissing,
    TooManyClaims,
)
from review.models import Case, CaseVerdict
from review.services import cases, claims, verdicts
from routing.models import Hold
from routing.services import holds
from screens.errors import Invalid, NotAllowed, NotFound
from tests.review.conftest import DRAFT, PROMPT

pytestmark = pytest.mark.django_db

REASON = {"reason_code": "off_policy", "reason": "Contracts end by letter only."}


@pytest.fixture
def claimed(case_of: Callable[..., Any], people: dict[str, Any]) -> Any:
    return claims.claim_case(case=case_of(), by=people["rui"])


def fresh(case: Any) -> Any:
    return cases.get_case(case.pk)


def age(case: Any, seconds: float) -> Any:
    """Move a claim into the past, as if the clock had gone on."""
    past = timedelta(seconds=seconds)
    Case.objects.filter(pk=case.pk).update(
        claimed_at=case.claimed_at - past, lease_expires_at=case.lease_expires_at - past
    )
    return fresh(case)


# Opening


def test_a_hold_opens_one_case_however_often_it_is_announced(
    hold: Callable[..., Any], kinds_of: Any
) -> None:
    held = hold()

    first = cases.open_case(decision_id=held.pk)
    second = cases.open_case(decision_id=held.pk)

    assert first == second
    assert kinds_of(first) == ["review.opened"]


def test_a_hold_that_has_ended_opens_no_case(hold: Callable[..., Any]) -> None:
    held = hold()
    holds.expire_hold(decision_id=held.pk)

    assert cases.open_case(decision_id=held.pk) is None
    assert cases.open_case(decision_id=uuid.uuid4()) is None


def test_an_unknown_case_is_not_found() -> None:
    with pytest.raises(NotFound):
        cases.get_case(uuid.uuid4())


# Claiming


def test_the_next_case_is_the_first_by_priority_then_deadline(
    case_of: Callable[..., Any], people: dict[str, Any]
) -> None:
    later, sooner, sample = case_of(due_s=900), case_of(due_s=300), case_of(due_s=60)
    Case.objects.filter(pk=sample.pk).update(priority=Case.Priority.SAMPLE)

    taken = [claims.claim_next(by=people["rui"]) for _ in range(3)]

    assert taken == [sooner, later, sample]


def test_nothing_waits_means_no_case(people: dict[str, Any]) -> None:
    assert claims.claim_next(by=people["rui"]) is None


def test_a_case_past_its_deadline_is_not_given_out(
    case_of: Callable[..., Any], people: dict[str, Any]
) -> None:
    overdue = case_of(due_s=-1)

    assert claims.claim_next(by=people["rui"]) is None
    with pytest.raises(CaseEnded):
        claims.claim_case(case=overdue, by=people["rui"])


def test_a_claim_lasts_ten_minutes_and_is_recorded(claimed: Any, kinds_of: Any) -> None:
    assert claimed.lease_expires_at - claimed.claimed_at == timedelta(minutes=10)
    assert kinds_of(claimed) == ["review.opened", "review.claimed"]


def test_claiming_ones_own_case_again_changes_nothing(
    claimed: Any, people: dict[str, Any], kinds_of: Any
) -> None:
    again = claims.claim_case(case=fresh(claimed), by=people["rui"])

    assert again.version == claimed.version
    assert kinds_of(claimed).count("review.claimed") == 1


def test_a_claimed_case_names_its_holder_to_others(claimed: Any, people: dict[str, Any]) -> None:
    with pytest.raises(AlreadyClaimed, match="Rui has this case"):
        claims.claim_case(case=fresh(claimed), by=people["noor"])


def test_a_claim_on_an_old_page_is_refused(
    case_of: Callable[..., Any], people: dict[str, Any]
) -> None:
    page = case_of()
    claims.claim_case(case=fresh(page), by=people["rui"])

    with pytest.raises(AlreadyClaimed):
        claims.claim_case(case=page, by=people["noor"])


def test_nobody_holds_more_than_three_cases(
    case_of: Callable[..., Any], people: dict[str, Any]
) -> None:
    for _ in range(4):
        case_of()
    for _ in range(3):
        claims.claim_next(by=people["rui"])

    with pytest.raises(TooManyClaims):
        claims.claim_next(by=people["rui"])


def test_a_claim_that_ran_out_can_be_taken_before_the_sweeper_comes(
    claimed: Any, people: dict[str, Any], kinds_of: Any
) -> None:
    stale = age(claimed, 601)

    taken = claims.claim_case(case=stale, by=people["noor"])

    assert taken.claimed_by == people["noor"]
    assert kinds_of(claimed)[-2:] == ["review.lease_lost", "review.claimed"]


@pytest.mark.parametrize("who", ["ada", "arjun", "petra", "olivia", "sam", "nobody"])
def test_only_reviewers_may_claim(
    who: str, case_of: Callable[..., Any], people: dict[str, Any]
) -> None:
    case = case_of()

    with pytest.raises(NotAllowed):
        claims.claim_case(case=case, by=people[who])
    with pytest.raises(NotAllowed):
        claims.claim_next(by=people[who])

    assert fresh(case).state == Case.State.PENDING


def race(*acts: Callable[[], Any]) -> list[Any]:
    """Run the acts at the same moment on connections of their own; return results or errors."""
    start = threading.Barrier(len(acts))
    results: list[Any] = [None] * len(acts)

    def run(place: int, act: Callable[[], Any]) -> None:
        try:
            start.wait(5)
            results[place] = act()
        except Exception as problem:
            results[place] = problem
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=pair) for pair in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    return results


@pytest.mark.django_db(transaction=True)
def test_of_two_reviewers_at_once_exactly_one_gets_the_case(
    case_of: Callable[..., Any], people: dict[str, Any], kinds_of: Any
) -> None:
    one, two = case_of(), None
    two = fresh(one)

    results = race(
        lambda: claims.claim_case(case=one, by=people["rui"]),
        lambda: claims.claim_case(case=two, by=people["noor"]),
    )

    assert sorted(type(result).__name__ for result in results) == ["AlreadyClaimed", "Case"]
    assert kinds_of(one).count("review.claimed") == 1


@pytest.mark.django_db(transaction=True)
def test_two_reviewers_pulling_at_once_get_two_cases(
    case_of: Callable[..., Any], people: dict[str, Any]
) -> None:
    first, second = case_of(due_s=100), case_of(due_s=200)

    results = race(
        lambda: claims.claim_next(by=people["rui"]), lambda: claims.claim_next(by=people["noor"])
    )

    assert {result.pk for result in results} == {first.pk, second.pk}


@pytest.mark.django_db(transaction=True)
def test_one_person_cannot_pass_the_limit_by_claiming_twice_at_once(
    case_of: Callable[..., Any], people: dict[str, Any]
) -> None:
    for _ in range(4):
        case_of()
    for _ in range(2):
        claims.claim_next(by=people["rui"])

    results = race(*[lambda: claims.claim_next(by=people["rui"])] * 2)

    assert sorted(type(result).__name__ for result in results) == ["Case", "TooManyClaims"]


@pytest.mark.django_db(transaction=True)
def test_a_decision_sent_twice_at_once_counts_once(
    case_of: Callable[..., Any], people: dict[str, Any], kinds_of: Any
) -> None:
    one = claims.claim_case(case=case_of(), by=people["rui"])
    two = fresh(one)

    results = race(
        lambda: verdicts.decide_case(case=one, by=people["rui"], kind="refuse", **REASON),
        lambda: verdicts.decide_case(case=two, by=people["rui"], kind="safe_default", **REASON),
    )

    assert sorted(type(result).__name__ for result in results) == ["Case", "CaseEnded"]
    assert CaseVerdict.objects.filter(case=one).count() == 1
    assert kinds_of(one).count("review.decided") == 1


# Holding


def test_an_extension_gives_ten_more_minutes(
    claimed: Any, people: dict[str, Any], kinds_of: Any
) -> None:
    older = age(claimed, 300)

    extended = claims.extend_lease(case=older, by=people["rui"])

    left = extended.lease_expires_at - timezone.now()
    assert timedelta(minutes=9, seconds=55) < left <= timedelta(minutes=10)
    assert kinds_of(claimed)[-1] == "review.extended"


def test_a_claim_ends_half_an_hour_after_it_began(claimed: Any, people: dict[str, Any]) -> None:
    Case.objects.filter(pk=claimed.pk).update(
        claimed_at=timezone.now() - timedelta(minutes=25),
        lease_expires_at=timezone.now() + timedelta(minutes=1),
    )

    extended = claims.extend_lease(case=fresh(claimed), by=people["rui"])

    assert extended.lease_expires_at - extended.claimed_at == timedelta(minutes=30)
    with pytest.raises(LeaseCapped):
        claims.extend_lease(case=extended, by=people["rui"])


def test_only_the_holder_extends(claimed: Any, people: dict[str, Any]) -> None:
    with pytest.raises(AlreadyClaimed):
        claims.extend_lease(case=fresh(claimed), by=people["noor"])


def test_a_case_that_is_given_back_waits_again(
    claimed: Any, people: dict[str, Any], kinds_of: Any
) -> None:
    given_back = claims.release_case(case=claimed, by=people["rui"])

    assert (given_back.state, given_back.claimed_by) == (Case.State.PENDING, None)
    assert kinds_of(claimed)[-1] == "review.released"


def test_a_lead_takes_a_case_from_somebody_with_a_reason(
    claimed: Any, people: dict[str, Any]
) -> None:
    with pytest.raises(Invalid, match="Say why"):
        claims.release_case(case=fresh(claimed), by=people["noor"])

    claims.release_case(case=fresh(claimed), by=people["noor"], reason="Rui went home ill.")

    event = Event.objects.get(kind="review.released", object_id=str(claimed.pk))
    assert event.reason == "Rui went home ill."
    assert event.entry["details"]["holder"] == "Rui"


def test_a_reviewer_cannot_take_a_case_from_another(claimed: Any, people: dict[str, Any]) -> None:
    claims.release_case(case=claimed, by=people["rui"])
    claims.claim_case(case=fresh(claimed), by=people["noor"])

    with pytest.raises(AlreadyClaimed):
        claims.release_case(case=fresh(claimed), by=people["rui"], reason="mine")


# Reading


def test_the_holder_reads_the_texts_and_the_reading_is_recorded(
    claimed: Any, people: dict[str, Any]
) -> None:
    texts = cases.reveal_payloads(case=claimed, by=people["rui"])

    assert texts["candidate"] == DRAFT
    assert PROMPT in texts["request"]
    event = Event.objects.get(kind="review.revealed", object_id=str(claimed.pk))
    assert event.entry["details"]["read"] == ["candidate", "request"]
    assert PROMPT.encode() not in bytes(event.body)


@pytest.mark.parametrize("who", ["noor", "ada", "nobody"])
def test_nobody_but_the_holder_reads_the_texts(
    who: str, claimed: Any, people: dict[str, Any], kinds_of: Any
) -> None:
    with pytest.raises((AlreadyClaimed, NotAllowed)):
        cases.reveal_payloads(case=fresh(claimed), by=people[who])

    assert "review.revealed" not in kinds_of(claimed)


def test_an_unclaimed_case_is_read_by_nobody(
    case_of: Callable[..., Any], people: dict[str, Any]
) -> None:
    with pytest.raises(ClaimLost):
        cases.reveal_payloads(case=case_of(), by=people["noor"])


def test_texts_close_when_the_claim_runs_out(claimed: Any, people: dict[str, Any]) -> None:
    with pytest.raises(ClaimLost):
        cases.reveal_payloads(case=age(claimed, 601), by=people["rui"])


# Deciding


def test_an_approval_releases_the_draft_that_was_read(
    claimed: Any, people: dict[str, Any], kinds_of: Any
) -> None:
    decided = verdicts.decide_case(
        case=claimed,
        by=people["rui"],
        kind="approve",
        candidate_id=claimed.hold.candidate_payload,
    )

    answer = holds.answer_of(claimed.decision_id)
    assert answer is not None
    assert (answer.disposition, answer.text) == ("answer", DRAFT)
    assert decided.state == Case.State.RESOLVED
    assert kinds_of(claimed) == ["review.opened", "review.claimed", "review.decided"]


@pytest.mark.parametrize("seen", [None, uuid.uuid4()])
def test_an_answer_that_was_not_read_is_not_released(
    seen: uuid.UUID | None, claimed: Any, people: dict[str, Any]
) -> None:
    with pytest.raises(CandidateChanged):
        verdicts.decide_case(case=claimed, by=people["rui"], kind="approve", candidate_id=seen)

    assert holds.answer_of(claimed.decision_id) is None


def test_there_is_nothing_to_approve_without_a_draft(
    case_of: Callable[..., Any], people: dict[str, Any]
) -> None:
    case = claims.claim_case(case=case_of(draft=None), by=people["rui"])

    with pytest.raises(Invalid, match="no answer to approve"):
        verdicts.decide_case(case=case, by=people["rui"], kind="approve")


def test_an_edited_answer_is_what_the_client_gets(claimed: Any, people: dict[str, Any]) -> None:
    edited = DRAFT.replace("31 March", "30\r\nApril")

    verdicts.decide_case(case=claimed, by=people["rui"], kind="edit", answer=edited, **REASON)

    answer = holds.answer_of(claimed.decision_id)
    assert answer is not None
    assert answer.text == edited.replace("\r\n", "\n")
    event = Event.objects.get(kind="review.decided", object_id=str(claimed.pk))
    assert 0 < event.entry["details"]["changed_permille"] < 300
    assert b"April" not in bytes(event.body)


@pytest.mark.parametrize(
    ("answer", "message"), [("  ", "Write the answer"), (DRAFT, "changed nothing")]
)
def test_an_edit_must_be_one(
    answer: str, message: str, claimed: Any, people: dict[str, Any]
) -> None:
    with pytest.raises(Invalid, match=message):
        verdicts.decide_case(case=claimed, by=people["rui"], kind="edit", answer=answer, **REASON)


@pytest.mark.parametrize(
    ("kind", "disposition"), [("safe_default", "safe_default"), ("refuse", "refuse")]
)
def test_the_other_decisions_release_no_answer(
    kind: str, disposition: str, claimed: Any, people: dict[str, Any]
) -> None:
    verdicts.decide_case(case=claimed, by=people["rui"], kind=kind, **REASON)

    hold = Hold.objects.get(pk=claimed.decision_id)
    assert (hold.disposition, hold.answer_payload) == (disposition, None)
    verdict = CaseVerdict.objects.get(case=claimed)
    assert (verdict.by, verdict.reason_code) == (people["rui"], "off_policy")


@pytest.mark.parametrize("kind", ["edit", "safe_default", "refuse"])
@pytest.mark.parametrize(
    "given",
    [
        {},
        {"reason_code": "tone"},
        {"reason": "because"},
        {"reason_code": "tone", "reason": "  "},
        {"reason_code": "mood", "reason": "because"},
    ],
)
def test_all_but_an_approval_need_a_code_and_a_reason(
    kind: str, given: dict[str, str], claimed: Any, people: dict[str, Any], kinds_of: Any
) -> None:
    with pytest.raises(ReasonMissing):
        verdicts.decide_case(case=claimed, by=people["rui"], kind=kind, answer="new", **given)

    assert fresh(claimed).state == Case.State.CLAIMED
    assert kinds_of(claimed)[-1] == "review.claimed"


def test_an_unknown_decision_is_refused(claimed: Any, people: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        verdicts.decide_case(case=claimed, by=people["rui"], kind="maybe", **REASON)


def test_only_the_holder_decides(claimed: Any, people: dict[str, Any]) -> None:
    with pytest.raises(AlreadyClaimed, match="Rui"):
        verdicts.decide_case(case=fresh(claimed), by=people["noor"], kind="refuse", **REASON)


def test_a_claim_that_ran_out_decides_nothing(claimed: Any, people: dict[str, Any]) -> None:
    with pytest.raises(ClaimLost):
        verdicts.decide_case(case=age(claimed, 601), by=people["rui"], kind="refuse", **REASON)


def test_a_second_decision_is_told_who_made_the_first(claimed: Any, people: dict[str, Any]) -> None:
    page = fresh(claimed)
    verdicts.decide_case(case=claimed, by=people["rui"], kind="refuse", **REASON)

    with pytest.raises(CaseEnded, match=r"Rui decided it \(refused\)"):
        verdicts.decide_case(case=page, by=people["rui"], kind="refuse", **REASON)


def test_a_decision_after_the_hold_has_ended_changes_nothing(
    claimed: Any, people: dict[str, Any], kinds_of: Any
) -> None:
    holds.expire_hold(decision_id=claimed.decision_id)

    with pytest.raises(holds.HoldClosed):
        verdicts.decide_case(
            case=claimed, by=people["rui"], kind="edit", answer="too late", **REASON
        )

    after = fresh(claimed)
    assert (after.state, after.ended_at) == (Case.State.CLAIMED, None)
    assert not CaseVerdict.objects.filter(case=claimed).exists()
    assert kinds_of(claimed)[-1] == "review.claimed"
    assert Hold.objects.get(pk=claimed.decision_id).disposition == "safe_default"


def test_a_decision_does_not_depend_on_the_client_being_there(
    claimed: Any, people: dict[str, Any]
) -> None:
    holds.note_delivery(claimed.decision_id, "client_gone")

    verdicts.decide_case(case=claimed, by=people["rui"], kind="refuse", **REASON)

    hold = Hold.objects.get(pk=claimed.decision_id)
    assert (hold.state, hold.delivery) == ("answered", "client_gone")


def test_a_rollback_takes_the_change_and_its_event_back(
    case_of: Callable[..., Any], people: dict[str, Any], kinds_of: Any
) -> None:
    case = case_of()

    with pytest.raises(ZeroDivisionError), transaction.atomic():
        claims.claim_case(case=fresh(case), by=people["rui"])
        raise ZeroDivisionError

    assert fresh(case).state == Case.State.PENDING
    assert kinds_of(case) == ["review.opened"]
