"""An application is told at 50 % and at 80 % of a case's time: once each, and without any text."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.utils import timezone

from accounts.models import ApiKey
from audit.models import Event
from review.models import Case
from review.services import cases, deadlines
from routing.models import WebhookDelivery
from routing.services import webhooks
from tests.review.conftest import DRAFT, PROMPT

pytestmark = pytest.mark.django_db


@pytest.fixture
def case(hold: Callable[..., Any], people: dict[str, Any]) -> Case:
    key = ApiKey.objects.create(
        public_id="remindkey0000001", secret_sha256=b"7" * 32, name="Claims", owner="claims"
    )
    webhooks.create_endpoint(
        by=people["olivia"],
        client_id=key.public_id,
        url="https://receiver.example/hooks",
        events=["review.case_due"],
        description="",
        reason="test",
    )
    opened = cases.open_case(decision_id=hold(client_id=key.public_id).pk)
    assert opened is not None
    now = timezone.now()
    Case.objects.filter(pk=opened.pk).update(opened_at=now, due_at=now + timedelta(seconds=100))
    opened.refresh_from_db()
    return opened


def told() -> list[int]:
    bodies = WebhookDelivery.objects.order_by("created_at").values_list("body", flat=True)
    return [orjson.loads(body)["data"]["percent"] for body in bodies]


def sweep_after(case: Case, seconds: float) -> None:
    deadlines.sweep(now=case.opened_at + timedelta(seconds=seconds))


def test_it_is_told_once_at_each_stage(case: Case) -> None:
    sweep_after(case, 49)
    assert told() == []
    sweep_after(case, 51)
    sweep_after(case, 60)
    assert told() == [50]
    sweep_after(case, 81)
    sweep_after(case, 82)
    assert told() == [50, 80]
    events = Event.objects.filter(kind="review.case_due", object_id=str(case.pk))
    assert events.count() == 2


def test_a_stage_that_was_missed_is_left_out_and_no_text_is_sent(case: Case) -> None:
    sweep_after(case, 90)
    assert told() == [80]
    body = WebhookDelivery.objects.get().body
    assert PROMPT not in body
    assert DRAFT not in body
    assert str(case.pk) in body


def test_an_ended_case_is_not_due(case: Case) -> None:
    Case.objects.filter(pk=case.pk).update(state="cancelled", ended_at=timezone.now())
    sweep_after(case, 90)
    assert told() == []
