"""The queue as people see it: who, in which order, with which counts, with and without scripts."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from review.models import Case
from review.queries import cases as queries
from review.services import cases, claims, verdicts
from tests.review.conftest import DRAFT, PROMPT

pytestmark = pytest.mark.django_db

FRAGMENT = {"HX-Request": "true"}


@pytest.fixture
def as_(people: dict[str, Any]) -> Callable[[str], Client]:
    def signed_in(name: str) -> Client:
        client = Client()
        client.force_login(people[name])
        return client

    return signed_in


def text_of(answer: Any) -> str:
    return re.sub(r"\s+", " ", answer.content.decode())


def order_of(page: str) -> list[str]:
    return re.findall(r'id="row-([0-9a-f-]{36})"', page)


@pytest.mark.parametrize("who", ["rui", "noor", "ada"])
def test_reviewers_and_auditors_see_the_queue(who: str, as_: Any) -> None:
    assert as_(who).get(reverse("review-queue")).status_code == 200


@pytest.mark.parametrize("who", ["olivia", "arjun", "petra", "sam", "nobody"])
def test_others_do_not_see_the_queue(who: str, as_: Any) -> None:
    assert as_(who).get(reverse("review-queue")).status_code == 403


def test_a_visitor_is_asked_to_sign_in(client: Client) -> None:
    answer = client.get(reverse("review-queue"))

    assert answer.status_code == 302
    assert "login" in answer.headers["Location"]


def test_an_empty_queue_says_what_brings_cases(as_: Any) -> None:
    assert "No case waits" in text_of(as_("rui").get(reverse("review-queue")))


def test_the_list_has_the_order_in_which_cases_are_given_out(as_: Any, case_of: Any) -> None:
    later, sooner, sample = case_of(due_s=900), case_of(due_s=300), case_of(due_s=60)
    Case.objects.filter(pk=sample.pk).update(priority=Case.Priority.SAMPLE)

    page = text_of(as_("rui").get(reverse("review-queue")))

    assert order_of(page) == [str(sooner.pk), str(later.pk), str(sample.pk)]


def test_a_line_says_why_and_where_to_and_who(as_: Any, case_of: Any, people: Any) -> None:
    claims.claim_case(case=case_of(made=True), by=people["noor"])

    page = text_of(as_("rui").get(reverse("review-queue")))

    assert "Contracts wait for a person</a>" in page
    assert "private-large" in page
    assert "confidential" in page
    assert ">Noor</td>" in page


def test_no_text_of_a_request_is_in_the_queue_or_the_case(as_: Any, case_of: Any) -> None:
    case = case_of(made=True)

    pages = [
        text_of(as_("noor").get(url))
        for url in (f"{reverse('review-queue')}?case={case.pk}", case.get_absolute_url())
    ]

    assert not any(PROMPT in page or DRAFT in page for page in pages)


def test_tabs_and_their_counts(as_: Any, case_of: Any, people: Any) -> None:
    mine, other, free = case_of(), case_of(), case_of()
    claims.claim_case(case=mine, by=people["rui"])
    claims.claim_case(case=other, by=people["noor"])
    ended = claims.claim_case(case=case_of(), by=people["noor"])
    verdicts.decide_case(
        case=ended, by=people["noor"], kind="refuse", reason_code="test", reason="x"
    )

    rui = as_("rui")
    listed = {
        tab: set(order_of(text_of(rui.get(reverse("review-queue"), {"tab": tab}))))
        for tab in queries.TABS
    }

    assert listed == {
        "mine": {str(mine.pk)},
        "unclaimed": {str(free.pk)},
        "all": {str(mine.pk), str(other.pk), str(free.pk)},
        "done": {str(ended.pk)},
    }
    numbers = queries.numbers(person=people["rui"], now=timezone.now())
    assert (numbers.mine, numbers.unclaimed, numbers.all, numbers.done) == (1, 1, 3, 1)


def test_filters_live_in_the_address_and_can_be_taken_off(as_: Any, case_of: Any) -> None:
    urgent, calm = case_of(due_s=60), case_of(due_s=7200, data_class="restricted")

    due = text_of(as_("rui").get(reverse("review-queue"), {"due": "soon"}))
    classed = text_of(as_("rui").get(reverse("review-queue"), {"class": "restricted"}))

    assert order_of(due) == [str(urgent.pk)]
    assert order_of(classed) == [str(calm.pk)]
    assert "remove this filter" in due


@pytest.mark.parametrize(
    "query", [{"tab": "everything"}, {"case": "no-id"}, {"page": "-3"}, {"class": "\x00"}]
)
def test_an_address_that_makes_no_sense_still_shows_the_queue(query: Any, as_: Any) -> None:
    assert as_("rui").get(reverse("review-queue"), query).status_code == 200


def test_a_chosen_case_that_is_not_there_is_not_found(as_: Any) -> None:
    answer = as_("rui").get(
        reverse("review-queue"), {"case": "11111111-1111-4111-8111-111111111111"}
    )

    assert answer.status_code == 404


def test_a_refresh_brings_the_list_the_numbers_and_the_clock_only(as_: Any, case_of: Any) -> None:
    case = case_of()

    answer = as_("rui").get(reverse("review-queue"), {"case": str(case.pk)}, headers=FRAGMENT)
    fragment = text_of(answer)

    assert "<html" not in fragment
    assert 'id="cases"' in fragment
    assert 'id="queue-stats" hx-swap-oob="true"' in re.sub(r' class="[^"]*"', "", fragment)
    assert 'id="case-clock"' in fragment
    assert 'name="reason"' not in fragment
    assert "HX-Request" in answer.headers["Vary"]


def test_a_refresh_tells_a_reader_that_the_case_has_changed(
    as_: Any, case_of: Any, people: Any
) -> None:
    case = case_of()
    seen = queries.case_view(cases.get_case(case.pk), person=people["rui"], now=timezone.now()).seen
    query = {"case": str(case.pk), "seen": seen}
    before = text_of(as_("rui").get(reverse("review-queue"), query, headers=FRAGMENT))

    held = claims.claim_case(case=case, by=people["noor"])
    verdicts.decide_case(
        case=held, by=people["noor"], kind="refuse", reason_code="test", reason="x"
    )
    after = text_of(as_("rui").get(reverse("review-queue"), query, headers=FRAGMENT))

    assert "This case has" not in before
    assert "This case has ended: Noor decided it (refused)." in after


def test_next_case_claims_the_most_urgent_without_a_script(
    as_: Any, case_of: Any, people: Any
) -> None:
    case_of(due_s=900)
    urgent = case_of(due_s=100)

    answer = as_("rui").post(reverse("claim-next"))

    assert answer.status_code == 303
    assert f"case={urgent.pk}" in answer.headers["Location"]
    assert cases.get_case(urgent.pk).claimed_by == people["rui"]


def test_next_case_says_so_when_nothing_waits(as_: Any) -> None:
    answer = as_("rui").post(reverse("claim-next"), follow=True)

    assert "No case waits for you." in text_of(answer)


def test_who_holds_enough_cases_is_told_so_on_the_queue(
    as_: Any, case_of: Any, people: Any
) -> None:
    for _ in range(4):
        case_of()
    for _ in range(3):
        claims.claim_next(by=people["rui"])

    answer = as_("rui").post(reverse("claim-next"))

    assert answer.status_code == 403
    assert "You hold as many cases as one person may." in text_of(answer)
    assert 'id="cases"' in text_of(answer)


def test_an_auditor_gets_no_buttons_and_no_tab_of_their_own(as_: Any, case_of: Any) -> None:
    case = case_of(made=True)

    page = text_of(as_("ada").get(reverse("review-queue"), {"case": str(case.pk)}))

    assert "Next case" not in page.split("<main")[1].split("No case chosen")[0]
    assert reverse("claim-case", args=[case.pk]) not in page
    assert "Mine" not in page
    assert "deciding it takes the role Reviewer" in page


def test_the_navigation_counts_what_waits(as_: Any, case_of: Any, people: Any) -> None:
    case_of()
    case_of()

    assert queries.waiting(people["ada"]) == 2
    assert queries.waiting(people["arjun"]) is None
    assert '2<span class="visually-hidden"> waiting</span>' in text_of(
        as_("rui").get(reverse("review-queue"))
    )


def test_the_median_wait_is_of_todays_ends_only(case_of: Any, people: Any) -> None:
    now = timezone.now()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    for wait_s, ended_at in ((10, now), (30, now), (50, now), (9000, midnight - timedelta(1))):
        Case.objects.filter(pk=case_of().pk).update(
            state=Case.State.EXPIRED,
            ended_at=ended_at,
            opened_at=ended_at - timedelta(seconds=wait_s),
        )

    assert queries.numbers(person=people["rui"], now=now).median_wait_s == 30


def test_the_queue_takes_the_same_few_queries_however_long_it_is(
    as_: Any, case_of: Any, django_assert_max_num_queries: Any
) -> None:
    for _ in range(12):
        case_of(made=True)

    signed_in = as_("rui")

    with django_assert_max_num_queries(14):
        signed_in.get(reverse("review-queue"))
