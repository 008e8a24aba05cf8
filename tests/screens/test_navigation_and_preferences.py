"""What a person sees beside every page, and that their preferences hold without a script."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client, RequestFactory
from django.urls import reverse

from screens import navigation, preferences


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every entry has an address, whichever rooms are finished."""
    urls = {
        "overview": "/",
        "audit-trail": "/audit/",
        "audit-health": "/audit/health/",
        "review-queue": "/review/",
    }
    monkeypatch.setattr(navigation, "_url_of", lambda name: urls.get(name, f"/{name}/"))


def labels(user: Any, path: str = "/") -> list[str]:
    return [link.label for group in navigation.links_for(user, path) for link in group.links]


@pytest.mark.usefixtures("addresses")
def test_a_person_sees_only_what_they_may_open(people: dict[str, Any]) -> None:
    assert labels(people["rui"]) == [
        "Overview",
        "Decisions",
        "Review",
        "Routes and policies",
        "Backends",
        "Classifiers",
        "Sign-offs",
        "Data flow",
    ]


@pytest.mark.usefixtures("addresses")
def test_a_person_without_a_role_sees_no_entry(people: dict[str, Any]) -> None:
    assert labels(people["nobody"]) == []


@pytest.mark.usefixtures("addresses")
@pytest.mark.parametrize(
    ("path", "current"),
    [
        ("/", "Overview"),
        ("/audit/", "Audit trail"),
        ("/audit/health/", "Integrity"),
        ("/audit/019e2b7c/", "Audit trail"),
    ],
)
def test_exactly_the_closest_entry_is_current(
    people: dict[str, Any], path: str, current: str
) -> None:
    groups = navigation.links_for(people["ada"], path)

    assert [link.label for group in groups for link in group.links if link.is_current] == [current]


@pytest.mark.usefixtures("addresses")
def test_a_registered_count_stands_beside_its_entry(
    people: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(navigation, "_badges", {})
    navigation.badge("review-queue", "cases waiting")(lambda user: 7)

    review = navigation.links_for(people["rui"], "/")[0].links[2]

    assert (review.count, review.count_label) == (7, "cases waiting")


@pytest.mark.parametrize("cookie", ["", "sepia", "<script>"])
def test_an_unknown_theme_counts_as_the_device_s(cookie: str) -> None:
    request = RequestFactory().get("/")
    request.COOKIES["theme"] = cookie

    assert preferences.read(request).theme == "system"


@pytest.fixture
def signed_in(client: Client, people: dict[str, Any]) -> Client:
    client.force_login(people["olivia"])
    return client


def test_a_chosen_theme_is_in_the_page_the_server_sends(signed_in: Client) -> None:
    address = reverse("preferences")

    answer = signed_in.post(address, {"theme": "dark", "live_paused": "on"})
    page = signed_in.get(address).text

    assert answer.status_code == 303
    assert 'data-theme="dark" data-shortcuts="off" data-live="paused"' in page


def test_a_theme_that_does_not_exist_is_refused_with_422(signed_in: Client) -> None:
    assert signed_in.post(reverse("preferences"), {"theme": "sepia"}).status_code == 422


def test_an_anonymous_visitor_is_asked_to_sign_in_first(client: Client, db: None) -> None:
    assert client.get(reverse("preferences")).status_code == 302


def test_the_style_guide_shows_every_part(signed_in: Client) -> None:
    page = signed_in.get(reverse("styleguide")).text

    assert "&lt;script&gt;alert(1)&lt;/script&gt; stays as it was written" in page
    assert 'role="img"' in page


def test_a_missing_page_is_a_page_too(signed_in: Client) -> None:
    answer = signed_in.get("/no-such-page/")

    assert answer.status_code == 404
    assert "Nothing here" in answer.text
