"""The policy dossier: complete, the same for the same version, and deaf to what people type."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from routing.models import PolicyVersion
from routing.queries import dossier as queries
from routing.services import policies
from tests.routing.conftest import policy_document

People = dict[str, Any]
SignIn = Callable[[str], Client]
NASTY = '#panic("x") *bold* $x$ <script>alert(1)</script> @ref `raw` "quoted" \\ } ]'


@pytest.fixture
def nasty(active_version: PolicyVersion, people: People) -> PolicyVersion:
    document = policy_document(
        owner=NASTY[:60],
        rules=[
            {
                "id": "one",
                "name": NASTY,
                "note": NASTY,
                "when": {"all": [{"prompt_tokens": {"lte": 120}}]},
                "then": {"hold": {"queue": "q", "hold_s": 20, "on_timeout": "safe_default"}},
            }
        ],
        invariants=[
            {"forbid": {"data_class": {"in": ["restricted"]}, "boundary": {"in": ["public"]}}}
        ],
        tests=[{"given": {"prompt_tokens": 5}, "expect": {"outcome": "hold"}}],
    )
    return policies.start_draft(slug="support", by=people["arjun"], document=document)


def test_the_same_version_gives_the_same_bytes(active_version: PolicyVersion) -> None:
    first, second = queries.dossier_of(active_version), queries.dossier_of(active_version)

    assert first == second
    assert queries.as_pdf(first, active_version) == queries.as_pdf(second, active_version)


def test_it_names_who_approved_what_and_what_is_missing(active_version: PolicyVersion) -> None:
    dossier = queries.dossier_of(active_version)

    assert dossier["approvals"][0]["comment"] == "Good."
    assert dossier["approvals"][0]["digest"] == active_version.digest
    assert (dossier["evaluation"]["sentence"], dossier["shadow"]) == ("None yet.", "None yet.")
    assert (dossier["evaluation"]["metrics"], dossier["backtests"]) == ([], [])
    assert {flow["backend"] for flow in dossier["flows"]} == {"small", "large"}
    assert dossier["thresholds"][0]["why"] == "The version does not say how it was chosen."


def test_hooks_proofs_and_tests_are_in_it(nasty: PolicyVersion) -> None:
    dossier = queries.dossier_of(nasty)

    assert "queue q, 20 s, then safe default" in dossier["hooks"][0]
    assert dossier["proofs"][0]["is_proved"]
    assert dossier["tests"][0]["passed"]


def test_what_people_type_is_text_in_both_forms(nasty: PolicyVersion, signed_in: SignIn) -> None:
    client = signed_in("arjun")

    page = client.get(f"/routes/support/versions/{nasty.number}/dossier/")
    pdf = client.get(f"/routes/support/versions/{nasty.number}/dossier.pdf")

    assert "<script>alert(1)" not in page.text
    assert (pdf.status_code, pdf.headers["Content-Type"]) == (200, "application/pdf")
    assert pdf.content.startswith(b"%PDF-")


def test_the_page_carries_its_id_and_hash_on_every_sheet(
    active_version: PolicyVersion, signed_in: SignIn
) -> None:
    page = signed_in("ada").get(f"/routes/support/versions/{active_version.number}/dossier/").text

    assert f"{active_version} · {queries.dossier_of(active_version)['hash']}" in page
    assert signed_in("nobody").get("/routes/support/versions/1/dossier.pdf").status_code == 403
    assert signed_in("ada").get("/routes/support/versions/99/dossier/").status_code == 404


def test_a_draft_that_cannot_be_read_has_a_dossier_that_says_so(
    active_version: PolicyVersion, people: People, signed_in: SignIn
) -> None:
    broken = {**policy_document(), "rules": [{"id": "x", "when": {}, "then": {"fly": True}}]}
    draft = policies.start_draft(slug="support", by=people["arjun"], document=broken)

    page = signed_in("arjun").get(f"/routes/support/versions/{draft.number}/dossier/")
    pdf = signed_in("arjun").get(f"/routes/support/versions/{draft.number}/dossier.pdf")

    assert (page.status_code, pdf.status_code) == (200, 200)
    assert "cannot be read" in page.text
