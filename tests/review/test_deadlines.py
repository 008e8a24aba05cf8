"""What time does to cases, however late or often the sweeper comes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from review import tasks
from review.models import Case
from review.services import cases, claims, deadlines, verdicts
from routing.models import Hold
from routing.services import holds

pytestmark = pytest.mark.django_db

NOTHING = {
    "opened": 0,
    "reprioritised": 0,
    "replays_lost": 0,
    "reminded": 0,
    "ended": 0,
    "leases_lost": 0,
}


def later(**distance: float) -> Any:
    return timezone.now() + timedelta(**distance)


def test_a_hold_that_nobody_announced_gets_its_case(hold: Callable[..., Any]) -> None:
    held = hold()

    first, second = deadlines.sweep(), deadlines.sweep()

    assert (first["opened"], second["opened"]) == (1, 0)
    assert Case.objects.filter(hold=held).count() == 1


@pytest.mark.parametrize("on_timeout", ["safe_default", "refuse"])
def test_a_case_whose_time_has_passed_ends_by_its_rule(
    on_timeout: str, case_of: Callable[..., Any], kinds_of: Any
) -> None:
    case = case_of(on_timeout=on_timeout, due_s=20)

    done = deadlines.sweep(now=later(seconds=30))

    assert done["ended"] == 1
    assert cases.get_case(case.pk).state == Case.State.EXPIRED
    hold = Hold.objects.get(pk=case.decision_id)
    assert (hold.state, hold.disposition) == ("expired", on_timeout)
    assert kinds_of(case) == ["review.opened", "review.expired"]


def test_sweeping_again_changes_nothing(case_of: Callable[..., Any], kinds_of: Any) -> None:
    case = case_of(due_s=20)
    deadlines.sweep(now=later(seconds=30))

    assert deadlines.sweep(now=later(hours=5)) == NOTHING
    assert kinds_of(case).count("review.expired") == 1


def test_the_router_has_a_moment_to_end_its_own_hold(case_of: Callable[..., Any]) -> None:
    case_of(due_s=20)

    assert deadlines.sweep(now=later(seconds=21)) == NOTHING


def test_a_case_follows_a_hold_that_the_router_ended(case_of: Callable[..., Any]) -> None:
    case = case_of(due_s=20)
    holds.expire_hold(decision_id=case.decision_id)

    deadlines.sweep()

    assert cases.get_case(case.pk).state == Case.State.EXPIRED


def test_a_case_whose_request_was_taken_back_is_cancelled(
    case_of: Callable[..., Any], kinds_of: Any
) -> None:
    case = case_of()
    Hold.objects.filter(pk=case.decision_id).update(state=Hold.State.CANCELLED)

    deadlines.sweep()

    assert cases.get_case(case.pk).state == Case.State.CANCELLED
    assert kinds_of(case)[-1] == "review.cancelled"


def test_a_claimed_case_ends_in_time_too(
    case_of: Callable[..., Any], people: dict[str, Any]
) -> None:
    case = claims.claim_case(case=case_of(due_s=20), by=people["rui"])

    deadlines.sweep(now=later(seconds=30))

    assert cases.get_case(case.pk).state == Case.State.EXPIRED


def test_a_decided_case_is_left_alone(case_of: Callable[..., Any], people: dict[str, Any]) -> None:
    case = claims.claim_case(case=case_of(due_s=20), by=people["rui"])
    verdicts.decide_case(
        case=case, by=people["rui"], kind="refuse", reason_code="unsafe", reason="Not this one."
    )

    assert deadlines.sweep(now=later(hours=1)) == NOTHING
    assert cases.get_case(case.pk).state == Case.State.RESOLVED


def test_a_lost_claim_returns_the_case(
    case_of: Callable[..., Any], people: dict[str, Any], kinds_of: Any
) -> None:
    case = claims.claim_case(case=case_of(due_s=3000), by=people["rui"])

    first, second = deadlines.sweep(now=later(minutes=11)), deadlines.sweep(now=later(minutes=11))

    after = cases.get_case(case.pk)
    assert (after.state, after.claimed_by, after.lease_losses) == ("pending", None, 1)
    assert (first["leases_lost"], second["leases_lost"]) == (1, 0)
    assert kinds_of(case)[-1] == "review.lease_lost"


def test_three_lost_claims_raise_the_level(
    case_of: Callable[..., Any], people: dict[str, Any]
) -> None:
    case = case_of(due_s=3000)

    for _ in range(3):
        claims.claim_case(case=cases.get_case(case.pk), by=people["rui"])
        deadlines.sweep(now=later(minutes=11))

    after = cases.get_case(case.pk)
    assert (after.lease_losses, after.level) == (3, 2)


def test_one_case_that_cannot_end_does_not_stop_the_others(
    case_of: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = case_of(due_s=10), case_of(due_s=20)
    real = holds.expire_hold

    def fail_for_one(*, decision_id: Any, disposition: str) -> Any:
        assert decision_id != bad.decision_id
        return real(decision_id=decision_id, disposition=disposition)

    monkeypatch.setattr(holds, "expire_hold", fail_for_one)
    done = deadlines.sweep(now=later(seconds=60))

    assert done["ended"] == 1
    assert cases.get_case(good.pk).state == Case.State.EXPIRED
    assert cases.get_case(bad.pk).state == Case.State.PENDING


def test_the_task_sweeps(hold: Callable[..., Any]) -> None:
    hold()

    assert tasks.sweep()["opened"] == 1
