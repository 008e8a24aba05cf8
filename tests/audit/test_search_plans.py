"""A search reads about as many rows as it shows, however long the trail is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from audit import queries
from audit.models import Event
from audit.queries import PER_PAGE, Filters
from benchmarks.reports import month
from tests.audit.conftest import Ledger, a_copy

SIZE = month.Size(decisions=9_000, acts=600, cases=300)
# A page and the one row behind it, a few times over where an index gives more than is shown.
MOST_READ = 14 * PER_PAGE
MIDDLE = month.BEGIN + (month.END - month.BEGIN) / 2
SEARCHES: dict[str, Filters] = {
    "newest": Filters(),
    "person": Filters(actor="person:olivia"),
    "somebody who never acted": Filters(actor="nobody"),
    "act": Filters(kind="policy.edited"),
    "act of every request": Filters(kind="decision.made"),
    "act that never happened": Filters(kind="log.key_created"),
    "group": Filters(group="review"),
    "group of all": Filters(group="decision"),
    "object type": Filters(object_type="case"),
    "object": Filters(object_type="case", object_id="7"),
    "object without its type": Filters(object_id="7"),
    "denied": Filters(result="denied"),
    "failed": Filters(result="failed"),
    "words": Filters(text="work order 17"),
    "words that nobody wrote": Filters(text="nothing of the kind"),
    "words of a person": Filters(text="order", actor="olivia", since=month.BEGIN.isoformat()),
    "a day": Filters(since=MIDDLE.isoformat(), until=(MIDDLE + timedelta(days=1)).isoformat()),
    "person and act": Filters(actor="olivia", kind="policy.edited"),
    "person, a day": Filters(actor="olivia", since=MIDDLE.isoformat()),
    "request that is none": Filters(request_id="req_nothing"),
    "decision that is none": Filters(decision_id="01a21150-310d-74b4-aac1-10f8254908ce"),
}


@pytest.fixture(scope="module")
def trail(ledger_template: str, django_db_blocker: Any) -> Iterator[Ledger]:
    with a_copy(ledger_template, django_db_blocker) as copy:
        with copy.connect("default") as app:
            month.store(app, SIZE, origin="test.example/ledger", tell=lambda _: None)
        with copy.connect() as owner:
            owner.execute("VACUUM (ANALYZE) audit.event")
        yield copy


def read_of(filters: Filters, cursor: str = "") -> int:
    """Rows that the database looked at for one page, found or thrown away."""
    page = queries.newest(filters, cursor, number=PER_PAGE + 1)
    try:
        plan = json.loads(page.explain(format="json", analyze=True))
    except json.JSONDecodeError:
        # Django knows without asking that nothing can match.
        return 0
    return sum(_looked_at(node) for node in _nodes(plan[0]["Plan"]))


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


def _looked_at(node: dict[str, Any]) -> int:
    # A bitmap's rows are counted where they are fetched.
    if "Scan" not in node["Node Type"] or node["Node Type"] == "Bitmap Index Scan":
        return 0
    thrown = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + thrown) * node["Actual Loops"])


def test_the_trail_is_long_enough_to_tell(trail: Ledger) -> None:
    assert Event.objects.count() > 20 * MOST_READ


@pytest.mark.parametrize("name", SEARCHES)
def test_a_search_reads_about_what_it_shows(trail: Ledger, name: str) -> None:
    assert read_of(SEARCHES[name]) <= MOST_READ


def test_a_late_page_reads_no_more_than_the_first(trail: Ledger) -> None:
    middle = Event.objects.filter(at__lte=MIDDLE).order_by("-at", "-id")[0]

    assert read_of(Filters(), queries._write_cursor(middle)) <= MOST_READ


def test_all_of_one_request_is_found_by_its_id(trail: Ledger) -> None:
    request_id = Event.objects.filter(kind="decision.made").order_by("at")[777].request_id

    assert [e.kind for e in queries.trail(Filters(request_id=request_id)).events] == [
        "decision.completed",
        "decision.made",
    ]
    assert read_of(Filters(request_id=request_id)) <= 10
    assert connection.vendor == "postgresql"
