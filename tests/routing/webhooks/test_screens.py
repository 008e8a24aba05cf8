"""The screens of webhooks: what an operator does there, and who may not."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from standardwebhooks import Webhook

from audit.models import Event
from routing.models import WebhookEndpoint
from routing.queries import attention
from routing.services import webhook_sending
from tests.routing.webhooks.receiver import Receiver

pytestmark = pytest.mark.django_db


@pytest.fixture
def olivia(people: dict[str, Any]) -> Client:
    client = Client()
    client.force_login(people["olivia"])
    return client


def form(key: Any, receiver: Receiver, **changed: Any) -> dict[str, Any]:
    return {
        "client_id": key.public_id,
        "url": receiver.url,
        "events": ["response.completed"],
        "description": "Claims",
        "reason": "Asked for.",
        **changed,
    }


def test_the_secret_is_shown_once_and_a_test_verifies_with_it(
    olivia: Client, key: Any, receiver: Receiver
) -> None:
    shown = olivia.post("/settings/webhooks/new/", form(key, receiver))
    assert shown.status_code == 201
    assert shown["Cache-Control"] == "no-store"
    secret = re.search(r"whsec_[A-Za-z0-9+/=]+", shown.content.decode())
    assert secret
    endpoint = WebhookEndpoint.objects.get()
    page = olivia.get(endpoint.get_absolute_url())
    assert b"whsec_" not in page.content

    sent = olivia.post(f"{endpoint.get_absolute_url()}test/")
    assert sent.status_code == 303
    webhook_sending.send_due()
    ((headers, body),) = receiver.got
    assert Webhook(secret[0]).verify(body, headers)["type"] == "webhook.test"
    assert b"delivered" in olivia.get(sent["Location"]).content


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("http://example.com/hook", "needs https"),
        ("https://user:secret@example.com/", "no password"),
        ("https://169.254.169.254/latest", "never allowed"),
        ("http://10.0.0.5/hook", "private"),
        ("ftp://example.com/", "begins with https"),
    ],
)
def test_an_address_that_may_not_be_used_is_refused_with_the_reason(
    olivia: Client, key: Any, receiver: Receiver, url: str, says: str
) -> None:
    answer = olivia.post("/settings/webhooks/new/", form(key, receiver, url=url))
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert not WebhookEndpoint.objects.exists()


def test_lists_filter_by_their_address(
    olivia: Client, endpoint: Callable[..., Any], key: Any
) -> None:
    made, _ = endpoint()
    olivia.post(f"{made.get_absolute_url()}test/")
    address = "/settings/webhooks/deliveries/"
    message = made.deliveries.get().webhook_id.encode()
    assert message in olivia.get(f"{address}?state=pending&endpoint={made.pk}").content
    assert message not in olivia.get(f"{address}?state=failed").content
    assert olivia.get(f"{address}?endpoint=nonsense&page=x").status_code == 200


def test_rotate_disable_and_enable_are_recorded_and_need_a_reason(
    olivia: Client, endpoint: Callable[..., Any]
) -> None:
    made, _ = endpoint()
    address = made.get_absolute_url()
    assert olivia.post(f"{address}disable/", {"reason": ""}).status_code == 422
    rotated = olivia.post(f"{address}rotate/", {"overlap": "24", "reason": "Yearly."})
    assert rotated.status_code == 201
    for verb in ("disable", "enable"):
        assert olivia.post(f"{address}{verb}/", {"reason": "Move."}).status_code == 303
    assert olivia.post(f"{address}enable/", {"reason": "Move."}).status_code == 409
    changed = {"url": made.url, "events": ["response.failed"], "reason": "Less."}
    assert olivia.post(f"{address}change/", changed).status_code == 303
    kinds = Event.objects.filter(object_id=str(made.pk)).values_list("kind", flat=True)
    assert set(kinds) == {
        f"webhook.{act}" for act in ("created", "rotated", "disabled", "enabled", "changed")
    }


def test_only_operators_see_them(people: dict[str, Any], endpoint: Callable[..., Any]) -> None:
    made, _ = endpoint()
    client = Client()
    client.force_login(people["arjun"])
    for address in ("/settings/webhooks/", made.get_absolute_url(), "/settings/webhooks/new/"):
        assert client.get(address).status_code == 403


def test_the_overview_tells_of_a_webhook_that_was_given_up(
    endpoint: Callable[..., Any], receiver: Receiver, people: dict[str, Any], olivia: Client
) -> None:
    made, _ = endpoint()
    receiver.answers = [410]
    olivia.post(f"{made.get_absolute_url()}test/")
    webhook_sending.send_due()
    (need,) = attention.disabled_webhooks(people["olivia"])
    assert "410" in need.sentence
    assert need.url == made.get_absolute_url()
