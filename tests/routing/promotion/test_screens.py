from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from routing.models import Rollout
from routing.services.promotion import watching

pytestmark = pytest.mark.django_db
AT = ["support", 2]


def as_(person):
    client = Client()
    client.force_login(person)
    return client


def test_the_button_is_disabled_and_says_which_check_is_missing(candidate, people):
    page = as_(people["olivia"]).get(reverse("promote", args=AT)).content.decode()
    assert "stands in the way" in page
    assert 'disabled aria-describedby="why-not">Propose the promotion' in page
    assert "Eval set" in page


def test_promoting_by_its_pages(candidate, shadowed, waived, people):
    olivia = as_(people["olivia"])
    said = {"reason": "It costs less"}
    assert olivia.post(reverse("propose-promotion", args=AT), said).status_code == 303
    page = olivia.get(reverse("promote", args=AT)).content.decode()
    assert "2 more approvals are needed" in page
    assert as_(people["arjun"]).post(reverse("approve-promotion", args=AT), said).status_code == 403
    for who in ("petra", "pavel"):
        answer = as_(people[who]).post(reverse("approve-promotion", args=AT), said)
        assert answer.status_code == 303
    assert olivia.post(reverse("carry-out-promotion", args=AT), said).status_code == 303
    assert "version 2" in olivia.get(reverse("rollout", args=["support"])).content.decode()


def test_proposing_without_evidence_is_409_in_words(candidate, people):
    answer = as_(people["olivia"]).post(reverse("propose-promotion", args=AT), {"reason": "Now"})
    assert answer.status_code == 409
    assert "inconclusive" in answer.content.decode()


def test_waiving_by_its_form(candidate, people):
    given = {"check": "backtest", "until": "2027-01-01T12:00", "reason": "A new route"}
    petra = as_(people["petra"])
    assert petra.post(reverse("waive-check", args=AT), given | {"until": "x"}).status_code == 422
    assert petra.post(reverse("waive-check", args=AT), given).status_code == 303
    assert "A new route" in petra.get(reverse("promote", args=AT)).content.decode()


def test_an_incident_is_shown_noted_and_tried_again(rollout, traffic, people):
    traffic("support@2", 12, outcome="failed", session="one")
    watching.watch(rollout)
    olivia, at = as_(people["olivia"]), ["support"]
    assert "12 of 12 requests" in olivia.get(reverse("rollout", args=at)).content.decode()
    assert "was stopped" in olivia.get(reverse("overview")).content.decode()
    assert olivia.post(reverse("note-incident", args=at), {"reason": "Backend"}).status_code == 303
    assert olivia.post(reverse("resume-rollout", args=at), {"reason": "Mended"}).status_code == 303
    assert olivia.post(reverse("abort-rollout", args=at), {"reason": ""}).status_code == 422
    assert olivia.post(reverse("abort-rollout", args=at), {"reason": "No"}).status_code == 303
    assert Rollout.objects.filter(state="aborted").count() == 2


def test_a_route_without_a_rollout_says_how_to_begin(active_version, people):
    page = as_(people["ada"]).get(reverse("rollout", args=["support"]))
    assert "No rollout yet" in page.content.decode()
