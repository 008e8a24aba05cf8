"""One step in the life of a policy version: a conditional update, and the record that goes with it.

The order of the states is held by the database; here a step that came too late is told in words.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction
from django.utils import timezone

import audit
from accounts.models import User
from audit.actors import Actor
from routing.models import PolicyVersion
from screens.errors import Conflict, Invalid

State = PolicyVersion.State


class WrongState(Conflict):
    default_code = "wrong_state"


class MustRebase(Conflict):
    default_message = "Another version became active since this draft began."
    default_code = "must_rebase"
    default_what_next = (
        "Its author rebases it: a new draft with its changes, from the active version."
    )


def given_reason(reason: str) -> str:
    """The reason without its surrounding blanks. Raises Invalid when there is none."""
    if not reason.strip():
        raise Invalid("Give a reason; it is kept in the audit trail.", code="reason_missing")
    return reason.strip()


def move(version: PolicyVersion, sources: tuple[str, ...], target: str, **changes: Any) -> None:
    """Go to `target` if the version still is in one of `sources`. Raises WrongState."""
    if State.SCHEDULED in sources and target != State.SCHEDULED:
        changes["scheduled_for"] = None
    changed = PolicyVersion.objects.filter(pk=version.pk, state__in=sources).update(
        state=target, **changes
    )
    version.refresh_from_db()
    if changed != 1:
        raise WrongState(f"{version} is {version.get_state_display()}; this cannot be done now.")


def record(
    kind: str,
    version: PolicyVersion,
    by: User | Actor,
    *,
    reason: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
    details: dict[str, Any] | None = None,
) -> None:
    audit.record(
        kind,
        by=by if isinstance(by, Actor) else Actor.of(by),
        object_type="policy_version",
        object_id=str(version),
        reason=reason,
        before=before,
        after=after,
        details={"route": version.route.slug, "digest": version.digest, **(details or {})},
    )


@transaction.atomic
def suspend_schedule(*, version: PolicyVersion, why: str, by: User | Actor) -> None:
    """Back to approved, with what stood against the activation. Raises WrongState."""
    due = version.scheduled_for
    move(
        version,
        (State.SCHEDULED,),
        State.APPROVED,
        suspended_at=timezone.now(),
        suspended_why=why[:400],
    )
    details = {"scheduled_for": due.isoformat() if due else None}
    record("policy.schedule_suspended", version, by, reason=why[:400], details=details)
