"""Policies by program: drafts with If-Match, findings with witnesses, and never an approval."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from routing.models import PolicyVersion, Route
from routing.services import policies
from tests.routing.conftest import policy_document

pytestmark = pytest.mark.django_db
Start = Callable[..., Any]


def begun(author: Any, **changed: Any) -> Any:
    return author.post("routes/support/versions", {"document": policy_document(**changed)})


@pytest.mark.usefixtures("backends", "route")
def test_whole_way_from_draft_to_active(program: Start, people: dict[str, Any]) -> None:
    author, operator = program("arjun"), program("olivia")
    number = begun(author).json()["number"]
    version = f"routes/support/versions/{number}"

    findings = author.get(f"{version}/findings").json()["items"]
    assert not any(finding["blocking"] for finding in findings)
    submitted = author.post(f"{version}/submit", {"summary": "Short questions go to the SLM."})
    stored = PolicyVersion.objects.get(number=number)
    for person in ("petra", "pavel"):
        stored.refresh_from_db()
        if stored.state == "in_review":
            policies.judge_version(
                version=stored, by=people[person], verdict="approve", comment="ok"
            )
    activated = operator.post(f"{version}/activate", {"reason": "reviewed"})

    assert submitted.json()["state"] == "in_review"
    assert activated.json()["state"] == "active"
    assert operator.get("routes/support").json()["active_version"] == number


@pytest.mark.usefixtures("backends", "route")
def test_change_without_the_etag_that_was_read_is_refused(program: Start) -> None:
    author = program("arjun")
    first = begun(author)
    path = f"routes/support/versions/{first.json()['number']}"
    body = {"document": policy_document(owner="claims")}

    blind = author.send("PUT", path, body)
    edited = author.send("PUT", path, body, if_match=first["ETag"])
    stale = author.send("PUT", path, body, if_match=first["ETag"])

    assert (blind.status_code, edited.status_code, stale.status_code) == (428, 200, 412)
    assert edited["ETag"] != first["ETag"]
    assert author.get(path)["ETag"] == edited["ETag"]


@pytest.mark.usefixtures("backends", "route")
def test_blocking_finding_stops_the_submission(program: Start) -> None:
    author = program("arjun")
    document = policy_document()
    document["rules"][0]["then"]["route"]["targets"] = ["nowhere"]
    number = author.post("routes/support/versions", {"document": document}).json()["number"]

    findings = author.get(f"routes/support/versions/{number}/findings").json()["items"]
    answer = author.post(f"routes/support/versions/{number}/submit", {"summary": "try"})

    assert any(finding["blocking"] for finding in findings)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "policy_invalid"


@pytest.mark.usefixtures("backends", "route")
def test_simulation_decides_and_changes_nothing(program: Start) -> None:
    author = program("arjun")
    number = begun(author).json()["number"]

    answer = author.post(
        f"routes/support/versions/{number}/simulate",
        {"prompt": "Where is my parcel?", "data_class": "internal"},
    ).json()

    assert answer["decision"]["rule"] == "narrow-work"
    assert answer["decision"]["backend"] == "small"


@pytest.mark.usefixtures("backends", "route")
def test_there_is_no_approval_by_program(program: Start) -> None:
    author = program("arjun")
    number = begun(author).json()["number"]

    assert program("petra").post(f"routes/support/versions/{number}/judge").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        '{"document": [1]}',
        '{"document": {"schema": "a\\u0000b"}}',
        '{"document": {"schema": "\\ud800"}}',
        '{"document": "text"}',
        "{",
        "[]",
        '{"base": 99999999999999999999}',
    ],
)
def test_malformed_body_is_a_400_that_loses_nothing(
    program: Start, route: Route, body: str
) -> None:
    answer = program("arjun").post("routes/support/versions", body)

    assert answer.status_code == 400
    assert answer.json()["error"]["message"]
    assert not PolicyVersion.objects.filter(author__username="arjun", state="draft").exists()


def test_unknown_address_is_json(program: Start) -> None:
    answer = program("ada").get("nowhere/at/all")

    assert answer.status_code == 404
    assert answer.json()["error"]["what_next"]
