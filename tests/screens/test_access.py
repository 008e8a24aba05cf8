"""Who may do what, and what a view does to those who may not."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import RequestFactory

from screens.access import (
    PERMISSIONS,
    ROLES,
    may,
    needs,
    open_to_all,
    permissions_of,
    roles_of,
    roles_that_may,
    why,
)
from screens.errors import NotAllowed
from screens.middleware import SignInMiddleware


class Groups:
    def __init__(self, names: tuple[str, ...]) -> None:
        self.names = names

    def values_list(self, *_: str, flat: bool) -> list[str]:
        return list(self.names)


@dataclass
class Person:
    roles: tuple[str, ...] = ()
    is_active: bool = True
    is_superuser: bool = False
    is_authenticated: bool = True
    groups: Any = field(init=False)

    def __post_init__(self) -> None:
        self.groups = Groups(self.roles)


EXPECTED = {
    "operator": {
        "routing.view",
        "routing.operate",
        "routing.activate_policy",
        "routing.promote_policy",
        "accounts.view",
        "accounts.manage_keys",
        "audit.view",
    },
    "author": {"routing.view", "routing.edit_policy"},
    "approver": {
        "routing.view",
        "routing.approve_policy",
        "routing.activate_policy",
        "routing.promote_policy",
        "routing.sign_off",
    },
    "reviewer": {"routing.view", "review.view", "review.decide"},
    "lead_reviewer": {
        "routing.view",
        "routing.view_payload",
        "review.view",
        "review.decide",
        "review.lead",
    },
    "auditor": {"routing.view", "review.view", "audit.view", "audit.export", "accounts.view"},
    "administrator": {
        "routing.view",
        "audit.view",
        "accounts.view",
        "accounts.manage_keys",
        "accounts.manage_people",
    },
}


@pytest.mark.parametrize("role", EXPECTED)
def test_each_role_may_do_exactly_its_job(role: str) -> None:
    assert permissions_of(Person((role,))) == EXPECTED[role]


def test_no_role_is_missing_from_the_table_above() -> None:
    assert EXPECTED.keys() == ROLES.keys()


def test_every_permission_is_given_by_some_role() -> None:
    given = frozenset().union(*(role.permissions for role in ROLES.values()))

    assert given == PERMISSIONS.keys()


def test_nobody_writes_and_approves_a_policy_with_one_role() -> None:
    both = {"routing.edit_policy", "routing.approve_policy"}

    assert [role.slug for role in ROLES.values() if both <= role.permissions] == []


def test_a_person_without_a_role_may_do_nothing() -> None:
    assert permissions_of(Person()) == frozenset()


def test_roles_add_up() -> None:
    assert permissions_of(Person(("author", "reviewer"))) == (
        EXPECTED["author"] | EXPECTED["reviewer"]
    )


def test_a_superuser_may_do_everything() -> None:
    assert permissions_of(Person(is_superuser=True)) == PERMISSIONS.keys()


def test_an_inactive_superuser_may_do_nothing() -> None:
    assert permissions_of(Person(("operator",), is_superuser=True, is_active=False)) == frozenset()


def test_a_group_that_is_no_role_gives_nothing() -> None:
    assert roles_of(Person(("routing.operate", "author"))) == ("author",)


def test_why_names_every_role_that_gives_the_permission() -> None:
    person = Person(("operator", "approver"), is_superuser=True)

    assert why(person, "routing.activate_policy") == ["superuser", "operator", "approver"]


def test_a_misspelt_permission_is_an_error_and_never_a_no() -> None:
    with pytest.raises(LookupError):
        may(Person(is_superuser=True), "routing.veiw")


def test_a_view_cannot_need_an_unknown_permission() -> None:
    with pytest.raises(LookupError):
        needs("routing.veiw")


def test_roles_that_may_are_the_ones_to_ask_for() -> None:
    assert [role.slug for role in roles_that_may("audit.export")] == ["auditor"]


@needs("routing.view", "routing.operate")
def stop_traffic(request: Any) -> HttpResponse:
    return HttpResponse("stopped")


def asked(person: Person, **headers: str) -> Any:
    request = RequestFactory().post("/backends/", headers=headers)
    request.user = person  # type: ignore[assignment]
    return request


def test_a_view_carries_what_it_needs() -> None:
    assert stop_traffic.needs == ("routing.view", "routing.operate")


def test_a_person_with_all_permissions_gets_in() -> None:
    assert stop_traffic(asked(Person(("operator",)))).content == b"stopped"


def test_one_permission_of_two_is_not_enough() -> None:
    with pytest.raises(NotAllowed) as refusal:
        stop_traffic(asked(Person(("author",))))

    assert "Operator" in refusal.value.what_next


def test_an_anonymous_visitor_is_sent_to_sign_in() -> None:
    answer = stop_traffic(asked(Person(is_authenticated=False)))

    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/")


def test_htmx_is_told_to_sign_in_instead_of_swapping_a_form_into_the_page() -> None:
    shown = {"HX_Request": "true", "HX_Current_Url": "https://signalbox.example/backends/?page=2"}

    answer = stop_traffic(asked(Person(is_authenticated=False), **shown))

    assert answer.status_code == 200
    assert answer["HX-Redirect"] == "/accounts/login/?next=/backends/%3Fpage%3D2"


def test_the_sign_in_middleware_answers_htmx_the_same_way() -> None:
    middleware = SignInMiddleware(lambda request: HttpResponse())
    request = asked(Person(is_authenticated=False), HX_Request="true")

    answer = middleware.process_view(request, lambda request: HttpResponse(), (), {})

    assert answer["HX-Redirect"].startswith("/accounts/login/")


def test_open_to_all_states_it_and_lets_the_sign_in_middleware_pass() -> None:
    opened = open_to_all(lambda request: HttpResponse())

    assert opened.needs == ()
    assert opened.open_to_all is True
    assert opened.login_required is False
