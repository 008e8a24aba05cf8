"""The decision list is derived from the ledger: nothing of it can differ from the trail."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.db import connection
from django.utils import timezone

from audit import sealing
from audit.actors import SYSTEM
from audit.ids import uuid7
from audit.sequencer import sequence_once
from routing.models import Decision, Spend
from routing.services import projection, reaper

pytestmark = pytest.mark.django_db(transaction=True)


def details(*, deadline_s: int = 30) -> dict[str, Any]:
    now = timezone.now()
    return {
        "route": "support",
        "policy": "support@1",
        "policy_digest": "sha256:00",
        "received_at": now.isoformat(),
        "deadline_at": (now + timedelta(seconds=deadline_s)).isoformat(),
        "client": {"id": "abc", "name": "help-desk", "owner": "team"},
        "session": "",
        "stream": False,
        "input": {"bytes": 120, "messages": 1, "commitment": None},
        "decision": {
            "rule": "narrow-work",
            "cause": "rule_match",
            "action": "route",
            "tier": "slm",
            "backend": "small",
            "boundary": "private",
            "data_class": "internal",
            "sentence": "Sent to small.",
        },
    }


ENDED = {
    "attempts": [{"n": 1}],
    "backend": "large",
    "tier": "llm",
    "boundary": "private",
    "input_tokens": 10,
    "output_tokens": 5,
    "usage_source": "reported",
    "cost_usd": "0.000075",
    "baseline_cost_usd": "0.000100",
    "overhead_us": 900,
    "total_ms": 40,
    "first_token_ms": None,
    "error_code": "",
}


@pytest.fixture
def writer() -> sealing.Writer:
    return sealing.Writer("test.example/log", name="test")


def store(*events: sealing.SealedEvent) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sealing.BATCH_SQL, sealing.batch_parameters(events))


def made(writer: sealing.Writer, decision_id: UUID, **changed: Any) -> sealing.SealedEvent:
    return writer.seal(
        "decision.made",
        actor=SYSTEM("router"),
        object=("route", "support"),
        decision_id=decision_id,
        details=details(**changed),
        corr={"request_id": "req_1"},
    )


def ended(writer: sealing.Writer, decision_id: UUID) -> sealing.SealedEvent:
    return writer.seal(
        "decision.completed",
        actor=SYSTEM("router"),
        object=("route", "support"),
        decision_id=decision_id,
        details=ENDED,
    )


def catch_up() -> None:
    while projection.follow():
        pass


def test_a_decision_and_its_end_become_one_line(
    writer: sealing.Writer, sequencer_connection: psycopg.Connection
) -> None:
    decision_id = uuid7()
    store(made(writer, decision_id), ended(writer, decision_id))

    sequence_once(sequencer_connection)
    catch_up()

    line = Decision.objects.get(pk=decision_id)
    assert (line.outcome, line.tier, line.backend) == ("served", "llm", "large")
    assert (line.request_id, line.output_tokens, str(line.cost_usd)) == ("req_1", 5, "0.000075000")


def test_an_end_that_comes_in_a_later_round_finds_its_line(
    writer: sealing.Writer, sequencer_connection: psycopg.Connection
) -> None:
    decision_id = uuid7()
    store(made(writer, decision_id))
    sequence_once(sequencer_connection)
    catch_up()
    assert Decision.objects.get(pk=decision_id).outcome == "open"

    store(ended(writer, decision_id))
    sequence_once(sequencer_connection)
    catch_up()

    assert Decision.objects.get(pk=decision_id).outcome == "served"


@pytest.mark.parametrize(
    ("attempts", "cause"),
    [
        ([("first", None), ("fallback", None)], "fallback_error"),
        ([("first", "timeout"), ("fallback", None)], "fallback_timeout"),
        ([("first", None), ("retry", None)], "rule_match"),
        ([("first", None), ("agreement", None), ("escalation", None)], "uncertain_escalated"),
        ([("first", None), ("agreement", None)], "rule_match"),
    ],
)
def test_list_says_why_the_last_backend_was_called(
    writer: sealing.Writer,
    sequencer_connection: psycopg.Connection,
    attempts: list[tuple[str, str | None]],
    cause: str,
) -> None:
    in_two_rounds, in_one = uuid7(), uuid7()
    tried = [{"kind": kind, "problem": problem} for kind, problem in attempts]
    for decision_id in (in_two_rounds, in_one):
        store(made(writer, decision_id))
        if decision_id == in_two_rounds:
            sequence_once(sequencer_connection)
            catch_up()
        store(
            writer.seal(
                "decision.completed",
                actor=SYSTEM("router"),
                object=("route", "support"),
                decision_id=decision_id,
                details={**ENDED, "attempts": tried},
            )
        )
    sequence_once(sequencer_connection)
    catch_up()
    found = Decision.objects.filter(pk__in=[in_two_rounds, in_one]).values_list("cause", flat=True)
    assert set(found) == {cause}


def test_following_twice_changes_nothing(
    writer: sealing.Writer, sequencer_connection: psycopg.Connection
) -> None:
    decision_id = uuid7()
    store(made(writer, decision_id), ended(writer, decision_id))
    sequence_once(sequencer_connection)
    catch_up()

    assert projection.follow() == 0


def test_the_list_can_be_made_again_from_the_trail(
    writer: sealing.Writer, sequencer_connection: psycopg.Connection
) -> None:
    decision_id = uuid7()
    store(made(writer, decision_id), ended(writer, decision_id))
    sequence_once(sequencer_connection)
    catch_up()
    before = Decision.objects.filter(pk=decision_id).values().get()

    projection.rebuild()
    catch_up()

    assert Decision.objects.filter(pk=decision_id).values().get() == before


def test_a_decision_without_an_end_gets_one_by_its_deadline_and_only_one(
    writer: sealing.Writer, sequencer_connection: psycopg.Connection
) -> None:
    decision_id = uuid7()
    store(made(writer, decision_id, deadline_s=-60))
    sequence_once(sequencer_connection)
    catch_up()

    first, second = reaper.reap(), reaper.reap()
    sequence_once(sequencer_connection)
    catch_up()

    assert (first, second) == (1, 0)
    assert Decision.objects.get(pk=decision_id).outcome == "outcome_unknown"


def test_a_decision_inside_its_deadline_is_left_alone(
    writer: sealing.Writer, sequencer_connection: psycopg.Connection
) -> None:
    decision_id = uuid7()
    store(made(writer, decision_id))
    sequence_once(sequencer_connection)
    catch_up()

    assert reaper.reap() == 0


def spent() -> tuple[int, int, Any]:
    row = Spend.objects.get(client_id="abc", route="support", day=timezone.now().date())
    return row.requests, row.tokens, row.usd


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in two"])
def test_each_decision_is_counted_once_into_what_was_used(
    writer: sealing.Writer, sequencer_connection: psycopg.Connection, together: bool
) -> None:
    # What the trail held before this test is none of its business.
    sequence_once(sequencer_connection)
    catch_up()
    Spend.objects.all().delete()
    decision_id = uuid7()
    attempts = [{"input_tokens": 10, "output_tokens": 5}, {"input_tokens": 20, "output_tokens": 0}]
    end = writer.seal(
        "decision.completed",
        actor=SYSTEM("router"),
        object=("route", "support"),
        decision_id=decision_id,
        details={**ENDED, "attempts": attempts},
    )
    begun = made(writer, decision_id)
    for batch in [[begun, end]] if together else [[begun], [end]]:
        store(*batch)
        sequence_once(sequencer_connection)
        catch_up()
    catch_up()

    assert spent() == (1, 35, Decimal("0.000075"))
    Spend.objects.all().delete()
