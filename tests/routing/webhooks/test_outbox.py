"""What goes into the outbox, in whose transaction, and what is never in it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone

from audit import payloads
from audit.ids import uuid7
from routing.models import Hold, StoredResponse, WebhookDelivery
from routing.services import holds, responses, webhook_outbox
from tests.review.conftest import DRAFT, PROMPT, make_hold

pytestmark = pytest.mark.django_db


def background(key: Any, state: str, **changed: Any) -> StoredResponse:
    now = timezone.now()
    return StoredResponse.objects.create(
        **{
            "decision_id": uuid7(),
            "client_id": key.public_id,
            "created_at": now,
            "expires_at": now + timedelta(hours=28),
            "state": state,
            "payload": uuid7(),
            **changed,
        }
    )


def told() -> list[tuple[str, Any]]:
    return list(WebhookDelivery.objects.values_list("event", "decision_id"))


def test_a_person_s_answer_is_told_in_its_own_transaction(
    endpoint: Callable[..., Any], key: Any
) -> None:
    endpoint()
    hold = make_hold(client_id=key.public_id, delivery=Hold.Delivery.STORED)
    with pytest.raises(RuntimeError), transaction.atomic():
        holds.answer_hold(decision_id=hold.pk, disposition="safe_default")
        assert told() == [("response.completed", hold.pk)]
        raise RuntimeError("the transaction is lost")
    assert told() == [], "and so is its message"

    holds.answer_hold(decision_id=hold.pk, disposition="refuse")
    assert told() == [("response.failed", hold.pk)]


def test_a_background_response_that_waited_is_told_by_its_own_id(
    endpoint: Callable[..., Any], key: Any
) -> None:
    endpoint()
    hold = make_hold(client_id=key.public_id)
    waiting = background(key, "held", held_by=hold.pk)
    holds.expire_hold(decision_id=hold.pk)
    assert told() == [("response.completed", waiting.pk)]


def test_a_client_that_waits_on_its_connection_is_not_told_twice(
    endpoint: Callable[..., Any], key: Any
) -> None:
    endpoint()
    hold = make_hold(client_id=key.public_id)
    holds.answer_hold(decision_id=hold.pk, disposition="safe_default")
    assert told() == []


def test_a_cancelled_response_is_told(endpoint: Callable[..., Any], key: Any) -> None:
    endpoint()
    # What is found afterwards has a payload, so it is a real one.
    sealed = payloads.seal(
        b'{"status": "in_progress"}',
        decision_id=uuid7(),
        kind="response",
        key=payloads.payload_key(),
    )
    payloads.store(sealed)
    running = background(key, "in_progress", payload=sealed.id)
    for _ in range(2):
        responses.cancel_response(decision_id=running.pk, client_id=key.public_id, client=key.name)
    assert told() == [("response.cancelled", running.pk)]


def test_the_follower_tells_each_ending_once(endpoint: Callable[..., Any], key: Any) -> None:
    endpoint()
    done, failed = background(key, "completed"), background(key, "failed")
    running = background(key, "in_progress")
    ended = {one.pk: timezone.now() for one in (done, failed, running)}
    webhook_outbox._tell_ended(ended)
    webhook_outbox._tell_ended(ended)
    assert sorted(told()) == sorted(
        [("response.completed", done.pk), ("response.failed", failed.pk)]
    )


def test_what_ended_before_an_address_was_known_is_not_told(
    endpoint: Callable[..., Any], key: Any
) -> None:
    endpoint()
    done = background(key, "completed")
    webhook_outbox._tell_ended({done.pk: timezone.now() - timedelta(minutes=1)})
    assert told() == []


def test_no_text_of_a_request_or_an_answer_is_in_a_message(
    endpoint: Callable[..., Any], key: Any
) -> None:
    endpoint()
    hold = make_hold(client_id=key.public_id, delivery="stored", safe_text="Safe words.")
    holds.answer_hold(decision_id=hold.pk, disposition="safe_default")
    body = WebhookDelivery.objects.get().body
    for text in (PROMPT, DRAFT, "Safe words", hold.sentence):
        assert text not in body


def report_entry(**changed: Any) -> dict[str, Any]:
    details = {
        "period_from": "2026-10-01T00:00:00.000000Z",
        "period_to": "2026-11-01T00:00:00.000000Z",
        "entries": 14,
        "digest": "sha256:ab",
        "is_scheduled": True,
        **changed,
    }
    return {
        "at": (timezone.now() + timedelta(minutes=1)).isoformat(),
        "object": {"type": "report", "id": str(uuid7())},
        "details": details,
    }


def test_a_monthly_report_is_told_once_to_whoever_listens(
    endpoint: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    endpoint(events=["report.ready"])
    endpoint(events=["response.completed"])
    entry = report_entry()
    monkeypatch.setattr(
        webhook_outbox, "_reports_between", lambda *_: [entry, report_entry(is_scheduled=False)]
    )

    webhook_outbox._tell_reports(0, 1)
    webhook_outbox._tell_reports(0, 1)

    sent = WebhookDelivery.objects.get()
    assert sent.event == "report.ready"
    assert f"/reports/{entry['object']['id']}/" in sent.body
    assert '"digest":"sha256:ab"' in sent.body
