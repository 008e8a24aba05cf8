"""People: others change their rights, at once, with a reason; one administrator always stays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.test import Client

from accounts.models import User
from accounts.services import people as services
from audit.models import Event
from screens.access import ROLES, roles_of
from screens.errors import Conflict, Invalid, NotAllowed
from tests.accounts.conftest import PASSWORD

pytestmark = pytest.mark.django_db
As = Callable[[str], Client]

NEW: dict[str, Any] = {
    "username": "ines",
    "full_name": "Ines Prado",
    "job": "Reviewer",
    "password": PASSWORD,
    "roles": ["reviewer"],
    "reason": "Joins the team",
}


def url(person: Any, act: str = "") -> str:
    return f"/settings/people/{person.pk}/{act}"


def test_administrator_adds_a_person_who_can_sign_in(as_person: As, client: Client) -> None:
    assert as_person("sam").post("/settings/people/new/", NEW).status_code == 303
    client.post("/accounts/login/", {"username": "ines", "password": PASSWORD})
    assert client.get("/decisions/").status_code == 200
    created = Event.objects.get(kind="person.created")
    assert (created.actor, created.object_id, created.reason) == ("sam", "ines", "Joins the team")


def test_password_is_nowhere_in_the_trail(as_person: As) -> None:
    as_person("sam").post("/settings/people/new/", NEW)
    assert all(PASSWORD.encode() not in bytes(event.body) for event in Event.objects.all())


@pytest.mark.parametrize("weak", ["short-1", "password1234", "inespradoines"])
def test_weak_first_password_is_refused_beside_the_form(as_person: As, weak: str) -> None:
    answer = as_person("sam").post("/settings/people/new/", {**NEW, "password": weak})
    assert answer.status_code == 422
    assert answer.context["form"].errors["password"]
    assert not User.objects.filter(username="ines").exists()


def test_name_that_is_taken_is_said_beside_the_form(as_person: As) -> None:
    answer = as_person("sam").post("/settings/people/new/", {**NEW, "username": "rui"})
    assert answer.status_code in (409, 422)
    assert b"already exists" in answer.content or b"exists already" in answer.content


@pytest.mark.parametrize("name", ["olivia", "arjun", "petra", "rui", "ada", "nobody"])
def test_only_administrators_manage_people(as_person: As, people: Any, name: str) -> None:
    browser = as_person(name)
    assert browser.post("/settings/people/new/", NEW).status_code == 403
    assert browser.post(url(people["rui"], "roles/"), {"roles": ["operator"]}).status_code == 403
    assert not User.objects.filter(username="ines").exists()


def test_role_change_is_recorded_with_before_and_after(as_person: As, people: Any) -> None:
    answer = as_person("sam").post(
        url(people["rui"], "roles/"),
        {"roles": ["reviewer", "lead_reviewer"], "reason": "Promotion"},
    )
    assert answer.status_code == 303
    diff = Event.objects.get(kind="person.roles_changed").entry["diff"]
    assert diff == [
        {"field": "roles", "before": ["reviewer"], "after": ["reviewer", "lead_reviewer"]}
    ]


def test_role_change_ends_the_sessions_of_the_person(as_person: As, people: Any) -> None:
    session = as_person("rui")
    assert session.get("/").status_code == 200
    as_person("sam").post(url(people["rui"], "roles/"), {"roles": ["author"], "reason": "Moves"})
    assert session.get("/").status_code == 302


def test_role_change_needs_a_reason(as_person: As, people: Any) -> None:
    answer = as_person("sam").post(url(people["rui"], "roles/"), {"roles": ["author"]})
    assert answer.status_code == 422
    assert roles_of(User.objects.get(username="rui")) == ("reviewer",)


def test_administrator_cannot_change_own_roles_and_the_try_is_recorded(
    as_person: As, people: Any
) -> None:
    answer = as_person("sam").post(
        url(people["sam"], "roles/"), {"roles": ["administrator", "approver"], "reason": "Quick"}
    )
    assert answer.status_code == 403
    assert roles_of(User.objects.get(username="sam")) == ("administrator",)
    assert Event.objects.get(kind="access.denied").entry["details"]["code"] == "own_account"


def test_groups_that_are_no_role_stay(as_person: As, people: Any) -> None:
    people["rui"].groups.add(Group.objects.create(name="building-b"))
    as_person("sam").post(url(people["rui"], "roles/"), {"roles": ["author"], "reason": "Moves"})
    names = set(people["rui"].groups.values_list("name", flat=True))
    assert names == {"building-b", "author"}


def test_deactivated_person_is_out_at_once(as_person: As, people: Any) -> None:
    session = as_person("rui")
    as_person("sam").post(url(people["rui"], "deactivate/"), {"reason": "Left the company"})
    assert session.get("/").status_code == 302
    assert Event.objects.get(kind="person.deactivated").reason == "Left the company"


def test_deactivating_twice_is_a_conflict(as_person: As, people: Any) -> None:
    browser = as_person("sam")
    browser.post(url(people["rui"], "deactivate/"), {"reason": "Left"})
    assert browser.post(url(people["rui"], "deactivate/"), {"reason": "Left"}).status_code == 409


def test_reactivated_person_keeps_the_roles(as_person: As, people: Any) -> None:
    browser = as_person("sam")
    browser.post(url(people["rui"], "deactivate/"), {"reason": "Leave"})
    browser.post(url(people["rui"], "reactivate/"), {"reason": "Back"})
    assert roles_of(User.objects.get(username="rui")) == ("reviewer",)


def test_last_administrator_cannot_lose_the_role(people: Any) -> None:
    root = User.objects.create_superuser(username="root")
    with pytest.raises(services.LastAdministrator):
        services.change_roles(person=people["sam"], by=root, reason="Cleanup", roles=["author"])
    with pytest.raises(services.LastAdministrator):
        services.deactivate_person(person=people["sam"], by=root, reason="Cleanup")
    assert roles_of(User.objects.get(username="sam")) == ("administrator",)


def test_an_inactive_administrator_does_not_count(people: Any) -> None:
    root = User.objects.create_superuser(username="root")
    spare = services.create_person(
        by=root, reason="Spare", username="spare", password=PASSWORD, roles=["administrator"]
    )
    services.deactivate_person(person=spare, by=root, reason="Leave")
    with pytest.raises(Conflict):
        services.deactivate_person(person=people["sam"], by=root, reason="Cleanup")


def test_administrator_cannot_take_over_a_superuser(people: Any) -> None:
    root = User.objects.create_superuser(username="root")
    with pytest.raises(NotAllowed):
        services.set_password(person=root, by=people["sam"], reason="Forgot", password=PASSWORD)


def test_unknown_role_is_refused(people: Any) -> None:
    with pytest.raises(Invalid):
        services.change_roles(person=people["rui"], by=people["sam"], reason="x", roles=["king"])


def test_page_says_what_a_person_can_do_and_why(as_person: As, people: Any) -> None:
    rows = as_person("ada").get(url(people["noor"])).context["permissions"]
    by_code = {row["code"]: row for row in rows}
    assert by_code["review.decide"]["reasons"] == ["Reviewer", "Lead reviewer"]
    assert by_code["routing.operate"]["is_given"] is False
    assert by_code["routing.operate"]["would_give"] == ["Operator"]


def test_roles_in_conflict_are_flagged(as_person: As, people: Any) -> None:
    people["petra"].groups.add(Group.objects.get_or_create(name="author")[0])
    page = as_person("ada").get(url(people["petra"])).content.decode()
    assert "Policy author and Approver in one hand" in page


def test_auditor_sees_no_forms_to_change(as_person: As, people: Any) -> None:
    page = as_person("ada").get(url(people["rui"])).content.decode()
    assert url(people["rui"], "roles/") not in page


def test_list_is_searched_and_takes_few_queries(
    as_person: As, people: Any, django_assert_max_num_queries: Any
) -> None:
    browser = as_person("ada")
    page = browser.get("/settings/people/?role=reviewer&text=no").context["page"]
    assert [person.username for person in page.items] == ["noor"]
    with django_assert_max_num_queries(9):
        browser.get("/settings/people/")


def test_matrix_shows_every_role(as_person: As) -> None:
    page = as_person("ada").get("/settings/people/roles/").content.decode()
    assert all(role.name in page for role in ROLES.values())
