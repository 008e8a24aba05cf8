"""What a receiver on a real socket gets, and what becomes of a message that it does not take."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone
from standardwebhooks import Webhook, WebhookVerificationError

from audit.ids import uuid7
from audit.models import Event
from routing.models import WebhookDelivery
from routing.services import webhook_outbox, webhook_sending, webhooks
from tests.routing.webhooks.receiver import Receiver

pytestmark = pytest.mark.django_db


def tell(key: Any, event: str = "response.completed", **changed: Any) -> Any:
    decision_id = changed.pop("decision_id", None) or uuid7()
    webhook_outbox.tell_response(
        decision_id=decision_id, client_id=key.public_id, event=event, at=timezone.now()
    )
    return decision_id


def test_a_message_verifies_by_the_published_package(
    endpoint: Callable[..., Any], key: Any, receiver: Receiver
) -> None:
    made, secret = endpoint()
    decision_id = tell(key)
    assert webhook_sending.send_due() == 1

    ((headers, body),) = receiver.got
    told = Webhook(secret).verify(body, headers)
    assert told["type"] == "response.completed"
    assert told["data"]["id"] == f"resp_{decision_id.hex}"
    assert told["data"]["url"].endswith(f"/v1/responses/resp_{decision_id.hex}")
    assert headers["webhook-id"] == told["id"]
    delivery = WebhookDelivery.objects.get(endpoint=made)
    assert (delivery.state, delivery.last_status, delivery.tries) == ("delivered", 204, 1)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(body + b" ", headers)


def test_openai_sdk_unwraps_it(endpoint: Callable[..., Any], key: Any, receiver: Receiver) -> None:
    openai = pytest.importorskip("openai")
    _, secret = endpoint()
    decision_id = tell(key)
    webhook_sending.send_due()
    ((headers, body),) = receiver.got
    client = openai.OpenAI(api_key="none", webhook_secret=secret)
    event = client.webhooks.unwrap(body, headers)
    assert (event.type, event.data.id) == ("response.completed", f"resp_{decision_id.hex}")


def test_the_same_ending_told_twice_is_one_message(
    endpoint: Callable[..., Any], key: Any, receiver: Receiver
) -> None:
    endpoint()
    decision_id = tell(key)
    tell(key, decision_id=decision_id)
    webhook_sending.send_due()
    webhook_sending.send_due()
    assert len(receiver.got) == 1


def test_a_receiver_that_fails_first_is_tried_again_with_the_same_id(
    endpoint: Callable[..., Any], key: Any, receiver: Receiver
) -> None:
    made, _ = endpoint()
    tell(key)
    receiver.answers = [503, 500, 200]
    now = timezone.now()
    webhook_sending.send_due(now=now)
    waiting = WebhookDelivery.objects.get(endpoint=made)
    assert (waiting.state, waiting.last_status) == ("pending", 503)
    assert webhook_sending.send_due(now=now) == 0, "it waits before it tries again"
    webhook_sending.send_due(now=now + timedelta(seconds=30))
    webhook_sending.send_due(now=now + timedelta(hours=1))

    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1
    assert len(receiver.got) == 3
    waiting.refresh_from_db()
    assert (waiting.state, waiting.tries) == ("delivered", 3)
    made.refresh_from_db()
    assert made.failures_in_a_row == 0


def test_tries_go_on_for_days_and_then_the_webhook_is_disabled(
    endpoint: Callable[..., Any], key: Any, receiver: Receiver
) -> None:
    made, _ = endpoint()
    tell(key)
    receiver.answers = [500]
    now = timezone.now()
    tried = [webhook_sending.send_due(now=now + timedelta(days=day)) for day in range(14)]

    assert sum(tried) == webhook_sending.MOST_TRIES == len(receiver.got) == 10
    assert sum(webhook_sending.WAITS_S) > 3 * 24 * 3600
    delivery = WebhookDelivery.objects.get(endpoint=made)
    assert (delivery.state, delivery.last_status) == ("failed", 500)
    made.refresh_from_db()
    assert (made.state, made.is_disabled_by_system) == ("disabled", True)
    assert Event.objects.filter(kind="webhook.disabled", object_id=str(made.pk)).count() == 1
    assert tell(key) and made.deliveries.count() == 1, "nothing is queued while it is disabled"


def test_gone_disables_at_once_and_ends_what_waits(
    endpoint: Callable[..., Any], key: Any, receiver: Receiver, people: dict[str, Any]
) -> None:
    made, _ = endpoint()
    receiver.answers = [410]
    tell(key)
    webhook_sending.send_due()
    made.refresh_from_db()
    assert made.state == "disabled"
    assert "410" in made.disabled_why

    webhooks.enable_endpoint(endpoint=made, by=people["olivia"], reason="It is back.")
    receiver.answers = [200]
    webhooks.send_again(delivery=made.deliveries.get(), by=people["olivia"])
    webhook_sending.send_due()
    assert made.deliveries.get().state == "delivered"
    assert len({headers["webhook-id"] for headers, _ in receiver.got}) == 1


def test_a_slow_receiver_costs_its_time_and_no_more(
    endpoint: Callable[..., Any], key: Any, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_sending, "TIMEOUT_S", 0.3)
    made, _ = endpoint()
    receiver.hold = threading.Event()
    tell(key)
    webhook_sending.send_due()
    delivery = made.deliveries.get()
    assert (delivery.state, delivery.last_status) == ("pending", None)
    assert delivery.last_problem.startswith("No answer within")


def test_a_redirect_is_not_followed(
    endpoint: Callable[..., Any], key: Any, receiver: Receiver
) -> None:
    made, _ = endpoint()
    receiver.answers, receiver.location = [307], receiver.url
    tell(key)
    webhook_sending.send_due()
    assert len(receiver.got) == 1
    assert made.deliveries.get().last_status == 307


def test_a_private_address_that_is_not_allowed_gets_no_packet(
    endpoint: Callable[..., Any], key: Any, receiver: Receiver, settings: Any
) -> None:
    made, _ = endpoint()
    settings.WEBHOOK_PRIVATE_ALLOWED = []
    # A backend's permission is none for webhooks.
    settings.EGRESS_PRIVATE_ALLOWED = [f"127.0.0.1:{receiver.port}"]
    tell(key)
    webhook_sending.send_due()
    assert receiver.got == []
    assert "private" in made.deliveries.get().last_problem


def test_both_secrets_sign_during_the_overlap_and_only_the_new_one_after_it(
    endpoint: Callable[..., Any], key: Any, receiver: Receiver, people: dict[str, Any]
) -> None:
    made, old = endpoint()
    _, new = webhooks.rotate_secret(
        endpoint=made, by=people["olivia"], overlap=timedelta(hours=1), reason="Yearly."
    )
    tell(key)
    webhook_sending.send_due()
    ((headers, body),) = receiver.got
    assert Webhook(old).verify(body, headers) == Webhook(new).verify(body, headers)

    made.refresh_from_db()
    made.old_secret_until = timezone.now()
    made.save()
    tell(key)
    webhook_sending.send_due()
    headers, body = receiver.got[1]
    Webhook(new).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(old).verify(body, headers)


def test_the_secret_is_kept_sealed_and_in_no_event(endpoint: Callable[..., Any], key: Any) -> None:
    made, secret = endpoint()
    made.refresh_from_db()
    assert secret.encode() not in bytes(made.secret_sealed)
    event = Event.objects.get(kind="webhook.created", object_id=str(made.pk))
    assert secret not in json.dumps(json.loads(bytes(event.body)))


def test_another_application_and_an_unwanted_event_are_not_told(
    endpoint: Callable[..., Any], key: Any
) -> None:
    from accounts.models import ApiKey

    made, _ = endpoint(events=["response.failed"])
    other = ApiKey.objects.create(
        public_id="hookkey000000002", secret_sha256=b"1" * 32, name="Other", owner="other"
    )
    tell(key, "response.completed")
    tell(other, "response.failed")
    assert made.deliveries.count() == 0
    successor = ApiKey.objects.create(
        public_id="hookkey000000003", secret_sha256=b"2" * 32, name="x", owner="x", replaces=key
    )
    tell(successor, "response.failed")
    assert made.deliveries.count() == 1, "a rotated key keeps its webhooks"


def test_two_senders_take_a_message_once(endpoint: Callable[..., Any], key: Any) -> None:
    endpoint()
    tell(key)
    now = timezone.now()
    assert len(webhook_sending._take(now)) == 1
    assert len(webhook_sending._take(now)) == 0
    later = now + timedelta(minutes=2)
    assert len(webhook_sending._take(later)) == 1, "a sender that died leaves it to the next"


def test_ended_deliveries_go_after_a_month(endpoint: Callable[..., Any], key: Any) -> None:
    made, _ = endpoint()
    tell(key)
    webhook_sending.send_due()
    tell(key)
    webhook_sending.erase_ended(now=timezone.now() + timedelta(days=31))
    assert [one.state for one in made.deliveries.all()] == ["pending"]
