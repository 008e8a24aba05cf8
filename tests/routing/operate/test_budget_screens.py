"""The budget screens: what was used, the form that limits it, and who may change it."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import ApiKey
from routing.models import Budget, Route, Spend

pytestmark = pytest.mark.django_db
As = Callable[[str], Client]


@pytest.fixture
def key(people: dict[str, Any]) -> ApiKey:
    return ApiKey.objects.create(
        public_id="abcdefgh", secret_sha256=b"x" * 32, name="portal", owner="team"
    )


def spend(route: str, usd: str) -> None:
    Spend.objects.create(
        client_id="abcdefgh",
        route=route,
        day=timezone.now().date(),
        requests=3,
        tokens=1200,
        usd=Decimal(usd),
    )


def test_a_route_shows_what_was_used_of_its_budget(route: Route, as_person: As) -> None:
    Budget.objects.create(scope="route", target=route.slug, usd_month=Decimal(10))
    spend(route.slug, "8.50")

    page = as_person("olivia").get(f"/routes/{route.slug}/").content.decode()

    assert "$8.50 of $10.00" in page
    assert "nearly used up" in page


def test_the_form_sets_it_and_says_where_it_went(route: Route, as_person: As) -> None:
    answer = as_person("olivia").post(
        f"/routes/{route.slug}/budget/",
        {"usd_day": "2.5", "tokens_month": "1000", "reason": "Pilot"},
    )

    assert (answer.status_code, answer["Location"]) == (303, f"/routes/{route.slug}/")
    budget = Budget.objects.get(scope="route", target=route.slug)
    assert (budget.usd_day, budget.tokens_month, budget.usd_month) == (Decimal("2.5"), 1000, None)


def test_a_day_above_its_month_comes_back_with_what_is_wrong(route: Route, as_person: As) -> None:
    answer = as_person("olivia").post(
        f"/routes/{route.slug}/budget/", {"usd_day": "9", "usd_month": "1", "reason": "Pilot"}
    )

    assert answer.status_code == 422
    assert "more than the month" in answer.content.decode()
    assert not Budget.objects.exists()


def test_a_key_shows_its_own_use_on_every_route(key: ApiKey, as_person: As) -> None:
    spend("one", "1")
    spend("two", "2")

    page = as_person("olivia").get("/settings/keys/abcdefgh/").content.decode()

    assert "$3.00" in page
    assert "/settings/keys/abcdefgh/budget/" in page


def test_a_key_gets_a_budget_by_its_form(key: ApiKey, as_person: As) -> None:
    as_person("olivia").post("/settings/keys/abcdefgh/budget/", {"usd_day": "1", "reason": "Pilot"})

    assert Budget.objects.get(scope="key", target="abcdefgh").usd_day == 1


def test_who_may_not_change_it_is_not_offered_to(route: Route, as_person: As) -> None:
    reviewer = as_person("ada")

    page = reviewer.get(f"/routes/{route.slug}/").content.decode()

    assert "Change the budget" not in page
    assert reviewer.post(f"/routes/{route.slug}/budget/", {"reason": "x"}).status_code == 403
