"""The registry: what may be changed, by whom, and what refuses."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from routing.models import Backend, KillSwitch
from routing.services import registry
from screens.errors import Conflict, Invalid, NotAllowed, NotFound
from tests.routing.conftest import backend_fields

pytestmark = pytest.mark.django_db


def kinds_about(object_id: str) -> list[str]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT kind FROM audit.event WHERE object_id = %s ORDER BY at", [object_id])
        return [kind for (kind,) in cursor.fetchall()]


def test_only_an_operator_registers_a_backend(people: dict[str, Any]) -> None:
    with pytest.raises(NotAllowed):
        registry.register_backend(by=people["arjun"], name="x", reason="test", **backend_fields())


def test_registering_and_activating_are_recorded(backends: dict[str, Backend]) -> None:
    assert kinds_about("small") == ["backend.registered", "backend.state_changed"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"data_classes": []},
        {"data_classes": ["cosmic"]},
        {"capabilities": ["telepathy"]},
        {"secret_ref": "sk-live-123"},
        {"owner": ""},
        {"base_url": "not a url"},
        {"input_usd_per_mtok": Decimal(-1)},
    ],
)
def test_nonsense_is_refused_in_words(people: dict[str, Any], wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        registry.register_backend(
            by=people["olivia"], name="x", reason="test", **backend_fields(**wrong)
        )


def test_a_new_price_is_a_new_price_version(
    people: dict[str, Any], backends: dict[str, Backend]
) -> None:
    changed = registry.change_backend(
        backend=backends["small"],
        by=people["olivia"],
        reason="new list",
        output_usd_per_mtok=Decimal(1),
    )

    assert changed.price_version == 2


def test_another_description_is_not(people: dict[str, Any], backends: dict[str, Backend]) -> None:
    changed = registry.change_backend(
        backend=backends["small"], by=people["olivia"], reason="wording", description="Better words"
    )

    assert changed.price_version == 1


def test_a_backend_of_an_active_policy_is_not_disabled(
    people: dict[str, Any], backends: dict[str, Backend], active_version: Any
) -> None:
    with pytest.raises(registry.InUse) as refused:
        registry.set_backend_state(
            backend=backends["small"], state="disabled", by=people["olivia"], reason="old"
        )

    assert "support@1" in refused.value.message


def test_a_switch_is_engaged_once_and_released_once(people: dict[str, Any], backends: Any) -> None:
    olivia = people["olivia"]
    switch = registry.engage_switch(scope="backend", target="small", by=olivia, reason="incident")

    with pytest.raises(Conflict):
        registry.engage_switch(scope="backend", target="small", by=olivia, reason="again")
    registry.release_switch(switch=switch, by=olivia, reason="over")
    with pytest.raises(Conflict):
        registry.release_switch(switch=switch, by=olivia, reason="twice")

    assert kinds_about("backend:small") == ["kill_switch.engaged", "kill_switch.released"]


def test_a_switch_needs_a_reason_and_a_real_target(people: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        registry.engage_switch(scope="public", target="", by=people["olivia"], reason=" ")
    with pytest.raises(NotFound):
        registry.engage_switch(scope="route", target="none", by=people["olivia"], reason="x")

    assert not KillSwitch.objects.exists()


def test_a_sign_off_by_one_person_twice_is_refused_by_the_database(
    people: dict[str, Any], backends: dict[str, Backend]
) -> None:
    from datetime import timedelta

    from django.utils import timezone

    from routing.models import SignOff

    now = timezone.now()
    with pytest.raises(IntegrityError), transaction.atomic():
        SignOff.objects.create(
            backend=backends["large"],
            data_class="internal",
            purpose="support",
            risk_reference="R-1",
            state="granted",
            requested_by=people["olivia"],
            first_approver=people["petra"],
            second_approver=people["petra"],
            valid_from=now,
            valid_to=now + timedelta(days=1),
        )
