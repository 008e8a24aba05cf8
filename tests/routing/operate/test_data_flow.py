"""The data-flow document: what is permitted, what was seen, what changed, and what was issued."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.test import Client
from django.utils import timezone

from accounts.models import User
from audit.models import Event
from routing.engine.canonical import digest as digest_of
from routing.models import Backend, DataFlowIssue, Decision, PolicyVersion, SignOff
from routing.queries import data_flow as queries
from routing.services import data_flow
from screens.charts.data_flow import Line, data_flow_picture
from screens.errors import Invalid, NotAllowed
from tests.routing.conftest import backend_fields

As = Callable[[str], Client]
People = dict[str, Any]


@pytest.fixture
def outside(active_version: PolicyVersion, people: People) -> Backend:
    """The default goes to a public backend, signed off for internal data."""
    made = Backend.objects.create(
        name="outside",
        state="active",
        **backend_fields(
            tier="llm", boundary="public", region="eu-west", processor="Example Models Ltd"
        ),
    )
    document = {
        **active_version.document,
        "default": {"then": {"route": {"tier": "llm", "targets": ["outside"]}}},
    }
    now = timezone.now()
    PolicyVersion.objects.filter(pk=active_version.pk).update(state="retired", retired_at=now)
    PolicyVersion.objects.create(
        route=active_version.route,
        number=active_version.number + 1,
        state="active",
        document=document,
        digest=digest_of(document),
        author=people["arjun"],
        submitted_at=now,
        approved_at=now,
        activated_at=now,
        activated_by=people["petra"],
    )
    SignOff.objects.create(
        backend=made,
        data_class="internal",
        purpose="Support",
        risk_reference="RISK-7",
        state="granted",
        requested_by=people["olivia"],
        first_approver=people["petra"],
        second_approver=User.objects.create_user(username="quinn"),
        valid_from=now - timedelta(days=1),
        valid_to=now + timedelta(days=60),
    )
    return made


def found(document: dict[str, Any], backend: str) -> set[str]:
    return {flow["data_class"] for flow in document["flows"] if flow["backend"] == backend}


def test_only_the_signed_class_leaves(outside: Backend) -> None:
    document = data_flow.build()

    assert found(document, "outside") == {"internal"}
    flow = next(f for f in document["flows"] if f["backend"] == "outside")
    assert flow["signoff"]["risk_reference"] == "RISK-7"
    assert [way["rule"] for way in flow["ways"]] == ["default"]
    assert {(c["data_class"], c["why"]) for c in document["closed"]} >= {
        ("restricted", "no sign-off"),
        ("confidential", "no sign-off"),
    }


def test_a_revoked_sign_off_takes_its_flow_out(outside: Backend) -> None:
    SignOff.objects.update(state="revoked", ended_at=timezone.now(), end_reason="x")

    assert found(data_flow.build(), "outside") == set()


def test_what_was_seen_stands_beside_what_may_be_and_the_rest_is_counted(
    outside: Backend, listed: Callable[..., Decision], as_person: As
) -> None:
    listed(data_class="internal", backend="outside", boundary="public")
    listed(data_class="restricted", backend="outside", boundary="public")
    listed(data_class="restricted", backend="outside", boundary="public", outcome="blocked")

    page = queries.shown(data_flow.build())
    text = as_person("ada").get("/data-flow/").text

    assert (page.not_permitted, page.not_permitted_requests) == (1, 1)
    wrong = [row for row in page.rows if not row.is_permitted]
    assert [(row.flow["data_class"], row.observed) for row in wrong] == [("restricted", 1)]
    assert "row-wrong" in text
    assert "1 observed way not permitted today, 1 request in 30 days" in text


def test_a_decision_older_than_30_days_is_not_in_it(
    outside: Backend, listed: Callable[..., Decision]
) -> None:
    from audit.ids import uuid7

    old = timezone.now() - timedelta(days=31)
    listed(
        id=uuid7(int(old.timestamp() * 1e6)),
        at=old,
        data_class="restricted",
        backend="outside",
        boundary="public",
    )

    assert queries.shown(data_flow.build()).not_permitted == 0


def test_an_issued_version_is_frozen_and_recorded(outside: Backend, people: People) -> None:
    issue = data_flow.issue_document(by=people["ada"], note="Yearly review")

    assert issue.digest == digest_of(issue.document)
    event = Event.objects.get(kind="data_flow.issued")
    assert event.entry["details"]["digest"] == issue.digest
    with pytest.raises(DatabaseError), transaction.atomic():
        DataFlowIssue.objects.filter(pk=issue.pk).update(note="Other")
    with pytest.raises(DatabaseError), transaction.atomic():
        issue.delete()


def test_issuing_needs_the_right_and_a_note(outside: Backend, people: People) -> None:
    with pytest.raises(NotAllowed):
        data_flow.issue_document(by=people["arjun"], note="Mine")
    with pytest.raises(Invalid):
        data_flow.issue_document(by=people["ada"], note=" ")


def test_the_difference_names_the_newly_possible_first(
    outside: Backend, people: People, as_person: As
) -> None:
    SignOff.objects.update(state="revoked", ended_at=timezone.now(), end_reason="x")
    data_flow.issue_document(by=people["ada"], note="Before")
    now = timezone.now()
    SignOff.objects.create(
        backend=outside,
        data_class="confidential",
        purpose="Support",
        risk_reference="RISK-8",
        state="granted",
        requested_by=people["olivia"],
        first_approver=people["petra"],
        second_approver=people["sam"],
        valid_from=now,
        valid_to=now + timedelta(days=60),
    )

    said = queries.differences(DataFlowIssue.objects.get().document, data_flow.build())

    assert said[0].kind == "new"
    assert said[0].sentence.startswith("confidential data of support-triage to public outside")
    assert "is newly possible" in as_person("ada").get("/data-flow/").text


def test_nothing_changed_says_so(outside: Backend, people: People) -> None:
    issue = data_flow.issue_document(by=people["ada"], note="Now")

    assert queries.differences(issue.document, data_flow.build()) == []


def test_an_auditor_issues_by_the_form_and_others_do_not(outside: Backend, as_person: As) -> None:
    assert as_person("ada").post("/data-flow/issue/", {"reason": " "}).status_code == 422
    assert as_person("arjun").post("/data-flow/issue/", {"reason": "x"}).status_code == 403

    answer = as_person("ada").post("/data-flow/issue/", {"reason": "Yearly review"})

    assert answer.headers["Location"] == "/data-flow/versions/1/"
    page = as_person("arjun").get("/data-flow/versions/1/").text
    assert DataFlowIssue.objects.get().digest in page
    assert as_person("arjun").get("/data-flow/versions/2/").status_code == 404


def test_the_csv_has_every_row_of_the_page(outside: Backend, as_person: As) -> None:
    rows = list(csv.DictReader(io.StringIO(as_person("ada").get("/data-flow.csv").text)))

    assert len(rows) == len(queries.shown(data_flow.build()).rows)
    out = next(row for row in rows if row["backend"] == "outside")
    assert (out["data_class"], out["risk_reference"], out["is_permitted"]) == (
        "internal",
        "RISK-7",
        "yes",
    )


def test_an_empty_installation_has_a_document_too(people: People, as_person: As) -> None:
    page = as_person("ada").get("/data-flow/")

    assert page.status_code == 200
    assert "nothing can leave" in page.text


def test_the_drawing_marks_what_is_not_permitted_and_says_it_in_words() -> None:
    picture = data_flow_picture(
        ["restricted", "internal"],
        {"in": "private", "out": "public"},
        [
            Line(start="internal", end="out", count=0, is_permitted=True),
            Line(start="restricted", end="in", count=3, is_permitted=True),
            Line(start="restricted", end="out", count=1, is_permitted=False),
        ],
    )

    assert [path.look for path in picture.paths] == ["open", "seen", "wrong"]
    assert "Restricted data may go to in and never leaves." in picture.sentence
    assert "Internal data may go to no private backend and leaves to out." in picture.sentence
    assert "1 observed way is not permitted." in picture.sentence


def test_an_issued_version_is_printed_with_the_same_bytes_every_time(
    outside: Backend, people: People, as_person: As
) -> None:
    issue = data_flow.issue_document(by=people["ada"], note="Yearly review")
    address = f"/data-flow.pdf?issue={issue.number}"

    first = as_person("ada").get(address)
    again = as_person("ada").get(address)

    assert (first.status_code, first.content[:5]) == (200, b"%PDF-")
    assert first.content == again.content


def test_the_document_as_it_is_now_can_be_printed_too(outside: Backend, as_person: As) -> None:
    assert as_person("ada").get("/data-flow.pdf").content.startswith(b"%PDF-")


def test_no_cell_of_the_csv_is_a_formula(outside: Backend, as_person: As) -> None:
    Backend.objects.filter(pk=outside.pk).update(region="=1+1")

    found = as_person("ada").get("/data-flow.csv").content.decode()

    assert "'=1+1" in found
    assert ",=1+1" not in found
