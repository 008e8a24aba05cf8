"""Routes and versions as people read them, by role, with figures that add up."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from audit.ids import uuid7
from routing.models import Decision, KillSwitch, PolicyVersion, Route
from routing.services import registry

People = dict[str, Any]


@pytest.mark.parametrize("who", ["olivia", "arjun", "petra", "rui", "ada", "sam"])
def test_everyone_with_a_role_reads_routes_and_versions(
    active_version: PolicyVersion, people: People, who: str, signed_in: Any
) -> None:
    client = signed_in(who)
    for to in (reverse("routes"), reverse("route", args=["support"]), active_version):
        answer = client.get(to if isinstance(to, str) else to.get_absolute_url())
        assert answer.status_code == 200
        assert "Short questions" in answer.content.decode() or to == reverse("routes")


def test_a_person_without_a_role_reads_nothing(
    active_version: PolicyVersion, people: People, signed_in: Any
) -> None:
    client = signed_in("nobody")
    assert client.get(reverse("routes")).status_code == 403
    assert client.get(active_version.get_absolute_url()).status_code == 403


def test_a_visitor_is_asked_to_sign_in(active_version: PolicyVersion, client: Client) -> None:
    answer = client.get(active_version.get_absolute_url())
    assert answer.status_code == 302
    assert "login" in answer["Location"]


def test_an_unknown_route_or_version_is_a_404(author: Client, route: Route) -> None:
    assert author.get("/routes/nothing/").status_code == 404
    assert author.get("/routes/support/versions/77/").status_code == 404


def test_a_route_without_a_policy_says_what_to_do(author: Client, route: Route) -> None:
    page = author.get(reverse("route", args=["support"])).content.decode()
    assert "No active policy" in page
    assert reverse("import-draft", args=["support"]) in page


def decided(rule: str, **changed: Any) -> None:
    from django.utils import timezone

    values: dict[str, Any] = {
        "at": timezone.now(),
        "deadline_at": timezone.now(),
        "route": "support",
        "client": "help-desk",
        "client_id": "c",
        "request_id": "r",
        "policy": "support@1",
        "policy_digest": "sha256:0",
        "rule": rule,
        "cause": "rule_match",
        "action": "route",
        "outcome": "served",
        "tier": "slm",
        "data_class": "internal",
        **changed,
    }
    Decision.objects.create(id=uuid7(), **values)


def test_the_flow_adds_up_whatever_became_of_the_requests(
    active_version: PolicyVersion, author: Client
) -> None:
    decided("narrow-work")
    decided("narrow-work", cause="uncertain_escalated", tier="llm")
    decided("default", tier="llm")
    decided("default", tier="", action="hold", outcome="served")
    decided("default", tier="", action="safe_default", outcome="safe_default")
    decided("default", tier="", action="refuse", outcome="refused")
    decided("default", tier="llm", outcome="failed")
    decided("gone-rule", tier="llm", outcome="aborted")
    flow = author.get(reverse("route", args=["support"])).context["flow"]
    boxes = {box.look + box.label: box.count for box in flow.outcomes}
    assert flow.requests.count == 8
    assert sum(boxes.values()) == 8
    assert (boxes["slmSmall model (SLM)"], boxes["llmLarger model (LLM)"]) == (2, 2)
    assert flow.escalated == 1
    assert [(rule.name, rule.count) for rule in flow.rules] == [
        ("Short questions", 2),
        ("Default", 5),
        ("gone-rule (earlier version)", 1),
    ]


def test_the_list_shows_shares_and_open_versions(draft: PolicyVersion, author: Client) -> None:
    decided("narrow-work")
    decided("default", tier="llm")
    page = author.get(reverse("routes")).content.decode()
    assert "50\u00a0%" in page
    assert draft.get_absolute_url() in page


def test_an_engaged_switch_is_said_on_the_route(
    active_version: PolicyVersion, people: People, signed_in: Any
) -> None:
    registry.engage_switch(
        scope=KillSwitch.Scope.ROUTE, target="support", by=people["olivia"], reason="Incident 7"
    )
    page = signed_in("ada").get(reverse("route", args=["support"])).content.decode()
    assert "This route is stopped." in page
    assert "Incident 7" in page
