"""Reading takes its time: too soon is refused, three times pauses, two hours need a break."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from audit.models import Event
from review import pace
from review.errors import BreakNeeded, NotRead, ReviewPaused, TooSoon
from review.models import Case, CaseVerdict, HastyVerdict, ReviewerPause
from review.queries import measures
from review.services import cases, claims, verdicts
from review.services import pace as service
from screens.errors import Conflict, Invalid, NotAllowed

REASON = {"reason_code": "off_policy", "reason": "Contracts end by letter only."}


def test_reading_takes_longer_for_longer_texts_within_bounds() -> None:
    assert [pace.dwell_s(words=n) for n in (0, 80, 336, 5000)] == [3.0, 13.0, 45.0, 45.0]


def test_a_waiting_client_does_not_lose_its_answer_to_the_clock() -> None:
    assert pace.dwell_s(words=5000, live_s=25) == pytest.approx(25 / 3)
    assert pace.dwell_s(words=0, live_s=600) == 3.0


@given(st.lists(st.floats(0, 20_000), max_size=40))
def test_a_stint_has_no_rest_in_it(acts: list[float]) -> None:
    now = 20_000.0
    found = pace.stint_of(acts, now_s=now)
    within = sorted(at for at in acts if found.since is not None and at >= found.since)
    edges = [*within, now]
    assert all(b - a < pace.REST_S for a, b in zip(edges, edges[1:], strict=False))
    before = [at for at in acts if found.since is None or at < found.since]
    assert not before or (found.since or now) - max(before) >= pace.REST_S


def test_two_hours_of_acts_need_a_rest_and_one_hour_is_told() -> None:
    minutes = [60.0 * n for n in range(0, 121, 5)]
    now = minutes[-1] + 30
    assert pace.stint_of(minutes, now_s=now).rest_until() == minutes[-1] + pace.REST_S
    assert pace.stint_of(minutes[12:], now_s=now).rest_until() is None
    assert pace.stint_of(minutes[12:], now_s=now).is_break_due(now)
    assert not pace.stint_of(minutes[13:], now_s=now).is_break_due(now)


pytestmark = pytest.mark.django_db


def approve(case: Any, by: Any, texts: dict[str, Any], now: Any) -> Any:
    return verdicts.decide_case(
        case=cases.get_case(case.pk),
        by=by,
        now=now,
        kind="approve",
        candidate_id=UUID(str(texts["candidate_id"])),
    )


def hurry(case: Any, by: Any, now: Any) -> None:
    """Claim, show, and want to release after two seconds."""
    held = claims.claim_case(case=case, by=by, now=now)
    texts = cases.reveal_payloads(case=held, by=by, now=now)
    with pytest.raises(TooSoon):
        approve(held, by, texts, now + timedelta(seconds=2))


def test_an_answer_goes_out_only_after_it_could_have_been_read(
    case_of: Callable[..., Any], people: dict[str, Any], kinds_of: Any
) -> None:
    now, rui = timezone.now(), people["rui"]
    case = claims.claim_case(case=case_of(), by=rui, now=now)
    texts = cases.reveal_payloads(case=case, by=rui, now=now)
    cases.reveal_payloads(case=cases.get_case(case.pk), by=rui, now=now + timedelta(seconds=2))

    with pytest.raises(TooSoon) as refused:
        approve(case, rui, texts, now + timedelta(seconds=2))
    approve(case, rui, texts, now + timedelta(seconds=10))

    words = len(f"{texts['request']} {texts['candidate']}".split())
    assert refused.value.message == (
        f"The text was shown for less time than reading it takes; "
        f"{int(-(-(3 + words / 8 - 2) // 1))} s are left."
    )
    assert cases.get_case(case.pk).state == Case.State.RESOLVED
    assert kinds_of(case)[-2:] == ["review.too_soon", "review.decided"]


def test_what_was_never_shown_is_not_released_but_may_be_refused(
    case_of: Callable[..., Any], people: dict[str, Any]
) -> None:
    case = claims.claim_case(case=case_of(), by=people["rui"])
    assert case.hold is not None
    with pytest.raises(NotRead):
        approve(case, people["rui"], {"candidate_id": case.hold.candidate_payload}, timezone.now())
    verdicts.decide_case(case=case, by=people["rui"], kind="refuse", **REASON)
    assert cases.get_case(case.pk).state == Case.State.RESOLVED


def test_another_claim_begins_to_read_anew(
    case_of: Callable[..., Any], people: dict[str, Any]
) -> None:
    now = timezone.now()
    case = claims.claim_case(case=case_of(), by=people["rui"], now=now)
    texts = cases.reveal_payloads(case=case, by=people["rui"], now=now)
    claims.release_case(case=cases.get_case(case.pk), by=people["rui"], now=now)
    later = now + timedelta(seconds=60)
    claims.claim_case(case=cases.get_case(case.pk), by=people["noor"], now=later)
    with pytest.raises(NotRead):
        approve(case, people["noor"], texts, later)


def test_who_releases_unread_three_times_is_paused_until_a_lead_lifts_it(
    case_of: Callable[..., Any], people: dict[str, Any]
) -> None:
    now, rui, noor = timezone.now(), people["rui"], people["noor"]
    first = case_of()
    hurry(first, rui, now)
    hurry(case_of(), rui, now)
    with pytest.raises(TooSoon):
        approve(first, rui, cases.reveal_payloads(case=cases.get_case(first.pk), by=rui), now)
    assert not ReviewerPause.objects.exists()
    assert HastyVerdict.objects.count() == 2
    hurry(case_of(), rui, now)
    claims.release_case(case=cases.get_case(first.pk), by=rui)

    with pytest.raises(ReviewPaused) as why:
        claims.claim_next(by=rui, now=now)
    with pytest.raises(NotAllowed):
        service.lift_pause(person=rui, by=rui, reason="I read fast.")
    with pytest.raises(Invalid):
        service.lift_pause(person=rui, by=noor, reason=" ")
    service.lift_pause(person=rui, by=noor, reason="Talked to Rui.")

    assert "in 3 cases within 60 minutes" in why.value.message
    assert claims.claim_next(by=rui, now=now) is not None
    with pytest.raises(Conflict):
        service.lift_pause(person=rui, by=noor, reason="Again.")
    events = list(
        Event.objects.filter(object_type="person", object_id="rui")
        .order_by("at", "id")
        .values_list("kind", flat=True)
    )
    assert events == ["reviewer.paused", "reviewer.resumed"]


def test_the_page_says_why_and_a_lead_lifts_it_there(
    case_of: Callable[..., Any], people: dict[str, Any], client: Client
) -> None:
    now, rui = timezone.now(), people["rui"]
    for _ in range(3):
        hurry(case_of(), rui, now)
    claims.release_case(case=Case.objects.filter(claimed_by=rui)[0], by=rui)
    client.force_login(rui)

    queue = client.get("/review/").content.decode()
    refused = client.post("/review/next/")
    client.force_login(people["noor"])
    seen = client.get("/review/").content.decode()
    page = client.get(f"/review/reviewers/{rui.pk}/").content.decode()
    empty = client.post(f"/review/reviewers/{rui.pk}/resume/", {"reason": ""})
    lifted = client.post(f"/review/reviewers/{rui.pk}/resume/", {"reason": "Talked to Rui."})

    assert "Your claims are paused" in queue and "before they could have been read" in queue
    assert refused.status_code == 403
    assert "Your claims are paused: in 3 cases" in refused.content.decode()
    assert "1 reviewer paused" in seen
    assert "Claims are paused" in page and "Let them claim again" in page
    assert (empty.status_code, lifted.status_code) == (422, 303)
    assert not ReviewerPause.objects.filter(lifted_at=None).exists()


def test_two_hours_without_a_break_end_the_claims_for_ten_minutes(
    case_of: Callable[..., Any], people: dict[str, Any]
) -> None:
    now, rui = timezone.now(), people["rui"]
    for minutes in range(1, 123, 5):
        case = case_of()
        CaseVerdict.objects.create(
            case=case, by=rui, kind="refuse", at=now - timedelta(minutes=minutes), **REASON
        )
        Case.objects.filter(pk=case.pk).update(state="resolved", ended_at=now)
    case_of()
    with pytest.raises(BreakNeeded):
        claims.claim_next(by=rui, now=now)
    assert claims.claim_next(by=rui, now=now + timedelta(minutes=10)) is not None


def test_measures_count_by_reviewer_and_rule_with_agreement(
    case_of: Callable[..., Any], people: dict[str, Any]
) -> None:
    now, rui, noor = timezone.now(), people["rui"], people["noor"]
    said = [("edit", "approve"), ("approve", "approve"), ("edit", "edit"), ("refuse", "approve")]
    for number, (first, second) in enumerate(said):
        case = case_of(rule=f"rule-{number % 2}")
        for by, kind, stage in ((rui, first, "first"), (noor, second, "second")):
            CaseVerdict.objects.create(
                case=case, by=by, kind=kind, stage=stage, open_ms=1000 * (number + 1), **REASON
            )
    hurry(case_of(rule="rule-0"), rui, now)

    found = measures.measured(since=now - timedelta(days=1), until=now + timedelta(days=1))

    whole = found.of(rui)[measures.EVERY_RULE]
    assert (whole.approved.count, whole.edited.count, whole.overridden.count) == (1, 2, 3)
    assert (whole.agreed.count, whole.agreed.n) == (2, 4)
    assert (whole.median_ms, whole.p10_ms, whole.hasty) == (2000, 1000, 1)
    assert whole.kappa is None
    assert found.of(rui)["rule-0"].approved.n == 2
    assert found.of(rui)["rule-0"].hasty == 1
    assert found.of(noor)[measures.EVERY_RULE].agreed == whole.agreed
    assert whole.in_time.count == 4


def test_a_reviewer_sees_their_own_figures_and_a_lead_everybodys(
    case_of: Callable[..., Any], people: dict[str, Any], client: Client
) -> None:
    CaseVerdict.objects.create(case=case_of(), by=people["noor"], kind="refuse", **REASON)
    client.force_login(people["rui"])
    mine = client.get("/review/reviewers/").content.decode()
    others = client.get(f"/review/reviewers/{people['noor'].pk}/").content.decode()
    client.force_login(people["noor"])
    all_of_them = client.get("/review/reviewers/").content.decode()
    assert "n = 1" not in mine and "Figures of others are for lead reviewers." in others
    assert "n = 1" in all_of_them


def test_the_management_api_shows_a_pause_and_lifts_it(
    case_of: Callable[..., Any], people: dict[str, Any], client: Client
) -> None:
    now, rui = timezone.now(), people["rui"]
    for _ in range(3):
        hurry(case_of(), rui, now)
    client.force_login(people["noor"])

    before = client.get("/api/review/reviewers/rui").json()
    lifted = client.post(
        "/api/review/reviewers/rui/resume",
        {"reason": "Talked to Rui."},
        content_type="application/json",
    )

    assert before["is_paused"] is True
    assert (lifted.status_code, lifted.json()["is_paused"]) == (200, False)
    assert client.get("/api/review/reviewers").json()["items"]
