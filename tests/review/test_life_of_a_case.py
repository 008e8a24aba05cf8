"""Reviewers, leads, a clock and a client do anything in any order: no case ends twice or never.

The clock is turned by moving the stored times into the past, so the services run as they are.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models import F
from django.utils import timezone
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from audit.models import Event
from review import rules as table
from review.models import Case, CaseVerdict, Reviewer
from review.services import cases, claims, deadlines, replays, verdicts
from routing.models import Hold
from routing.services import asking_again, holds
from routing.services.asking_again import Reply
from screens.errors import DomainError
from tests.review.conftest import make_hold

REASON = {"reason_code": "test", "reason": "Because the machine said so."}
ENDINGS = {"review.decided", "review.expired", "review.cancelled", "review.superseded"}
TEAM = ("rui", "rosa", "noor", "lena")
STAGES = ["first", "second", "adjudication"]
who = st.sampled_from(TEAM)


class Life(RuleBasedStateMachine):
    people: dict[str, Any]
    held = Bundle("held")

    def __init__(self) -> None:
        super().__init__()
        self.block = transaction.atomic()
        self.block.__enter__()
        self.ends: dict[Any, str] = {}
        self.answers: dict[Any, Any] = {}

    def teardown(self) -> None:
        """However it went, time ends every case."""
        try:
            # Past the classes' own ends too, or a change of class would give time back.
            Case.objects.update(due_at=F("due_at") - timedelta(days=9))
            Hold.objects.update(
                opened_at=F("opened_at") - timedelta(days=9),
                deadline_at=F("deadline_at") - timedelta(days=9),
            )
            deadlines.sweep()
            assert not Case.objects.filter(state__in=table.ALIVE).exists()
            assert not Hold.objects.filter(state=Hold.State.WAITING).exists()
        finally:
            transaction.set_rollback(True)
            self.block.__exit__(None, None, None)

    def try_to(self, act: Any, **given: Any) -> None:
        try:
            with transaction.atomic():
                act(**given)
        except DomainError:
            pass

    @rule(
        target=held,
        due_s=st.integers(30, 3600),
        draft=st.sampled_from([None, "A draft."]),
        data_class=st.sampled_from(["internal", "restricted"]),
    )
    def hold(self, due_s: int, draft: str | None, data_class: str) -> Any:
        hold = make_hold(due_s=due_s, draft=draft, data_class=data_class)
        cases.open_case(decision_id=hold.pk)
        return hold.pk

    @initialize(target=held, draft=st.sampled_from([None, "A draft."]))
    def begin_with_a_risky_case(self, draft: str | None) -> Any:
        return self.hold(due_s=3600, draft=draft, data_class="restricted")

    @initialize(target=held)
    def begin_with_a_plain_case(self) -> Any:
        return self.hold(due_s=3600, draft="A draft.", data_class="internal")

    def case(self, held: Any) -> Any:
        return Case.objects.select_related("hold", "claimed_by").get(hold=held)

    @rule(held=held)
    def announce_again(self, held: Any) -> None:
        cases.open_case(decision_id=held)

    @rule(who=who)
    def take_the_next(self, who: str) -> None:
        self.try_to(claims.claim_next, by=self.people[who])

    @rule(held=held, who=who)
    def claim(self, held: Any, who: str) -> None:
        self.try_to(claims.claim_case, case=self.case(held), by=self.people[who])

    @rule(held=held, who=who)
    def extend(self, held: Any, who: str) -> None:
        self.try_to(claims.extend_lease, case=self.case(held), by=self.people[who])

    @rule(held=held, who=who, reason=st.sampled_from(["", "Needed elsewhere."]))
    def release(self, held: Any, who: str, reason: str) -> None:
        self.try_to(claims.release_case, case=self.case(held), by=self.people[who], reason=reason)

    @rule(held=held, who=who, kind=st.sampled_from(CaseVerdict.Kind.values))
    def decide(self, held: Any, who: str, kind: str) -> None:
        case = self.case(held)
        found = cases.candidates_of(case)
        answers = found.others if kind == "choose" else (found.current,)
        self.try_to(
            verdicts.decide_case,
            case=case,
            by=self.people[who],
            kind=kind,
            answer="Another answer.",
            candidate_id=answers[0].id if answers and answers[0] else None,
            **REASON,
        )

    @rule(held=held, team=st.permutations(TEAM), kind=st.sampled_from(CaseVerdict.Kind.values))
    def one_takes_and_decides(self, held: Any, team: list[str], kind: str) -> None:
        """The way to a second look and a settlement is long for chance alone."""
        for name in team:
            self.claim(held, name)
            if self.case(held).claimed_by == self.people[name]:
                self.decide(held, name, kind)
                return

    @rule(held=held, who=who)
    def escalate(self, held: Any, who: str) -> None:
        self.try_to(claims.escalate_case, case=self.case(held), by=self.people[who], **REASON)

    @rule(held=held, who=who)
    def see(self, held: Any, who: str) -> None:
        self.try_to(claims.beat, case=self.case(held), by=self.people[who])

    @rule(held=held, who=who)
    def have_it_answered_again(self, held: Any, who: str) -> None:
        self.claim(held, who)
        self.try_to(
            replays.request_replay,
            case=self.case(held),
            by=self.people[who],
            backend="private-large",
            **REASON,
        )

    @rule(held=held, text=st.sampled_from([None, "Again."]))
    def a_replay_comes_back(self, held: Any, text: str | None) -> None:
        case = self.case(held)
        reply = Reply(text=text, input_tokens=1, output_tokens=1) if text else None
        replays.end_replay(
            case=case, number=case.replays, reply=reply, problem="", now=timezone.now()
        )

    @rule(held=held)
    def the_client_waits_no_longer(self, held: Any) -> None:
        holds.leave_pending(decision_id=held)

    @rule(held=held)
    def the_client_takes_it_back(self, held: Any) -> None:
        Hold.objects.filter(pk=held, state=Hold.State.WAITING).update(state=Hold.State.CANCELLED)

    @rule(held=held, first=who, second=who)
    def decide_from_two_old_pages(self, held: Any, first: str, second: str) -> None:
        pages = [self.case(held), self.case(held)]
        for page, name in zip(pages, (first, second), strict=True):
            self.try_to(
                verdicts.decide_case, case=page, by=self.people[name], kind="refuse", **REASON
            )

    @rule(held=held)
    def the_router_ends_the_wait(self, held: Any) -> None:
        holds.expire_hold(decision_id=held)

    @rule(held=held)
    def the_client_leaves(self, held: Any) -> None:
        holds.note_delivery(held, "client_gone")

    @rule(seconds=st.sampled_from([1, 60, 601, 1801, 4000]))
    def time_passes(self, seconds: int) -> None:
        past = timedelta(seconds=seconds)
        Case.objects.update(
            opened_at=F("opened_at") - past,
            due_at=F("due_at") - past,
            claimed_at=F("claimed_at") - past,
            lease_expires_at=F("lease_expires_at") - past,
        )

    @rule()
    def sweep(self) -> None:
        deadlines.sweep()

    @invariant()
    def an_end_is_for_good(self) -> None:
        for case in Case.objects.all():
            assert self.ends.get(case.pk, case.state) == case.state
            if case.state in table.ENDS:
                self.ends[case.pk] = case.state

    @invariant()
    def a_client_has_at_most_one_answer_and_it_never_changes(self) -> None:
        for hold in Hold.objects.exclude(state=Hold.State.WAITING):
            answer = (hold.state, hold.disposition, hold.answer_payload)
            assert self.answers.setdefault(hold.pk, answer) == answer

    @invariant()
    def a_decision_and_its_answer_come_together(self) -> None:
        for case in Case.objects.select_related("hold"):
            given = list(case.verdicts.all())
            is_resolved = case.state == Case.State.RESOLVED
            assert len({verdict.by_id for verdict in given}) == len(given)
            assert [verdict.stage for verdict in given] == STAGES[: len(given)]
            assert case.hold is not None
            assert (case.hold.state == Hold.State.ANSWERED) == is_resolved
            if not is_resolved and case.state in table.ALIVE:
                assert len(given) == STAGES.index(case.stage)
            if is_resolved and case.is_high_risk:
                # Risky data never leaves by one person's word.
                assert len(given) >= 2

    @invariant()
    def a_state_is_what_its_columns_say(self) -> None:
        for case in Case.objects.all():
            assert (case.state == Case.State.AWAITING_SECOND) <= (case.stage == "second")
            assert (case.state == Case.State.PENDING) <= (case.stage != "second")
            assert case.level in (table.FIRST_LEVEL, table.LEAD_LEVEL)
            assert case.replays <= table.MOST_REPLAYS
            if case.state in table.WAITING | {table.REPLAYING}:
                assert case.claimed_by_id is None

    @invariant()
    def every_change_has_its_event_and_an_end_has_one(self) -> None:
        for case in Case.objects.all():
            kinds = list(
                Event.objects.filter(object_id=str(case.pk)).values_list("kind", flat=True)
            )
            # The first version is the opening; each later one is a change with its own event.
            # Telling that a case is due changes nothing of it.
            changes = [kind for kind in kinds if kind != "review.case_due"]
            assert len(changes) == case.version
            assert len(ENDINGS & set(kinds)) == int(case.state in table.ENDS)

    @invariant()
    def nobody_holds_more_than_allowed(self) -> None:
        for person in self.people.values():
            held = Case.objects.filter(claimed_by=person, state=Case.State.CLAIMED).count()
            assert held <= table.MOST_CLAIMS


@pytest.mark.slow
@pytest.mark.django_db
def test_no_order_of_acts_ends_a_case_twice_or_never(
    people: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.contrib.auth.models import Group

    from accounts.models import User

    offer = asking_again.Offer(name="private-large", tier="llm", boundary="private", reason="")
    monkeypatch.setattr(asking_again, "check", lambda **_: offer)
    for name, role in (("rosa", "reviewer"), ("lena", "lead_reviewer")):
        people[name] = User.objects.create_user(username=name, full_name=name.title())
        people[name].groups.add(Group.objects.get_or_create(name=role)[0])
    for name in TEAM:
        Reviewer.objects.create(person=people[name], clearance="restricted")
    Life.people = {name: people[name] for name in TEAM}

    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=40,
            stateful_step_count=25,
            phases=(Phase.explicit, Phase.reuse, Phase.generate),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
