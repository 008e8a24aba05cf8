from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from kombu.exceptions import OperationalError

import audit
from audit import queries, tasks
from audit.actors import Actor
from audit.models import Event, JobState, Report, Verification
from audit.queries import Filters

ARJUN = Actor("person", "2", "arjun", ("author",))


def record(kind: str = "policy.submitted", **more: Any) -> Any:
    return audit.record(
        kind,
        **{"by": ARJUN, "object_type": "policy_version", "object_id": "support-triage/2", **more},
    )


@pytest.fixture
def auditor(client: Client, people: dict[str, Any]) -> Client:
    client.force_login(people["ada"])
    return client


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Ids that were given to the job queue, which is not there in tests."""
    ids: list[str] = []
    monkeypatch.setattr(tasks.make_report, "delay", ids.append)
    monkeypatch.setattr(tasks.verify_trail, "delay", ids.append)
    return ids


@pytest.mark.parametrize("name", ["audit-trail", "audit-health", "reports"])
def test_people_without_the_permission_see_nothing(
    client: Client, people: dict[str, Any], name: str
) -> None:
    client.force_login(people["nobody"])

    assert client.get(reverse(name)).status_code == 403


@pytest.mark.parametrize("name", ["audit-trail", "audit-health", "reports"])
def test_visitors_are_asked_to_sign_in(client: Client, db: None, name: str) -> None:
    assert client.get(reverse(name)).status_code == 302


@pytest.mark.parametrize("name", ["audit-export", "reports"])
def test_seeing_is_not_exporting(client: Client, people: dict[str, Any], name: str) -> None:
    client.force_login(people["olivia"])

    assert client.post(reverse(name), {"format": "csv"}).status_code == 403


def test_the_trail_says_what_happened_in_words_code_and_json(auditor: Client) -> None:
    record(reason="four eyes please")

    page = auditor.get(reverse("audit-trail")).content.decode()

    assert "arjun submitted policy version support-triage/2 for approval" in page
    assert "policy.submitted" in page
    assert "four eyes please" in page
    assert "&quot;kind&quot;: &quot;policy.submitted&quot;" in page


def test_recorded_text_is_always_text(auditor: Client) -> None:
    record(reason="<script>alert(1)</script>")

    page = auditor.get(reverse("audit-trail")).content.decode()

    assert "<script>alert(1)" not in page


@pytest.mark.parametrize(
    "query",
    [
        {"actor": "arjun"},
        {"kind": "policy.submitted"},
        {"group": "policy"},
        {"object_type": "policy_version"},
        {"object_type": "policy_version", "object_id": "support-triage/2"},
        {"object_id": "support-triage/2"},
        {"text": "eyes"},
        {"result": "ok", "since": "2026-01-01", "until": "2100-01-01"},
    ],
)
def test_each_filter_finds_the_entry(people: dict[str, Any], query: dict[str, str]) -> None:
    wanted = record(reason="four eyes please")
    record("backend.changed", by=Actor("person", "3", "olivia"), object_type="backend",
           object_id="slm", result="failed")  # fmt: skip

    found = queries.trail(Filters.of(query)).events

    assert wanted in {event.pk for event in found}
    assert "backend.changed" not in {event.kind for event in found}


@pytest.mark.parametrize(
    "query",
    [
        {"actor": "nobody at all"},
        {"text": "elephant"},
        {"decision_id": "not an id"},
        {"until": "2020-01-01"},
        {"request_id": "x\x00y"},
    ],
)
def test_a_filter_that_fits_nothing_finds_nothing(db: None, query: dict[str, str]) -> None:
    record()

    assert queries.trail(Filters.of(query)).events == []


def test_pages_follow_each_other_without_gap_or_repetition(db: None) -> None:
    wanted = {record() for _ in range(7)}
    seen: list[Any] = []
    cursor = ""

    for _ in range(3):
        page = queries.trail(Filters(actor="arjun"), cursor, per_page=3)
        seen += [event.pk for event in page.events]
        cursor = page.older

    assert (len(seen), set(seen), cursor) == (7, wanted, "")


@pytest.mark.parametrize("cursor", ["x", "", "AAAA", "MjAyNg", "\u00e9", "a" * 500])
def test_a_cursor_of_nonsense_is_the_first_page(auditor: Client, cursor: str) -> None:
    record()

    answer = auditor.get(reverse("audit-trail"), {"before": cursor})

    assert answer.status_code == 200


def test_an_event_shows_its_difference_and_that_it_waits(auditor: Client) -> None:
    event_id = record(before={"threshold": "0.2"}, after={"threshold": "0.4"})

    page = auditor.get(reverse("audit-event", args=[event_id])).content.decode()

    assert "0.2" in page
    assert "0.4" in page
    assert "waits for its place in the tree" in page


def test_an_event_that_is_not_there_is_404(auditor: Client) -> None:
    missing = "01a20fcd-0000-7000-8000-000000000000"

    assert auditor.get(reverse("audit-event", args=[missing])).status_code == 404
    assert auditor.get(reverse("audit-proof", args=[missing])).status_code == 404


def test_json_lines_are_the_exact_bytes_and_the_export_is_recorded(auditor: Client) -> None:
    event = Event.objects.get(pk=record())

    answer = auditor.post(reverse("audit-export"), {"format": "jsonl", "actor": "arjun"})

    assert b"".join(answer.streaming_content) == bytes(event.body) + b"\n"
    said = Event.objects.get(kind="trail.exported")
    assert said.actor == "ada"
    assert said.entry["details"]["count"] == 1
    assert said.entry["details"]["filters"] == {"actor": "arjun"}
    assert answer["X-Signalbox-Digest"] == said.entry["details"]["digest"]


def test_csv_cells_are_no_formulas(auditor: Client) -> None:
    record(reason="=cmd|' /C calc'!A0")

    answer = auditor.post(reverse("audit-export"), {"format": "csv", "actor": "arjun"})

    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert [row["reason"] for row in rows] == ["'=cmd|' /C calc'!A0"]


def test_an_unknown_format_is_refused_in_words(auditor: Client) -> None:
    assert auditor.post(reverse("audit-export"), {"format": "exe"}).status_code == 422


def test_the_health_page_says_what_protects_the_trail(auditor: Client) -> None:
    page = auditor.get(reverse("audit-health")).content.decode()

    assert "The running role may only add to the ledger" in page
    assert "Verify now" in page


def test_verify_now_starts_one_job(auditor: Client, sent: list[str]) -> None:
    first = auditor.post(reverse("audit-verify"))
    second = auditor.post(reverse("audit-verify"))

    assert (first.status_code, second.status_code) == (303, 409)
    assert sent == [str(Verification.objects.get().pk)]
    assert Event.objects.filter(kind="trail.verification_requested").count() == 1


def test_a_dead_job_queue_is_said_and_locks_nothing(
    auditor: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: str) -> None:
        raise OperationalError

    monkeypatch.setattr(tasks.verify_trail, "delay", refuse)

    assert auditor.post(reverse("audit-verify")).status_code == 303
    assert Verification.objects.get().state == JobState.FAILED


def test_a_report_is_asked_for_by_a_form(auditor: Client, sent: list[str]) -> None:
    answer = auditor.post(
        reverse("reports"),
        {"first_day": "2026-01-01", "last_day": "2026-01-31", "reason": "audit"},
    )

    report = Report.objects.get()
    assert (answer.status_code, answer["Location"]) == (303, report.get_absolute_url())
    assert report.period_to.isoformat() == "2026-02-01T00:00:00+00:00"
    assert sent == [str(report.pk)]
    page = auditor.get(report.get_absolute_url()).content.decode()
    assert "every 1s" in page
    assert "Look again" in page


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"first_day": "2026-02-01", "last_day": "2026-01-01", "reason": "x"},
        {"first_day": "2100-01-01", "last_day": "2100-01-02", "reason": "x"},
        {"first_day": "yesterday", "last_day": "2026-01-01", "reason": "x"},
    ],
)
def test_a_wrong_period_is_said_beside_the_form(auditor: Client, values: dict[str, str]) -> None:
    answer = auditor.post(reverse("reports"), values)

    assert answer.status_code == 422
    assert Report.objects.count() == 0


def test_a_report_that_has_ended_asks_no_more(auditor: Client, sent: list[str]) -> None:
    auditor.post(
        reverse("reports"), {"first_day": "2026-01-01", "last_day": "2026-01-31", "reason": "x"}
    )
    report = Report.objects.get()
    auditor.post(reverse("report-cancel", args=[report.pk]))

    answer = auditor.get(report.get_absolute_url(), headers={"HX-Request": "true"})

    assert "every 1s" not in answer.content.decode()
    assert (
        json.loads(bytes(Event.objects.get(kind="report.cancelled").body))["actor"]["name"] == "ada"
    )
