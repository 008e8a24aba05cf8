"""Backends, switches, decisions, cases and the trail, by program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from audit.models import Event
from routing.models import Backend

pytestmark = pytest.mark.django_db
Start = Callable[..., Any]

FACTS = {
    "owner": "platform",
    "tier": "slm",
    "boundary": "private",
    "base_url": "http://127.0.0.1:9/v1",
    "upstream_model": "tiny-1",
    "data_classes": ["internal"],
    "capabilities": ["stream"],
    "input_usd_per_mtok": "0.05",
    "output_usd_per_mtok": "0.10",
}


def registered(operator: Any, name: str = "tiny") -> Any:
    return operator.post("backends", {"name": name, "facts": FACTS, "reason": "new"})


def test_backend_is_registered_changed_and_activated(program: Start) -> None:
    operator = program("olivia")
    made = registered(operator)
    changed = operator.send(
        "PATCH",
        "backends/tiny",
        {"facts": {"input_usd_per_mtok": "0.07"}, "reason": "new price"},
        if_match=made["ETag"],
    )
    active = operator.post("backends/tiny/state", {"state": "active", "reason": "tested"})

    assert made.status_code == 201
    assert changed.json()["price_version"] == 2
    assert active.json()["state"] == "active"
    assert Event.objects.filter(object_id="tiny").count() == 3


def test_second_backend_of_a_name_is_a_conflict(program: Start) -> None:
    operator = program("olivia")
    registered(operator)

    assert registered(operator).status_code == 409


@pytest.mark.parametrize(
    "wrong",
    [
        {"base_url": "not a url"},
        {"data_classes": ["secret"]},
        {"data_classes": [1]},
        {"tier": "xl"},
        {"input_usd_per_mtok": "NaN"},
        {"input_usd_per_mtok": "-1"},
        {"context_window": 10**12},
        {"owner": "a\x00b"},
        {"secret_ref": "plain-secret"},
    ],
)
def test_wrong_fact_is_named_and_registers_nothing(program: Start, wrong: dict[str, Any]) -> None:
    answer = program("olivia").post(
        "backends", {"name": "tiny", "facts": {**FACTS, **wrong}, "reason": "new"}
    )

    assert answer.status_code in {400, 422}
    assert answer.json()["error"]["message"]
    assert not Backend.objects.exists()


def test_switch_is_engaged_once_and_released(program: Start) -> None:
    operator = program("olivia")
    body = {"scope": "public", "reason": "incident"}
    made = operator.post("kill-switches", body)
    again = operator.post("kill-switches", body)
    released = operator.post(f"kill-switches/{made.json()['id']}/release", {"reason": "over"})

    assert (made.status_code, again.status_code, released.status_code) == (201, 409, 200)
    assert released.json()["released_at"]


def test_giant_number_in_an_address_is_a_404(program: Start) -> None:
    path = f"kill-switches/{10**40}/release"

    assert program("olivia").post(path, {"reason": "x"}).status_code == 404


def test_lists_are_pages(program: Start) -> None:
    auditor = program("ada")
    for path in ("decisions", "review/cases", "audit/events", "audit/reports", "people", "keys"):
        assert set(auditor.get(path).json()) == {"items", "next"}, path


def test_wrong_cursor_and_limit_are_named(program: Start) -> None:
    auditor = program("ada")

    assert "before" in auditor.get("decisions", before="x").json()["error"]["fields"]
    assert "limit" in auditor.get("decisions", limit="1000").json()["error"]["fields"]


def test_reader_of_the_trail_gets_the_sealed_entry(program: Start) -> None:
    registered(program("olivia"))
    items = program("ada").get("audit/events", kind="backend.registered").json()["items"]

    one = program("ada").get(f"audit/events/{items[0]['id']}").json()
    assert one["entry"]["object"] == {"type": "backend", "id": "tiny"}
    assert one["entry"]["reason"] == "new"


def test_reviewer_without_cases_gets_204(program: Start) -> None:
    assert program("rui").post("review/cases/claim-next").status_code == 204
    assert program("ada").post("review/cases/claim-next").status_code == 403
