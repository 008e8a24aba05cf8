"""API keys: shown once and stored nowhere; rotation overlaps; revocation has a reason."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils import timezone

from accounts.models import ApiKey
from accounts.secrets import is_well_formed
from audit.models import Event

pytestmark = pytest.mark.django_db
As = Callable[[str], Client]


def form(**changes: Any) -> dict[str, Any]:
    return {
        "name": "claims-portal",
        "owner": "Claims",
        "data_class_ceiling": "confidential",
        "boundary_ceiling": "private",
        "requests_per_minute": 600,
        "expires_on": (timezone.now() + timedelta(days=90)).date().isoformat(),
        "reason": "New application",
        **changes,
    }


def text_on(answer: Any) -> str:
    found = re.search(r"sbx_live_[0-9A-Za-z]{57}", answer.content.decode())
    assert found
    return found.group()


@pytest.fixture
def key(as_person: As) -> ApiKey:
    as_person("olivia").post("/settings/keys/new/", form())
    return ApiKey.objects.get()


def test_text_is_shown_once_and_only_its_hash_is_kept(as_person: As) -> None:
    browser = as_person("olivia")
    answer = browser.post("/settings/keys/new/", form())
    text = text_on(answer)
    key = ApiKey.objects.get()
    assert answer.status_code == 201
    assert answer["Cache-Control"] == "no-store"
    assert is_well_formed(text)
    assert bytes(key.secret_sha256) == hashlib.sha256(text.encode()).digest()
    for url in ("/settings/keys/", f"/settings/keys/{key.public_id}/"):
        assert text not in browser.get(url).content.decode()


def test_text_is_in_no_session_and_not_in_the_trail(as_person: As) -> None:
    text = text_on(as_person("olivia").post("/settings/keys/new/", form()))
    secret = text.removeprefix("sbx_live_")[8:51]
    assert all(secret.encode() not in bytes(event.body) for event in Event.objects.all())
    assert all(secret not in str(session.get_decoded()) for session in Session.objects.all())


def test_issuing_is_recorded_with_its_rights(as_person: As, key: ApiKey) -> None:
    created = Event.objects.get(kind="api_key.created")
    assert (created.actor, created.object_id, created.reason) == (
        "olivia",
        key.public_id,
        "New application",
    )


@pytest.mark.parametrize(
    "wrong",
    [
        {"reason": ""},
        {"name": ""},
        {"expires_on": "2020-01-01"},
        {"expires_on": "2999-01-01"},
        {"data_class_ceiling": "top-secret"},
        {"requests_per_minute": 0},
        {"routes": ["no-such-route"]},
    ],
)
def test_wrong_form_issues_nothing(as_person: As, wrong: dict[str, Any]) -> None:
    answer = as_person("olivia").post("/settings/keys/new/", form(**wrong))
    assert answer.status_code == 422
    assert not ApiKey.objects.exists()


def test_rotation_gives_a_successor_and_the_old_key_an_end(as_person: As, key: ApiKey) -> None:
    answer = as_person("olivia").post(
        f"/settings/keys/{key.public_id}/rotate/", {"overlap": "3600", "reason": "Yearly"}
    )
    text_on(answer)
    key.refresh_from_db()
    successor = ApiKey.objects.get(replaces=key)
    left = key.expires_at - timezone.now()
    assert timedelta(minutes=59) < left <= timedelta(hours=1)
    assert (successor.name, successor.data_class_ceiling) == (key.name, key.data_class_ceiling)


def test_revoked_key_cannot_be_rotated(as_person: As, key: ApiKey) -> None:
    browser = as_person("olivia")
    browser.post(f"/settings/keys/{key.public_id}/revoke/", {"reason": "Leaked"})
    answer = browser.post(
        f"/settings/keys/{key.public_id}/rotate/", {"overlap": "0", "reason": "Again"}
    )
    assert answer.status_code == 409
    assert ApiKey.objects.count() == 1


def test_revoking_needs_a_reason_and_happens_once(as_person: As, key: ApiKey) -> None:
    browser, url = as_person("sam"), f"/settings/keys/{key.public_id}/revoke/"
    assert browser.post(url, {"reason": " "}).status_code == 422
    assert browser.post(url, {"reason": "Leaked"}).status_code == 303
    assert browser.post(url, {"reason": "Leaked"}).status_code == 409
    assert Event.objects.filter(kind="api_key.revoked").count() == 1


@pytest.mark.parametrize("name", ["arjun", "petra", "rui", "ada", "nobody"])
def test_others_issue_no_keys(as_person: As, name: str) -> None:
    assert as_person(name).post("/settings/keys/new/", form()).status_code == 403
    assert not ApiKey.objects.exists()


def test_auditor_sees_keys_and_no_way_to_change_them(as_person: As, key: ApiKey) -> None:
    page = as_person("ada").get(f"/settings/keys/{key.public_id}/").content.decode()
    assert key.prefix in page
    assert "/rotate/" not in page


def test_list_shows_state_and_takes_few_queries(
    as_person: As, key: ApiKey, django_assert_max_num_queries: Any
) -> None:
    ApiKey.objects.filter(pk=key.pk).update(expires_at=timezone.now() + timedelta(days=3))
    browser = as_person("ada")
    with django_assert_max_num_queries(9):
        page = browser.get("/settings/keys/?state=expiring")
    assert [row.state for row in page.context["rows"]] == ["expiring"]


def test_last_day_is_filled_in_as_the_browser_reads_it(as_person: As) -> None:
    day = (timezone.now() + timedelta(days=90)).date().isoformat()
    assert f'value="{day}"' in as_person("olivia").get("/settings/keys/new/").content.decode()


def test_first_key_is_offered_where_there_is_none(as_person: As) -> None:
    assert b"Issue the first key" in as_person("olivia").get("/settings/keys/").content
