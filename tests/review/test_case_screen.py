"""One case on the screen: per role, without scripts, and when somebody or time was first."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from audit.models import Event
from review.models import Case, CaseVerdict
from review.queries.messages import messages_of
from review.services import cases, claims, verdicts
from routing.services import holds
from tests.review.conftest import DRAFT, PROMPT

pytestmark = pytest.mark.django_db

REASON = {"reason_code": "off_policy", "reason": "Contracts end by letter only."}


@pytest.fixture
def as_(people: dict[str, Any]) -> Callable[[str], Client]:
    def signed_in(name: str) -> Client:
        client = Client()
        client.force_login(people[name])
        return client

    return signed_in


@pytest.fixture
def mine(case_of: Callable[..., Any], people: dict[str, Any]) -> Any:
    return claims.claim_case(case=case_of(made=True), by=people["rui"])


def url(name: str, case: Any, query: str = "") -> str:
    return reverse(name, args=[case.pk]) + query


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", answer.content.decode())


def test_the_reason_comes_first_then_what_happens_at_zero_then_the_trace(
    as_: Any, case_of: Any
) -> None:
    page = text_of(as_("ada").get(case_of(made=True).get_absolute_url()))

    order = [
        page.index(words)
        for words in (
            "Rule “Contracts wait for a person” matched: topic is legal.",
            "At zero the client gets the safe default.",
            "data class is restricted; here confidential",
            "matched: hold",
            "not reached",
        )
    ]
    assert order == sorted(order)
    assert "has no sign-off for confidential data" in page


@pytest.mark.parametrize(
    ("on_timeout", "words"),
    [("refuse", "At zero the request is refused."), ("pending", "told to ask again")],
)
def test_the_case_says_what_its_rule_does_at_zero(
    on_timeout: str, words: str, as_: Any, case_of: Any
) -> None:
    assert words in text_of(as_("ada").get(case_of(on_timeout=on_timeout).get_absolute_url()))


def test_a_case_without_its_decision_in_the_trail_still_shows(as_: Any, case_of: Any) -> None:
    answer = as_("rui").get(case_of(made=False).get_absolute_url())

    assert answer.status_code == 200
    assert "not in the trail" in text_of(answer)


def test_an_unknown_case_is_not_found(as_: Any) -> None:
    url = reverse("case", args=["11111111-1111-4111-8111-111111111111"])

    assert as_("rui").get(url).status_code == 404


@pytest.mark.parametrize("name", ["claim", "release", "extend", "reveal", "decide"])
@pytest.mark.parametrize("who", ["ada", "arjun", "olivia", "sam", "nobody"])
def test_who_may_not_decide_may_not_act(name: str, who: str, as_: Any, mine: Any) -> None:
    answer = as_(who).post(url(f"{name}-case", mine), {"kind": "refuse", **REASON})

    assert answer.status_code == 403
    assert cases.get_case(mine.pk).version == mine.version


@pytest.mark.parametrize("name", ["claim", "release", "extend", "reveal", "decide"])
def test_acts_are_posts(name: str, as_: Any, mine: Any) -> None:
    assert as_("rui").get(url(f"{name}-case", mine)).status_code == 405


def test_claiming_leads_back_to_the_screen_it_came_from(as_: Any, case_of: Any) -> None:
    one, two = case_of(), case_of()

    beside = as_("rui").post(url("claim-case", one, "?on=queue&tab=unclaimed"))
    alone = as_("rui").post(url("claim-case", two, "?on=case"))

    assert (beside.status_code, alone.status_code) == (303, 303)
    assert beside.headers["Location"] == f"/review/?tab=unclaimed&case={one.pk}"
    assert alone.headers["Location"] == two.get_absolute_url()


def test_a_lost_race_says_who_has_the_case(as_: Any, mine: Any) -> None:
    answer = as_("noor").post(url("claim-case", mine, "?on=case"))

    assert answer.status_code == 409
    assert "Rui has this case." in text_of(answer)


def test_the_text_is_shown_to_the_holder_as_text_and_recorded(
    as_: Any, case_of: Any, people: Any
) -> None:
    nasty = "<script>alert(1)</script> **bold**"
    case = claims.claim_case(case=case_of(prompt=nasty, draft=nasty), by=people["rui"])

    answer = as_("rui").post(url("reveal-case", case))

    page = answer.content.decode()
    assert answer.status_code == 200
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt; **bold**") >= 2
    assert "<script>alert" not in page
    assert answer.headers["Cache-Control"] == "no-store"
    assert Event.objects.filter(kind="review.revealed", object_id=str(case.pk)).count() == 1


def test_nobody_but_the_holder_is_shown_the_text(as_: Any, mine: Any) -> None:
    answer = as_("noor").post(url("reveal-case", mine))

    assert answer.status_code == 409
    assert PROMPT not in text_of(answer)
    assert not Event.objects.filter(kind="review.revealed").exists()


def test_the_text_is_not_shown_to_who_just_loads_the_page(as_: Any, mine: Any) -> None:
    as_("rui").post(url("reveal-case", mine))

    page = text_of(as_("rui").get(mine.get_absolute_url()))

    assert PROMPT not in page
    assert "only what was read can be released" in page


def test_no_decision_is_chosen_beforehand_and_none_is_larger(as_: Any, mine: Any) -> None:
    page = text_of(as_("rui").post(url("reveal-case", mine)))
    choices = page.split('class="choices no-print"')[1].split("How it was decided")[0]

    assert choices.count('<details name="verdict">') == 5
    assert '<details name="verdict" open' not in choices
    assert "primary" not in choices
    assert "autofocus" not in choices


def test_enter_in_a_field_sends_nothing(as_: Any, mine: Any) -> None:
    page = text_of(as_("rui").post(url("reveal-case", mine)))
    choices = page.split('class="choices no-print"')[1].split("How it was decided")[0]

    kinds = set(re.findall(r'<input type="(\w+)"', choices))
    assert kinds == {"hidden"}


def approve(client: Client, case: Any, query: str = "") -> Any:
    shown = client.post(url("reveal-case", case)).content.decode()
    found = re.search(r'name="candidate_id" value="([0-9a-f-]+)"', shown)
    assert found is not None
    return client.post(
        url("decide-case", case, query),
        {"kind": "approve", "candidate_id": found.group(1), "was_shown": "1"},
    )


def test_an_approval_goes_on_to_the_next_case_without_claiming_it(
    as_: Any, mine: Any, case_of: Any
) -> None:
    following = case_of(due_s=2000)

    answer = approve(as_("rui"), mine)

    assert answer.status_code == 303
    assert answer.headers["Location"] == f"/review/?case={following.pk}"
    assert cases.get_case(following.pk).state == Case.State.PENDING
    given = holds.answer_of(mine.decision_id)
    assert given is not None
    assert given.text == DRAFT


def test_after_the_last_case_the_queue_says_that_nothing_waits(as_: Any, mine: Any) -> None:
    client = as_("rui")

    approve(client, mine)

    assert "Nothing else waits." in text_of(client.get(reverse("review-queue")))


def test_an_approval_without_having_read_is_refused(as_: Any, mine: Any) -> None:
    answer = as_("rui").post(url("decide-case", mine), {"kind": "approve"})

    assert answer.status_code == 409
    assert "not the one you have read" in text_of(answer)
    assert cases.get_case(mine.pk).state == Case.State.CLAIMED


@pytest.mark.parametrize("kind", ["edit", "safe_default", "refuse"])
def test_a_missing_reason_is_asked_for_beside_its_field_and_nothing_typed_is_lost(
    kind: str, as_: Any, mine: Any
) -> None:
    sent = {"kind": kind, "answer": "My own words.", "reason": "", "was_shown": "1"}

    answer = as_("rui").post(url("decide-case", mine), sent)

    page = text_of(answer)
    assert answer.status_code == 422
    assert "Say why; it is kept in the audit trail." in page
    assert "Choose a reason code." in page
    assert f'<details name="verdict" open> <summary data-key="{kind[0]}"' in page
    assert ("My own words." in page) == (kind == "edit")
    assert not CaseVerdict.objects.exists()


def test_an_edit_can_be_compared_before_it_is_sent(as_: Any, mine: Any) -> None:
    edited = DRAFT.replace("31 March", "30 April")

    answer = as_("rui").post(
        url("decide-case", mine),
        {"kind": "edit", "answer": edited, "compare": "1", "was_shown": "1"},
    )

    page = text_of(answer)
    assert answer.status_code == 200
    assert "<del>31 March. </del><ins>30 April. </ins>" in page
    assert "Choose a reason code." not in page
    assert cases.get_case(mine.pk).state == Case.State.CLAIMED


@pytest.mark.parametrize("kind", ["", "maybe", "approve\x00"])
def test_an_unknown_decision_is_refused(kind: str, as_: Any, mine: Any) -> None:
    assert as_("rui").post(url("decide-case", mine), {"kind": kind}).status_code == 422


def test_a_decision_that_comes_second_is_told_who_was_first(
    as_: Any, mine: Any, people: Any
) -> None:
    verdicts.decide_case(case=mine, by=people["rui"], kind="safe_default", **REASON)

    answer = as_("noor").post(url("decide-case", mine), {"kind": "refuse", **REASON})

    assert answer.status_code == 409
    assert "Rui decided it (safe default)." in text_of(answer)


def test_a_decision_that_comes_too_late_changes_nothing_and_says_so(as_: Any, mine: Any) -> None:
    holds.expire_hold(decision_id=mine.decision_id)

    answer = as_("rui").post(url("decide-case", mine), {"kind": "refuse", **REASON})

    assert answer.status_code == 409
    assert "its time has passed" in text_of(answer)
    assert not CaseVerdict.objects.exists()


def test_an_ended_case_shows_by_whom_how_when_and_what_was_delivered(
    as_: Any, mine: Any, people: Any
) -> None:
    verdicts.decide_case(case=mine, by=people["rui"], kind="refuse", **REASON)
    holds.note_delivery(mine.decision_id, "client_gone")

    page = text_of(as_("ada").get(mine.get_absolute_url()))

    assert "Rui decided it (refused)." in page
    assert "Refused: off policy" in page
    assert REASON["reason"] in page
    assert "Client gone" in page
    assert 'data-key="c"' not in page


def test_giving_back_and_extending_work_without_a_script(as_: Any, mine: Any) -> None:
    Case.objects.filter(pk=mine.pk).update(lease_expires_at=timezone.now() + timedelta(minutes=1))

    extended = as_("rui").post(url("extend-case", mine, "?on=case"))
    given_back = as_("rui").post(url("release-case", mine, "?on=case"))

    assert (extended.status_code, given_back.status_code) == (303, 303)
    assert cases.get_case(mine.pk).state == Case.State.PENDING


def test_a_holder_is_warned_before_the_claim_ends(as_: Any, mine: Any) -> None:
    before = text_of(as_("rui").get(mine.get_absolute_url()))
    Case.objects.filter(pk=mine.pk).update(lease_expires_at=timezone.now() + timedelta(minutes=1))

    after = text_of(as_("rui").get(mine.get_absolute_url()))

    assert "Your claim ends soon" not in before
    assert "Your claim ends soon" in after


def test_a_lead_returns_the_case_of_another_with_a_reason(as_: Any, mine: Any) -> None:
    without = as_("noor").post(url("release-case", mine, "?on=case"))
    with_reason = as_("noor").post(url("release-case", mine, "?on=case"), {"reason": "Rui is ill."})

    assert (without.status_code, with_reason.status_code) == (422, 303)
    assert cases.get_case(mine.pk).state == Case.State.PENDING


def test_the_clock_of_a_case_refreshes_by_itself(as_: Any, mine: Any) -> None:
    answer = as_("rui").get(mine.get_absolute_url(), headers={"HX-Request": "true"})

    fragment = text_of(answer)
    assert "<html" not in fragment
    assert fragment.strip().startswith('<div id="case-clock"')


@pytest.mark.parametrize(
    ("stored", "turns"),
    [
        ("no json", [("request", "no json")]),
        ('{"messages": [{"role": "user", "content": "hi"}]}', [("user", "hi")]),
        (
            '{"messages": [{"role": "user", "content": [{"type": "text", "text": "a"},'
            ' {"type": "image_url", "image_url": {}}]}]}',
            [("user", "a\n[image_url]")],
        ),
        ('{"messages": [{"role": "assistant", "content": null}]}', [("assistant", "")]),
        ('{"input": "x"}', [("request", '{"input": "x"}')]),
    ],
)
def test_a_request_is_read_as_turns_of_text(stored: str, turns: list[tuple[str, str]]) -> None:
    assert [(message.role, message.text) for message in messages_of(stored)] == turns
