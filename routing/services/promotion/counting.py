"""What each arm of a rollout has counted, from the roll-ups, and which units it has seen.

The roll-ups count by version since for ever; what a step saw is the difference to its beginning.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import connection

from audit.ids import first_id
from routing.engine.rollout import Seen
from routing.engine.sequential import Arm
from routing.models import Hold, Rollout
from routing.services.health import UNHEALTHY_SQL
from routing.services.redecide import compiled_version, named_backends

_COUNTED = """
    SELECT policy,
        sum(n) FILTER (WHERE outcome IN
            ('served', 'safe_default', 'held', 'refused', 'failed', 'blocked', 'outcome_unknown')),
        sum(n) FILTER (WHERE outcome IN ('failed', 'outcome_unknown')),
        sum(n) FILTER (WHERE outcome = 'blocked' AND cause <> 'explicit_pin'),
        sum(cost_usd)
    FROM routing_traffic
    WHERE span = 1440 AND route = %s AND policy IN (%s, %s) AND n <> 0 GROUP BY policy
"""
# A decision's id begins with its time, so that the followed part is a range of the primary key.
_FOLLOW = """
    INSERT INTO routing_rolloutunit (rollout_id, step, unit, treated)
    SELECT DISTINCT ON (unit) %(rollout)s::uuid, %(step)s, unit, treated FROM (
        SELECT coalesce(nullif(session, ''), client_id) AS unit, policy = %(candidate)s AS treated
        FROM routing_decision
        WHERE route = %(route)s AND policy IN (%(candidate)s, %(baseline)s) AND id >= %(since)s
    ) seen
    ORDER BY unit
    ON CONFLICT DO NOTHING
"""


def counted(route: str, candidate: str, baseline: str) -> dict[str, Any]:
    """Trials, events, violations and cost of both versions since they exist."""
    with connection.cursor() as cursor:
        cursor.execute(_COUNTED, [route, candidate, baseline])
        rows = {
            row[0]: {
                "trials": int(row[1] or 0),
                "events": int(row[2] or 0),
                "violations": int(row[3] or 0),
                "cost_usd": float(row[4] or 0),
            }
            for row in cursor.fetchall()
        }
    none = {"trials": 0, "events": 0, "violations": 0, "cost_usd": 0.0}
    return {"candidate": rows.get(candidate, none), "baseline": rows.get(baseline, none)}


def _since(now: dict[str, Any], before: dict[str, Any], arm: str, name: str) -> float:
    return max(0.0, float(now[arm][name] - before.get(arm, {}).get(name, 0)))


def observe(rollout: Rollout) -> Seen:
    """What the guards look at now."""
    candidate, baseline = str(rollout.version), str(rollout.baseline)
    now = counted(rollout.route.slug, candidate, baseline)
    start, step = rollout.counted_at_start, rollout.counted_at_step

    def arm(name: str, before: dict[str, Any]) -> Arm:
        trials = int(_since(now, before, name, "trials"))
        return Arm(events=min(trials, int(_since(now, before, name, "events"))), trials=trials)

    treated, units = _units(rollout, candidate, baseline)
    return Seen(
        candidate=arm("candidate", start),
        baseline=arm("baseline", step),
        share=rollout.share,
        treated_units=treated,
        units=units,
        violations=int(_since(now, start, "candidate", "violations")),
        cost_usd=_since(now, start, "candidate", "cost_usd"),
        projected_usd=None if rollout.projected_usd is None else float(rollout.projected_usd),
        costed=int(_since(now, start, "candidate", "trials")),
        waiting=Hold.objects.filter(
            route=rollout.route.slug, policy=candidate, state=Hold.State.WAITING
        ).count(),
        failing=_failing(rollout),
    )


def treated_in_step(rollout: Rollout) -> int:
    now = counted(rollout.route.slug, str(rollout.version), str(rollout.baseline))
    return int(_since(now, rollout.counted_at_step, "candidate", "trials"))


def _units(rollout: Rollout, candidate: str, baseline: str) -> tuple[int, int]:
    """Each session or client once: requests of one unit are no independent draws.

    Only units of this step, from ten seconds on: replicas follow a new share within five.
    """
    since = first_id(rollout.step_at + timedelta(seconds=10))
    with connection.cursor() as cursor:
        cursor.execute(
            _FOLLOW,
            {
                "rollout": rollout.pk,
                "step": rollout.step,
                "route": rollout.route.slug,
                "candidate": candidate,
                "baseline": baseline,
                "since": max(since, rollout.followed_to or since),
            },
        )
        cursor.execute(
            "SELECT count(*) FILTER (WHERE treated), count(*) FROM routing_rolloutunit "
            "WHERE rollout_id = %s AND step = %s",
            [rollout.pk, rollout.step],
        )
        treated, units = cursor.fetchone()
    return treated, units


def _failing(rollout: Rollout) -> tuple[str, ...]:
    named = set(named_backends(compiled_version(rollout.version)))
    before = set(named_backends(compiled_version(rollout.baseline)))
    with connection.cursor() as cursor:
        cursor.execute(UNHEALTHY_SQL)
        unwell = {name for (name,) in cursor.fetchall()}
    # A backend that both versions use fails them both: going back would not help.
    return tuple(sorted((named - before) & unwell))
