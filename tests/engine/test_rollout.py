from __future__ import annotations

import pytest

from routing.engine import rollout
from routing.engine.rollout import Limits, Seen, Step, arm_of, place_of, steps_of, watch
from routing.engine.sequential import Arm

UNITS = [f"session-{n}" for n in range(20_000)]
CALM = Seen(
    candidate=Arm(events=3, trials=1000),
    baseline=Arm(events=30, trials=9000),
    share=10,
    treated_units=100,
    units=1000,
    cost_usd=0.5,
    projected_usd=0.0005,
    costed=1000,
)


def fired(seen, limits=None):
    return [guard.name for guard in watch(seen, limits or Limits()) if guard.fired]


def changed(**given):
    from dataclasses import replace

    return replace(CALM, **given)


def test_a_growing_share_moves_nobody_back():
    before: set[str] = set()
    for share in (1, 10, 50, 100):
        inside = {unit for unit in UNITS if arm_of("a", unit, share) == rollout.CANDIDATE}
        assert before <= inside
        assert len(inside) / len(UNITS) == pytest.approx(share / 100, abs=0.01)
        before = inside
    assert len(before) == len(UNITS)


def test_a_new_attempt_draws_other_units():
    first = {unit for unit in UNITS if arm_of("a", unit, 10) == rollout.CANDIDATE}
    second = {unit for unit in UNITS if arm_of("b", unit, 10) == rollout.CANDIDATE}
    assert len(first & second) / len(first) == pytest.approx(0.1, abs=0.03)


def test_a_place_is_the_same_everywhere_and_for_ever():
    assert place_of("a", "session-1") == place_of("a", "session-1")
    assert f"{place_of('salt', 'unit'):.6f}" == "0.159318"


def test_the_steps_of_a_route():
    assert [step.share for step in steps_of(())] == [1, 10, 50, 100]
    assert steps_of(())[-1].minutes == 72 * 60
    own = [
        Step(share=5, minutes=0, treated=10).as_json(),
        Step(share=100, minutes=1, treated=0).as_json(),
    ]
    assert [step.share for step in steps_of(own)] == [5, 100]


@pytest.mark.parametrize("shares", [[10, 5, 100], [0, 100], [10, 50], [10, 10, 100]])
def test_steps_rise_to_everybody(shares):
    with pytest.raises(ValueError, match="rise"):
        steps_of([{"share": share, "minutes": 1, "treated": 1} for share in shares])


def test_nothing_fires_on_a_calm_rollout():
    assert fired(CALM) == []
    assert fired(changed(candidate=Arm(events=0, trials=0), units=0, treated_units=0)) == []


def test_errors_above_the_ceiling_stop():
    assert fired(changed(candidate=Arm(events=40, trials=400))) == ["errors", "harm"]


def test_a_handful_of_errors_at_one_percent_stops():
    assert fired(changed(candidate=Arm(events=6, trials=6), share=1, treated_units=10)) == [
        "errors",
        "harm",
    ]


def test_more_errors_than_the_baseline_stop_below_the_ceiling():
    seen = changed(candidate=Arm(events=900, trials=10_000), baseline=Arm(events=90, trials=90_000))
    assert fired(seen, Limits(error_ceiling=0.2)) == ["harm"]


def test_an_uneven_share_stops():
    assert fired(changed(treated_units=1600, units=10_000)) == ["sample_ratio"]


def test_everybody_in_is_no_uneven_share():
    assert fired(changed(share=100, treated_units=10_000, units=10_000)) == []


def test_one_boundary_violation_stops():
    assert fired(changed(violations=1)) == ["boundary"]


def test_spending_a_fifth_above_the_projection_stops():
    assert fired(changed(cost_usd=0.61)) == ["spend"]
    assert fired(changed(cost_usd=0.59)) == []
    assert fired(changed(cost_usd=0.5, costed=10, candidate=Arm(events=0, trials=10))) == []


def test_a_backlog_stops_where_the_capacity_is_known():
    assert fired(changed(waiting=41), Limits(backlog=40)) == ["backlog"]
    assert fired(changed(waiting=41)) == []


def test_a_failing_backend_stops():
    assert fired(changed(failing=("small",))) == ["breaker"]
