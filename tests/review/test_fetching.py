"""What a client fetches of its held request, while people work on the case and afterwards."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from audit.models import Event
from review.models import Case
from review.services import cases, claims, deadlines, verdicts
from routing.gateway.background import as_response
from routing.services import responses

pytestmark = pytest.mark.django_db
CLIENT = "abcdefgh"
REASON = {"reason_code": "test", "reason": "Because of the contract."}


@pytest.fixture
def held(hold: Callable[..., Any]) -> Any:
    made = hold(client_id=CLIENT, due_s=1500)
    cases.open_case(decision_id=made.pk)
    return made


def fetched(held: Any) -> dict[str, Any]:
    found = responses.find(decision_id=held.pk, client_id=CLIENT)
    assert found is not None
    return as_response(found)


def case_of(held: Any) -> Case:
    return Case.objects.select_related("hold", "claimed_by").get(hold=held)


def decided(held: Any, by: Any, kind: str, **given: Any) -> None:
    claims.claim_case(case=case_of(held), by=by)
    verdicts.decide_case(case=case_of(held), by=by, kind=kind, **REASON, **given)


def test_it_is_queued_until_somebody_claims_it(held: Any, people: dict[str, Any]) -> None:
    before = fetched(held)["status"]

    claims.claim_case(case=case_of(held), by=people["rui"])

    assert (before, fetched(held)["status"]) == ("queued", "in_progress")


def test_an_answer_written_anew_completes_it_after_a_second_look(
    held: Any, people: dict[str, Any]
) -> None:
    decided(held, people["rui"], "edit", answer="You may not.")
    between = fetched(held)["status"]
    seen = cases.candidates_of(case_of(held)).current
    decided(held, people["noor"], "approve", candidate_id=seen and seen.id)

    made = fetched(held)

    assert between != "completed"
    assert made["status"] == "completed"
    assert made["output"][0]["content"][0]["text"] == "You may not."


def test_a_refusal_fails_it_with_its_code(held: Any, people: dict[str, Any]) -> None:
    decided(held, people["rui"], "refuse")

    made = fetched(held)

    assert (made["status"], made["error"]["code"]) == ("failed", "human_review_denied")


def test_nobody_in_time_completes_it_with_the_safe_default(held: Any) -> None:
    Case.objects.filter(hold=held).update(due_at=timezone.now() - timedelta(minutes=1))
    deadlines.sweep()

    made = fetched(held)

    assert made["status"] == "completed"
    assert made["output"][0]["content"][0]["text"] == held.safe_text


def test_a_cancelled_one_leaves_the_queue_and_the_trail_says_who(held: Any) -> None:
    responses.cancel_response(decision_id=held.pk, client_id=CLIENT, client="claims-app")
    deadlines.sweep()

    assert fetched(held)["status"] == "cancelled"
    assert case_of(held).state == Case.State.CANCELLED
    kinds = set(Event.objects.filter(decision_id=held.pk).values_list("kind", flat=True))
    assert {"response.cancelled", "review.cancelled"} <= kinds


def test_another_clients_hold_is_not_there(held: Any) -> None:
    assert responses.find(decision_id=held.pk, client_id="somebody") is None


def test_a_day_after_it_was_due_it_is_not_there_any_more(hold: Callable[..., Any]) -> None:
    old = hold(client_id=CLIENT, due_s=-90_000)

    assert responses.find(decision_id=old.pk, client_id=CLIENT) is None
