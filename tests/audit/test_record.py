from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from django.db import transaction

import audit
from audit import fsck
from audit.errors import AlreadyRecorded, OutsideTransaction, UnknownKind
from audit.ids import uuid7
from audit.models import Event
from tests.audit.conftest import ANA, Ledger


def body_of(event_id: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(bytes(Event.objects.get(pk=event_id).body))
    return found


def test_recording_outside_a_transaction_is_refused(ledger: Ledger) -> None:
    with pytest.raises(OutsideTransaction):
        audit.record("route.changed", by=ANA, object_type="route", object_id="r")


def test_an_unknown_kind_is_refused(ledger: Ledger) -> None:
    with pytest.raises(UnknownKind):
        ledger.record("route.exploded")


def test_a_rolled_back_change_leaves_no_event_and_no_hole(ledger: Ledger) -> None:
    ledger.record()
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        audit.record("route.changed", by=ANA, object_type="route", object_id="r")
        raise ZeroDivisionError
    last = ledger.record()
    ledger.sequence()

    assert Event.objects.count() == 2
    assert body_of(last)["writer"] == {"id": "app-0", "n": 2}
    assert fsck.check().is_ok


def test_a_rolled_back_savepoint_leaves_no_hole(ledger: Ledger) -> None:
    with transaction.atomic():
        ledger.record()
        with pytest.raises(ZeroDivisionError), transaction.atomic():
            ledger.record()
            raise ZeroDivisionError
        last = ledger.record()

    assert body_of(last)["writer"]["n"] == 2


def test_two_open_transactions_do_not_wait_for_each_other(ledger: Ledger) -> None:
    with ledger.connect("default") as other, other.transaction():
        theirs = other.execute("SELECT writer FROM audit.next_number()").fetchone()
        mine = body_of(ledger.record())["writer"]["id"]

    assert theirs is not None
    assert {theirs[0], mine} == {"app-0", "app-1"}


def test_the_entry_keeps_who_what_why_and_what_changed(ledger: Ledger) -> None:
    event_id = ledger.record(
        reason=" new contract ",
        before={"price": Decimal("0.10"), "owner": "ana"},
        after={"price": Decimal("0.20"), "owner": "ana", "note": "n" * 1000},
        details={"ticket": 8841, "share": 0.25},
    )

    body = body_of(event_id)
    assert body["actor"] == {"kind": "person", "id": "7", "name": "ana", "roles": ["author"]}
    assert body["reason"] == "new contract"
    assert [change["field"] for change in body["diff"]] == ["note", "price"]
    assert body["diff"][0]["after"]["digest"].startswith("sha256:")
    assert body["diff"][1] == {"field": "price", "before": "0.10", "after": "0.20"}
    assert body["before_digest"] != body["after_digest"]
    assert body["details"] == {"ticket": 8841, "share": "0.25"}


def test_the_same_state_has_no_difference(ledger: Ledger) -> None:
    body = body_of(ledger.record(before={"a": 1}, after={"a": 1}))

    assert body["diff"] == []
    assert body["before_digest"] == body["after_digest"]


def test_a_large_change_is_cut_and_says_so(ledger: Ledger) -> None:
    after = {f"field_{n}": "x" * 500 for n in range(200)}

    body = body_of(ledger.record(before={}, after=after))

    assert len(body["diff"]) + body["diff_left_out"] == 200


def test_a_second_outcome_is_refused_and_leaves_no_hole(ledger: Ledger) -> None:
    made = ledger.made()
    ledger.store(made, ledger.ended(made))
    with transaction.atomic():
        with pytest.raises(AlreadyRecorded):
            ledger.record("decision.outcome_unknown", decision_id=made.id)
        ledger.record()
    ledger.sequence()

    assert fsck.check().is_ok


def test_an_outcome_gets_the_id_of_its_decision(ledger: Ledger) -> None:
    made = ledger.made()
    ledger.store(made)

    event_id = ledger.record("decision.outcome_unknown", decision_id=made.id)

    assert str(event_id)[:14] + "7" + str(event_id)[15:] == str(made.id)


def test_a_reason_with_a_nul_is_kept_in_the_entry_and_searchable(ledger: Ledger) -> None:
    event_id = ledger.record(reason="a\x00b")

    assert body_of(event_id)["reason"] == "a\x00b"
    assert Event.objects.get(pk=event_id).reason == "a\ufffdb"


def test_events_about_a_decision_are_found_with_its_own_two(ledger: Ledger) -> None:
    from audit import queries

    made = ledger.made()
    ledger.store(made, ledger.ended(made), ledger.made())
    ledger.record("payload.revealed", decision_id=made.id)

    kinds = {event.kind for event in queries.events_of_decision(made.id)}

    assert kinds == {"decision.made", "decision.completed", "payload.revealed"}
    assert queries.events_of_decision(uuid7()) == []
