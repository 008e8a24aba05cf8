"""Who may take a case, what a second look does, and what a person may have done with an answer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit.models import Event
from review.errors import NotFirst, NotForYou, ReasonMissing, ReviewerChanged
from review.models import Case, CaseVerdict
from review.services import cases, claims, deadlines, replays, reviewers, sealing, verdicts
from review.services.formats import WrongFormat, check_format
from routing.models import Hold
from routing.services import asking_again, holds
from screens.errors import Conflict, Invalid, NotAllowed
from tests.review.conftest import DRAFT

pytestmark = pytest.mark.django_db

REASON = {"reason_code": "unsafe", "reason": "It promises what nobody may promise."}


@pytest.fixture
def team(people: dict[str, Any]) -> dict[str, Any]:
    """Two reviewers and two leads, all cleared for restricted data."""
    from django.contrib.auth.models import Group

    from accounts.models import User

    for name, role in (("rosa", "reviewer"), ("lena", "lead_reviewer")):
        people[name] = User.objects.create_user(username=name, full_name=name.title())
        people[name].groups.add(Group.objects.get_or_create(name=role)[0])
    for name in ("rui", "rosa", "lena", "noor"):
        reviewers.change_reviewer(
            person=people[name],
            queues=[],
            clearance="restricted",
            version=0,
            by=people["sam"],
            reason="Trained for it.",
        )
    return people


@pytest.fixture
def restricted(case_of: Callable[..., Any]) -> Any:
    return case_of(data_class="restricted")


def fresh(case: Any) -> Any:
    return cases.get_case(case.pk)


def take(case: Any, by: Any) -> Any:
    return claims.claim_case(case=fresh(case), by=by)


def decide(case: Any, by: Any, kind: str, **given: Any) -> Any:
    """Claim and decide, with the text that an approval must name."""
    held = take(case, by)
    if kind in {"approve"}:
        current = cases.candidates_of(held).current
        given["candidate_id"] = current.id if current else None
    else:
        given = {**REASON, **given}
    return verdicts.decide_case(case=held, by=by, kind=kind, **given)


def details_of(case: Any, kind: str) -> dict[str, Any]:
    event = Event.objects.filter(object_id=str(case.pk), kind=kind).latest("at")
    return dict(event.entry["details"])


# Who may take which case


def test_restricted_data_needs_a_clearance_that_somebody_gave(
    restricted: Any, people: dict[str, Any]
) -> None:
    assert claims.claim_next(by=people["rui"]) is None
    with pytest.raises(NotForYou) as refused:
        take(restricted, people["noor"])

    assert refused.value.code == "not_for_you_clearance"


def test_a_reviewer_gets_cases_of_their_queues_only(
    case_of: Callable[..., Any], people: dict[str, Any]
) -> None:
    legal, support = case_of(queue="legal", due_s=100), case_of(queue="support", due_s=900)
    reviewers.change_reviewer(
        person=people["rui"], queues=["support"], clearance="internal", version=0,
        by=people["noor"], reason="New on the team.",
    )  # fmt: skip
    reviewers.change_reviewer(
        person=people["rui"], queues=["support"], clearance="confidential", version=1,
        by=people["noor"], reason="Knows the ropes.",
    )  # fmt: skip

    assert claims.claim_next(by=people["rui"]) == support
    with pytest.raises(NotForYou, match="queue"):
        take(legal, people["rui"])


def test_a_change_of_a_reviewer_is_recorded_with_before_and_after(team: dict[str, Any]) -> None:
    event = Event.objects.filter(kind="reviewer.changed", object_id="rosa").latest("at")

    assert event.entry["details"]["before"]["clearance"] == "confidential"
    assert event.entry["details"]["after"]["clearance"] == "restricted"


def test_nobody_clears_themselves_and_old_pages_change_nothing(people: dict[str, Any]) -> None:
    given = {"queues": [], "clearance": "restricted", "reason": "Because."}

    with pytest.raises(NotAllowed, match="of themselves"):
        reviewers.change_reviewer(
            person=people["noor"], by=people["noor"], version=0, **given
        )  # fmt: skip
    with pytest.raises(NotAllowed):
        reviewers.change_reviewer(person=people["noor"], by=people["rui"], version=0, **given)
    with pytest.raises(ReviewerChanged):
        reviewers.change_reviewer(person=people["rui"], by=people["noor"], version=4, **given)


@pytest.mark.parametrize("owner", ["rui", "Rui", "RUI"])
def test_nobody_decides_a_request_of_their_own_application(
    owner: str, hold: Callable[..., Any], people: dict[str, Any]
) -> None:
    from accounts.models import ApiKey

    ApiKey.objects.create(public_id="k-own", secret_sha256=b"0" * 32, name="own", owner=owner)
    case = cases.open_case(decision_id=hold(client_id="k-own").pk)

    assert claims.claim_next(by=people["rui"]) is None
    with pytest.raises(NotForYou, match="answer for the application"):
        take(case, people["rui"])
    assert claims.claim_next(by=people["noor"]) == case


def test_only_leads_choose_among_the_cases_that_wait(
    case_of: Callable[..., Any], people: dict[str, Any]
) -> None:
    first, second = case_of(due_s=100), case_of(due_s=900)

    with pytest.raises(NotFirst):
        take(second, people["rui"])
    assert take(second, people["noor"]).claimed_by == people["noor"]
    assert take(first, people["rui"]).claimed_by == people["rui"]


def test_a_raised_case_is_for_leads_and_keeps_its_deadline(
    case_of: Callable[..., Any], people: dict[str, Any], kinds_of: Any
) -> None:
    case = take(case_of(), people["rui"])
    with pytest.raises(ReasonMissing):
        claims.escalate_case(case=case, by=people["rui"], reason_code="", reason="Hm.")

    raised = claims.escalate_case(case=case, by=people["rui"], **REASON)

    assert (raised.level, raised.state, raised.claimed_by) == (2, "pending", None)
    assert raised.due_at == raised.hold.deadline_at
    assert claims.claim_next(by=people["rui"]) is None
    lead = claims.claim_next(by=people["noor"])
    with pytest.raises(Conflict, match="lead reviewers already"):
        claims.escalate_case(case=lead, by=people["noor"], **REASON)
    assert "review.escalated" in kinds_of(case)


def test_a_sign_of_life_changes_neither_lease_nor_version(
    case_of: Callable[..., Any], people: dict[str, Any], kinds_of: Any
) -> None:
    case = take(case_of(), people["rui"])
    later = timezone.now() + timedelta(minutes=5)

    seen = claims.beat(case=fresh(case), by=people["rui"], now=later)

    assert seen.heartbeat_at == later
    assert (seen.lease_expires_at, seen.version) == (case.lease_expires_at, case.version)
    assert kinds_of(case) == ["review.opened", "review.claimed"]


def test_a_lead_takes_a_case_out_whose_policy_is_gone_and_its_client_is_answered(
    case_of: Callable[..., Any], people: dict[str, Any], kinds_of: Any
) -> None:
    case = take(case_of(on_timeout="refuse"), people["rui"])
    given = {"case": case, "reason": "The policy was rolled back."}
    with pytest.raises(NotAllowed):
        claims.supersede_case(by=people["rui"], **given)

    claims.supersede_case(by=people["noor"], **given)

    assert fresh(case).state == "superseded"
    assert Hold.objects.get(pk=case.decision_id).disposition == "refuse"
    assert kinds_of(case)[-1] == "review.superseded"


# Priority and deadlines


def test_a_restricted_case_that_nobody_waits_for_is_due_in_half_an_hour_and_refused(
    hold: Callable[..., Any], kinds_of: Any
) -> None:
    held = hold(data_class="restricted", due_s=4 * 3600, on_timeout="pending", opened_ago_s=0)
    case = cases.open_case(decision_id=held.pk)
    holds.leave_pending(decision_id=held.pk)

    moved = deadlines.sweep()
    deadlines.sweep(now=timezone.now() + timedelta(minutes=31))

    after = fresh(case)
    assert moved["reprioritised"] == 1
    assert (after.priority, after.state) == (Case.Priority.HIGH, "expired")
    assert after.due_at - after.opened_at == timedelta(minutes=30)
    assert Hold.objects.get(pk=held.pk).disposition == "refuse"
    assert kinds_of(case) == ["review.opened", "review.reprioritised", "review.expired"]


def test_a_normal_case_ends_with_the_safe_default_after_four_hours(
    hold: Callable[..., Any],
) -> None:
    held = hold(due_s=9 * 3600, on_timeout="pending", opened_ago_s=0)
    holds.leave_pending(decision_id=held.pk)
    case = cases.open_case(decision_id=held.pk)
    assert case is not None and case.priority == Case.Priority.NORMAL

    deadlines.sweep(now=timezone.now() + timedelta(hours=4, seconds=5))

    assert fresh(case).state == "expired"
    assert Hold.objects.get(pk=held.pk).disposition == "safe_default"


# Four eyes


def test_the_client_is_answered_once_and_after_the_second(
    restricted: Any, team: dict[str, Any], kinds_of: Any
) -> None:
    first = decide(restricted, team["rui"], "approve")

    assert (first.state, first.stage) == ("awaiting_second", "second")
    assert holds.answer_of(restricted.decision_id) is None

    decided = decide(restricted, team["rosa"], "approve")

    answer = holds.answer_of(restricted.decision_id)
    assert answer is not None and answer.text == DRAFT
    assert decided.state == "resolved"
    assert decided.ending == "Rui and Rosa decided it (approved)."
    assert kinds_of(restricted)[-3:] == [
        "review.first_decided", "review.claimed", "review.decided",
    ]  # fmt: skip


def test_the_second_look_is_never_the_same_persons(restricted: Any, team: dict[str, Any]) -> None:
    decide(restricted, team["lena"], "approve")

    assert claims.claim_next(by=team["lena"]) is None
    with pytest.raises(NotForYou, match="already decided"):
        take(restricted, team["lena"])


def test_the_trail_keeps_the_first_verdict_sealed_until_it_is_told(
    restricted: Any, team: dict[str, Any]
) -> None:
    decide(restricted, team["rui"], "refuse")
    sealed = Event.objects.get(kind="review.first_decided", object_id=str(restricted.pk))
    assert b"refuse" not in bytes(sealed.body) and b"promises" not in bytes(sealed.body)

    decide(restricted, team["rosa"], "refuse")

    told = details_of(restricted, "review.decided")["first"]
    assert (told["verdict"], told["by"]) == ("refuse", "Rui")
    assert sealing.digest_of(told) == sealed.entry["details"]["verdict_digest"]


def test_the_second_reads_what_the_first_would_release_and_nothing_else(
    restricted: Any, team: dict[str, Any]
) -> None:
    edited = DRAFT.replace("31 March", "30 April")
    decide(restricted, team["rui"], "edit", answer=edited)

    texts = cases.reveal_payloads(case=take(restricted, team["rosa"]), by=team["rosa"])

    assert texts["candidate"] == edited
    assert texts["others"] == []
    assert DRAFT not in str(texts) and "promises" not in str(texts)


def test_two_who_differ_are_settled_by_a_third_who_leads(
    restricted: Any, team: dict[str, Any], kinds_of: Any
) -> None:
    decide(restricted, team["rui"], "approve")
    differed = decide(restricted, team["rosa"], "refuse")

    assert (differed.state, differed.stage, differed.level) == ("pending", "adjudication", 2)
    assert holds.answer_of(restricted.decision_id) is None

    settled = decide(restricted, team["lena"], "safe_default")

    assert settled.state == "resolved"
    assert settled.ending == "Lena decided it (safe default)."
    assert Hold.objects.get(pk=restricted.decision_id).disposition == "safe_default"
    assert kinds_of(restricted).count("review.decided") == 1


def test_an_adjudicator_may_choose_what_a_reviewer_wrote(
    restricted: Any, team: dict[str, Any]
) -> None:
    edited = DRAFT.replace("31 March", "30 April")
    decide(restricted, team["rui"], "edit", answer=edited)
    decide(restricted, team["rosa"], "refuse")
    held = take(restricted, team["lena"])
    (written,) = cases.candidates_of(held).others

    verdicts.decide_case(
        case=held, by=team["lena"], kind="choose", candidate_id=written.id, **REASON
    )

    answer = holds.answer_of(restricted.decision_id)
    assert answer is not None and answer.text == edited


def test_a_second_who_gives_the_case_back_leaves_it_to_another_second(
    restricted: Any, team: dict[str, Any]
) -> None:
    decide(restricted, team["rui"], "approve")

    back = claims.release_case(case=take(restricted, team["rosa"]), by=team["rosa"])

    assert (back.state, back.stage) == ("awaiting_second", "second")


def test_a_case_without_a_second_ends_by_time_and_tells_the_first_verdict(
    restricted: Any, team: dict[str, Any]
) -> None:
    decide(restricted, team["rui"], "approve")

    deadlines.sweep(now=timezone.now() + timedelta(hours=2))

    assert fresh(restricted).state == "expired"
    assert Hold.objects.get(pk=restricted.decision_id).disposition == "safe_default"
    assert details_of(restricted, "review.expired")["first"]["verdict"] == "approve"


def test_an_edit_of_more_than_three_tenths_needs_a_second_look(
    case_of: Callable[..., Any], people: dict[str, Any]
) -> None:
    case = case_of()

    after = decide(case, people["rui"], "edit", answer="Please write us a letter.")

    assert after.state == "awaiting_second"
    assert details_of(case, "review.first_decided")["why_second"] == "edited"


# Decisions


SCHEMA = (
    '{"messages": [], "response_format": {"type": "json_schema", "json_schema": {"name": "x",'
    ' "schema": {"type": "object", "required": ["days"],'
    ' "properties": {"days": {"type": "integer"}}}}}}'
)


@pytest.mark.parametrize(
    ("request_text", "answer"),
    [
        (SCHEMA, "three days"),
        (SCHEMA, '{"days": "3"}'),
        (SCHEMA, "{}"),
        (SCHEMA, '{"days": NaN}'),
        ('{"response_format": {"type": "json_object"}}', "[1]"),
        ('{"text": {"format": {"type": "json_schema", "schema": {"type": "array"}}}}', "{}"),
        (
            '{"response_format": {"type": "json_schema", "json_schema": {"schema":'
            ' {"$ref": "http://127.0.0.1:1/schema"}}}}',
            "{}",
        ),
    ],
)
def test_an_answer_that_lost_the_form_asked_for_is_refused(request_text: str, answer: str) -> None:
    with pytest.raises(WrongFormat):
        check_format(request=request_text, answer=answer)


@pytest.mark.parametrize(
    ("request_text", "answer"), [(SCHEMA, '{"days": 3}'), ('{"messages": []}', "as you like")]
)
def test_an_answer_of_the_form_asked_for_passes(request_text: str, answer: str) -> None:
    check_format(request=request_text, answer=answer)


def test_flags_are_kept_with_the_verdict_and_unknown_ones_refused(
    case_of: Callable[..., Any], people: dict[str, Any]
) -> None:
    case = case_of()
    with pytest.raises(Invalid):
        decide(case, people["rui"], "refuse", flags=["made_up"])

    decide(case, people["rui"], "refuse", flags=["rule_wrong", "add_to_eval_set"])

    assert CaseVerdict.objects.get(case=case).flags == ["add_to_eval_set", "rule_wrong"]
    assert details_of(case, "review.decided")["flags"] == ["add_to_eval_set", "rule_wrong"]


# Replays: what the engine and the wire do is in tests/routing; here the case around them


@pytest.fixture
def allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    offer = asking_again.Offer(name="private-large", tier="llm", boundary="private", reason="")
    monkeypatch.setattr(asking_again, "check", lambda **_: offer)


def replayed(case: Any, by: Any, monkeypatch: pytest.MonkeyPatch, text: str | None) -> Any:
    def ask(**_: Any) -> asking_again.Reply:
        if text is None:
            raise asking_again.NoAnswer("The backend did not answer.")
        return asking_again.Reply(text=text, input_tokens=9, output_tokens=4)

    monkeypatch.setattr(asking_again, "ask", ask)
    held = take(case, by)
    candidate = replays.request_replay(case=held, by=by, backend="private-large", **REASON)
    assert fresh(case).state == "replaying"
    assert replays.make_candidate(candidate_id=candidate.pk)
    assert not replays.make_candidate(candidate_id=candidate.pk)
    return fresh(case)


def test_a_replay_brings_the_case_back_with_a_new_answer_and_keeps_the_old(
    case_of: Callable[..., Any],
    people: dict[str, Any],
    allowed: None,
    monkeypatch: pytest.MonkeyPatch,
    kinds_of: Any,
) -> None:
    case = case_of()

    back = replayed(case, people["rui"], monkeypatch, "A better answer.")

    assert (back.state, back.replays) == ("pending", 1)
    found = cases.candidates_of(back)
    assert found.current is not None and found.current.text == "A better answer."
    held = take(case, people["rui"])
    verdicts.decide_case(
        case=held, by=people["rui"], kind="choose", candidate_id=found.others[0].id, **REASON
    )
    answer = holds.answer_of(case.decision_id)
    assert answer is not None and answer.text == DRAFT
    assert kinds_of(case)[2:4] == ["review.replay_requested", "review.replayed"]


def test_a_replay_in_vain_says_why_and_three_are_the_most(
    case_of: Callable[..., Any],
    people: dict[str, Any],
    allowed: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    case = case_of()
    for _ in range(3):
        replayed(case, people["rui"], monkeypatch, None)

    assert case.candidates.last().problem == "The backend did not answer."
    with pytest.raises(Conflict, match="3 times"):
        replays.request_replay(
            case=take(case, people["rui"]), by=people["rui"], backend="private-large", **REASON
        )


def test_a_replay_that_never_came_back_ends_by_itself(
    case_of: Callable[..., Any], people: dict[str, Any], allowed: None
) -> None:
    case = take(case_of(), people["rui"])
    replays.request_replay(case=case, by=people["rui"], backend="private-large", **REASON)

    done = deadlines.sweep(now=timezone.now() + timedelta(minutes=4))

    assert done["replays_lost"] == 1
    assert fresh(case).state == "pending"


def test_a_decision_that_the_trail_does_not_hold_is_not_asked_again(
    case_of: Callable[..., Any], people: dict[str, Any]
) -> None:
    case = take(case_of(), people["rui"])

    with pytest.raises(Invalid, match="not in the trail"):
        replays.request_replay(case=case, by=people["rui"], backend="private-large", **REASON)

    assert fresh(case).state == "claimed"
