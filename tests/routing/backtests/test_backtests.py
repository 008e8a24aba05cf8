"""A backtest decides recorded facts again: nothing is guessed, and nothing beyond it changes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from audit.models import Event
from routing.engine.changes import BUCKETS
from routing.models import Backtest, BacktestChange, PolicyVersion
from routing.services import backtests, policies, registry, tally
from routing.services.analysis import registry_facts
from screens.errors import Conflict, Invalid, NotAllowed
from tests.routing.backtests.conftest import hold_rule, narrow
from tests.routing.conftest import backend_fields

pytestmark = pytest.mark.django_db
People = dict[str, Any]
Decided = Callable[..., UUID]
DraftOf = Callable[..., PolicyVersion]


def run(version: PolicyVersion, person: Any, **asked: Any) -> Backtest:
    asked = {"days": 14, **asked}
    waiting = backtests.request_backtest(version=version, by=person, **asked)
    return backtests.run_backtest(backtest_id=waiting.pk)


def kinds() -> list[str]:
    found = Event.objects.filter(kind__startswith="policy.backtest").order_by("id")
    return [event.kind for event in found]


def test_the_same_document_changes_nothing(
    history: Callable[..., list[UUID]], draft_of: DraftOf, people: People
) -> None:
    history(60)
    done = run(draft_of(), people["arjun"])
    assert done.state == "done"
    assert done.counts == {"same": 60}
    assert done.result["deltas"]["cost_change"]["value"] == 0
    assert done.result["guardrails"] == {}


def test_every_kind_of_change_has_its_bucket(
    decided: Decided, draft_of: DraftOf, people: People
) -> None:
    decided(prompt_tokens=150)
    decided(prompt_tokens=300)
    decided(data_class="restricted")
    decided(prompt_tokens=20)
    refuses = {
        "id": "tiny",
        "name": "Tiny",
        "when": {"all": [{"prompt_tokens": {"lte": 30}}]},
        "then": {"refuse": True},
    }
    moved = {
        "id": "long",
        "name": "Long",
        "when": {"all": [{"prompt_tokens": {"gte": 300}}]},
        "then": {"route": {"tier": "slm", "targets": ["small"]}},
    }
    version = draft_of(rules=[hold_rule(), refuses, moved])
    done = run(version, people["arjun"])
    assert done.counts == {
        "moved_larger": 1,
        "moved_small": 1,
        "newly_held": 1,
        "newly_refused": 1,
    }
    held = BacktestChange.objects.get(bucket="newly_held")
    assert (held.before, held.after) == ("small (slm, private)", "held for a person")
    assert (held.rule_before, held.rule_after) == ("narrow-work", "restricted-needs-a-person")
    assert done.result["deltas"]["held_change"]["value"] == pytest.approx(0.25 * 4 / 14)


def test_the_facts_of_the_record_decide_and_not_those_of_today(
    decided: Decided, draft_of: DraftOf, people: People
) -> None:
    ill = {name: replace(one, healthy=name != "small") for name, one in registry_facts().items()}
    decided(prompt_tokens=50, backends=ill)
    assert run(draft_of(), people["arjun"]).counts == {"same": 1}


def test_what_the_record_cannot_answer_is_counted_as_such(
    decided: Decided, draft_of: DraftOf, people: People
) -> None:
    decided()
    asks = {
        "id": "by-desk",
        "name": "By desk",
        "when": {"all": [{"metadata.desk": {"eq": "legal"}}]},
        "then": {"refuse": True},
    }
    signals = {"metadata.desk": {"type": "enum", "values": ["legal", "sales"]}}
    done = run(draft_of(rules=[asks], signals=signals), people["arjun"])
    assert done.counts == {"could_not_evaluate": 1}
    assert done.result["reasons"] == {"metadata.desk was not measured then": 1}


def test_a_backend_that_came_later_is_taken_as_it_is_now_and_named(
    decided: Decided, draft_of: DraftOf, people: People
) -> None:
    decided(prompt_tokens=50)
    newer = registry.register_backend(
        by=people["olivia"], name="newer", reason="test", **backend_fields(tier="llm")
    )
    registry.set_backend_state(backend=newer, state="active", by=people["olivia"], reason="t")
    version = draft_of(rules=[], default={"then": {"route": {"tier": "llm", "targets": ["newer"]}}})
    done = run(version, people["arjun"])
    assert done.counts == {"moved_larger": 1}
    assert done.result["borrowed"] == {"newer": 1}


def test_newly_leaving_the_boundary_is_a_guardrail_and_listed_first(
    decided: Decided, draft_of: DraftOf, people: People
) -> None:
    seen = registry_facts()
    seen["small"] = replace(
        seen["small"], boundary="public", signoffs={"confidential": 2**40, "internal": 2**40}
    )
    grave = decided(data_class="confidential", prompt_tokens=500, backends=seen)
    decided(data_class="internal", prompt_tokens=500, backends=seen)
    done = run(draft_of(rules=[narrow(1000)]), people["arjun"])
    assert done.counts == {"moved_public": 2}
    assert done.result["guardrails"] == {"newly_public": 1}
    assert done.result["crossing"] == 1
    assert done.changes.first().decision_id == grave


def test_crossed_guardrails_hold_a_submission_until_somebody_takes_note_of_them(
    decided: Decided, draft_of: DraftOf, people: People
) -> None:
    seen = registry_facts()
    seen["small"] = replace(seen["small"], boundary="public", signoffs={"confidential": 2**40})
    decided(data_class="confidential", prompt_tokens=500, backends=seen)
    version = draft_of(rules=[narrow(1000)])
    done = run(version, people["arjun"])
    with pytest.raises(Invalid, match="guardrails"):
        policies.submit_version(version=version, by=people["arjun"], summary="Wider")
    with pytest.raises(Invalid, match="reason"):
        backtests.acknowledge_guardrails(backtest=done, by=people["arjun"], reason=" ")
    with pytest.raises(NotAllowed):
        backtests.acknowledge_guardrails(backtest=done, by=people["ada"], reason="Fine.")
    backtests.acknowledge_guardrails(backtest=done, by=people["petra"], reason="It was a trial.")
    with pytest.raises(Conflict):
        backtests.acknowledge_guardrails(backtest=done, by=people["petra"], reason="Again.")
    assert kinds() == ["policy.backtest_requested", "policy.backtested"]
    recorded = Event.objects.get(kind="policy.guardrails_acknowledged").entry
    assert recorded["details"]["guardrails"] == {"newly_public": 1}
    submitted = policies.submit_version(version=version, by=people["arjun"], summary="Wider")
    assert submitted.state == "in_review"


def test_a_run_of_an_earlier_document_holds_nothing_back(
    decided: Decided, draft_of: DraftOf, people: People
) -> None:
    seen = registry_facts()
    seen["small"] = replace(seen["small"], boundary="public", signoffs={"confidential": 2**40})
    decided(data_class="confidential", prompt_tokens=500, backends=seen)
    run(draft_of(rules=[narrow(1000)]), people["arjun"])
    edited = draft_of(rules=[narrow(300)])
    assert backtests.unacknowledged(edited) is None


def test_a_sample_takes_about_as_many_as_were_asked_for_and_the_same_ones_again(
    history: Callable[..., list[UUID]], draft_of: DraftOf, people: People
) -> None:
    history(300)
    version = draft_of()
    first = run(version, people["arjun"], sample=100)
    taken = set(first.changes.values_list("decision_id", flat=True))
    assert 60 <= len(taken) <= 140
    assert first.in_window == 300
    again = run(version, people["arjun"], sample=100)
    assert set(again.changes.values_list("decision_id", flat=True)) <= taken


def test_decisions_outside_the_window_are_not_read(
    decided: Decided, draft_of: DraftOf, people: People
) -> None:
    decided(hours_ago=1)
    decided(hours_ago=50)
    assert run(draft_of(), people["arjun"], days=1).counts == {"same": 1}


def test_pages_neither_repeat_nor_lose_a_decision(
    history: Callable[..., list[UUID]],
    draft_of: DraftOf,
    people: People,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backtests, "BATCH", 7)
    made = history(50)
    done = run(draft_of(), people["arjun"])
    assert set(done.changes.values_list("decision_id", flat=True)) == set(made)
    assert done.done == done.total == 50


def test_only_so_many_of_a_bucket_are_listed_and_all_are_counted(
    history: Callable[..., list[UUID]],
    draft_of: DraftOf,
    people: People,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tally, "KEPT", 3)
    history(60)
    done = run(draft_of(), people["arjun"])
    assert done.counts == {"same": 60}
    assert done.changes.count() == 12


def test_intervals_come_with_enough_decisions_and_not_before(
    history: Callable[..., list[UUID]], draft_of: DraftOf, people: People, decided: Decided
) -> None:
    decided(prompt_tokens=300)
    version = draft_of(rules=[narrow(1000)])
    few = run(version, people["arjun"]).result["deltas"]["cost_change"]
    assert few["low"] is None
    history(80)
    deltas = run(version, people["arjun"]).result["deltas"]
    change = deltas["latency_change"]
    assert change["low"] < change["value"] < change["high"] < 0
    assert deltas["medians_ms"] == {"large": 900, "small": 100}


def test_a_run_goes_stale_with_the_version_and_with_the_registry(
    decided: Decided, draft_of: DraftOf, people: People
) -> None:
    decided()
    done = run(draft_of(), people["arjun"])
    assert backtests.is_stale(done) == ""
    registry.register_backend(
        by=people["olivia"], name="another", reason="test", **backend_fields(tier="llm")
    )
    assert "registry" in backtests.is_stale(done)
    draft_of(rules=[])
    fresh = Backtest.objects.get(pk=done.pk)
    assert "edited" in backtests.is_stale(fresh)


def test_a_cancelled_run_stops_and_keeps_no_lines(
    history: Callable[..., list[UUID]],
    draft_of: DraftOf,
    people: People,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(backtests, "BATCH", 5)
    history(20)
    waiting = backtests.request_backtest(version=draft_of(), days=14, by=people["arjun"])
    say = backtests._say

    def say_and_cancel(backtest: Backtest, done: int) -> None:
        say(backtest, done)
        if done == 5:
            backtests.cancel_backtest(backtest=backtest, by=people["petra"], reason="Enough")

    monkeypatch.setattr(backtests, "_say", say_and_cancel)
    stopped = backtests.run_backtest(backtest_id=waiting.pk)
    assert stopped.state == "cancelled"
    assert stopped.done == 5
    assert not stopped.changes.exists()
    assert kinds() == ["policy.backtest_requested", "policy.backtest_cancelled"]
    with pytest.raises(Conflict):
        backtests.cancel_backtest(backtest=stopped, by=people["arjun"])


def test_a_second_worker_finds_the_run_taken(
    decided: Decided, draft_of: DraftOf, people: People
) -> None:
    decided()
    done = run(draft_of(), people["arjun"])
    backtests.run_backtest(backtest_id=done.pk)
    assert kinds() == ["policy.backtest_requested", "policy.backtested"]
    recorded = Event.objects.get(kind="policy.backtested").entry["details"]
    assert recorded["counts"] == {"same": 1}


def test_a_draft_that_was_edited_while_the_run_waited_fails_it(
    decided: Decided, draft_of: DraftOf, people: People
) -> None:
    decided()
    waiting = backtests.request_backtest(version=draft_of(), days=14, by=people["arjun"])
    draft_of(rules=[])
    failed = backtests.run_backtest(backtest_id=waiting.pk)
    assert failed.state == "failed"
    assert "edited" in failed.problem
    assert kinds()[-1] == "policy.backtest_failed"


def test_an_empty_window_a_wrong_one_and_a_third_run_are_refused(
    decided: Decided, draft_of: DraftOf, people: People
) -> None:
    version = draft_of()
    with pytest.raises(Invalid, match="no decision"):
        backtests.request_backtest(version=version, days=14, by=people["arjun"])
    with pytest.raises(Invalid, match="days"):
        backtests.request_backtest(version=version, days=0, by=people["arjun"])
    decided()
    for _ in range(2):
        backtests.request_backtest(version=version, days=14, by=people["arjun"])
    with pytest.raises(Conflict):
        backtests.request_backtest(version=version, days=14, by=people["arjun"])


@pytest.mark.parametrize("who", ["rui", "ada", "olivia", "nobody"])
def test_only_authors_and_approvers_start_and_stop_runs(
    decided: Decided, draft_of: DraftOf, people: People, who: str
) -> None:
    decided()
    version = draft_of()
    with pytest.raises(NotAllowed):
        backtests.request_backtest(version=version, days=14, by=people[who])
    waiting = backtests.request_backtest(version=version, days=14, by=people["petra"])
    with pytest.raises(NotAllowed):
        backtests.cancel_backtest(backtest=waiting, by=people[who])


def test_a_submitted_version_may_be_backtested_too(
    decided: Decided, draft_of: DraftOf, people: People
) -> None:
    decided()
    version = draft_of(rules=[narrow(300)])
    policies.submit_version(version=version, by=people["arjun"], summary="Wider")
    assert run(version, people["petra"]).counts == {"same": 1}


def test_the_buckets_are_those_that_people_know() -> None:
    assert list(BUCKETS)[0] == "moved_public"
    assert {"same", "could_not_evaluate", "no_longer_held"} <= BUCKETS.keys()
