from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from audit.actors import SYSTEM
from audit.models import Event
from routing.models import Incident, PolicyVersion, Rollout
from routing.services import policies
from routing.services.promotion import rollouts, terms, watching
from routing.services.snapshots import build_document, current_revision
from screens.errors import Conflict, Invalid

pytestmark = pytest.mark.django_db
NEW, OLD = "support@2", "support@1"


def live_rollout():
    return next(r for r in build_document()["routes"] if r["slug"] == "support")["rollout"]


def have_waited(rollout):
    Rollout.objects.filter(pk=rollout.pk).update(step_at=timezone.now() - timedelta(days=4))
    rollout.refresh_from_db()


def test_replicas_carry_both_versions_while_it_runs(rollout):
    carried = live_rollout()
    assert carried["share"] == 1
    assert carried["salt"] == rollout.salt
    assert carried["policy"]["number"] == 2
    assert policies.active_version(rollout.route).number == 1


def test_the_watch_itself_does_not_make_a_new_snapshot(rollout):
    before = current_revision()
    watching.watch(rollout)
    assert current_revision() == before
    assert len(rollout.guards) == 7


def test_a_step_waits_for_its_time_and_its_requests(rollout, traffic):
    have_waited(rollout)
    watching.watch(rollout)
    assert rollout.share == 1
    traffic(NEW, 200, outcome="served")
    traffic(OLD, 200 * 99, sessions="o")
    have_waited(rollout)
    watching.watch_rollouts()
    rollout.refresh_from_db()
    assert rollout.share == 10
    watching.watch(rollout)
    assert rollout.share == 10


def test_it_goes_through_every_step_and_becomes_active(rollout):
    for share in (10, 50):
        rollouts.advance_rollout(rollout=rollout, by=SYSTEM("rollout"))
        assert rollout.share == share
        assert policies.active_version(rollout.route).number == 1
    rollouts.advance_rollout(rollout=rollout, by=SYSTEM("rollout"))
    assert rollout.state == Rollout.State.BAKING
    assert policies.active_version(rollout.route).number == 2
    assert live_rollout() is None
    rollouts.advance_rollout(rollout=rollout, by=SYSTEM("rollout"))
    assert rollout.state == Rollout.State.DONE


def test_errors_stop_it_with_an_incident(rollout, traffic):
    before = current_revision()
    traffic(NEW, 12, outcome="failed")
    watching.watch(rollout)
    assert rollout.state == Rollout.State.ABORTED
    assert Incident.objects.get().guard == "errors"
    assert Event.objects.filter(kind="rollout.aborted").exists()
    assert live_rollout() is None
    assert current_revision() > before


def test_one_request_at_a_boundary_stops_it(rollout, traffic):
    traffic(NEW, 1, outcome="blocked", cause="refused")
    assert watching.watch(rollout).guard == "boundary"


def test_a_pinned_backend_that_is_blocked_is_not_the_candidates_fault(rollout, traffic):
    traffic(NEW, 1, outcome="blocked", cause="explicit_pin")
    assert watching.watch(rollout) is None


def test_errors_of_the_baseline_do_not_stop_the_candidate(rollout, traffic):
    traffic(OLD, 60, outcome="failed")
    assert watching.watch(rollout) is None


def test_what_was_counted_before_the_attempt_does_not_count(rollout, traffic, people):
    traffic(NEW, 12, outcome="failed", session="one")
    incident = watching.watch(rollout)
    with pytest.raises(Conflict, match="incident"):
        rollouts.resume_rollout(rollout=rollout, by=people["olivia"], reason="Again")
    rollouts.note_incident(incident=incident, by=people["olivia"], reason="A backend was down")
    again = rollouts.resume_rollout(rollout=rollout, by=people["olivia"], reason="Mended")
    assert (again.attempt, again.share) == (2, 1)
    assert again.salt != rollout.salt
    assert watching.watch(again) is None


def test_after_a_boundary_there_is_no_second_attempt(rollout, traffic, people):
    traffic(NEW, 1, outcome="blocked")
    watching.watch(rollout)
    with pytest.raises(Conflict, match="boundary"):
        rollouts.resume_rollout(rollout=rollout, by=people["olivia"], reason="Again")


def test_an_uneven_share_is_counted_by_units(rollout, traffic):
    traffic(NEW, 60)
    traffic(OLD, 60)
    assert watching.watch(rollout).guard == "sample_ratio"


def test_one_busy_session_is_no_uneven_share(rollout, traffic):
    traffic(NEW, 300, session="one")
    traffic(OLD, 20)
    assert watching.watch(rollout) is None
    assert rollout.seen["units"] == 21


def test_while_all_traffic_bakes_a_guard_brings_the_old_version_back(rollout, traffic):
    for _ in range(3):
        rollouts.advance_rollout(rollout=rollout, by=SYSTEM("rollout"))
    traffic(NEW, 12, outcome="failed")
    watching.watch(rollout)
    assert policies.active_version(rollout.route).number == 1
    assert PolicyVersion.objects.get(number=2).state == PolicyVersion.State.ROLLED_BACK


def test_a_person_stops_it_with_a_reason(rollout, people):
    with pytest.raises(Invalid):
        rollouts.abort_rollout(rollout=rollout, by=people["olivia"], reason=" ")
    rollouts.abort_rollout(rollout=rollout, by=people["olivia"], reason="Complaints")
    assert rollout.state == Rollout.State.ABORTED
    assert live_rollout() is None


def test_nothing_else_is_activated_meanwhile(rollout, candidate, people):
    with pytest.raises(Conflict, match="rollout"):
        policies.activate_version(version=candidate, by=people["petra"], reason="Faster")


def test_rolling_back_by_hand_ends_the_bake(rollout, people):
    for _ in range(3):
        rollouts.advance_rollout(rollout=rollout, by=SYSTEM("rollout"))
    policies.roll_back(slug="support", to_number=1, by=people["olivia"], reason="Complaints")
    rollout.refresh_from_db()
    assert rollout.state == Rollout.State.ABORTED


def test_terms_may_be_stricter_not_laxer(route, people):
    strict = {"terms": {"min_pairs": 500}, "capacity_per_day": 40}
    terms.set_gate(route=route, gate=strict, by=people["olivia"], reason="Important route")
    assert terms.terms_of(route).min_pairs == 500
    for lax in ({"min_pairs": 50}, {"alpha": 0.2}, {"min_days": 1}):
        with pytest.raises(Invalid, match="laxer"):
            terms.set_gate(route=route, gate={"terms": lax}, by=people["olivia"], reason="Hurry")
