"""Rebase: an overtaken version begins again from the active one, with its changes carried over."""

from __future__ import annotations

from django.db import transaction
from django.db.models import F, Max
from django.utils import timezone

from accounts.models import User
from routing.engine.canonical import digest as digest_of
from routing.models import PolicyVersion, Route
from routing.services import merging, policies, transitions
from routing.services.transitions import WrongState
from screens.access import require
from screens.errors import Conflict, NotAllowed, NotFound

State = PolicyVersion.State
MINE, THEIRS = "mine", "theirs"


@transaction.atomic
def rebase_version(*, version: PolicyVersion, by: User) -> PolicyVersion:
    """Withdraw the author's version and draft it again from the active one.

    What both changed stays as it is in the active version and is listed in `conflicts` of the new
    draft, which cannot be submitted before each is settled.
    """
    require(by, "routing.edit_policy")
    if version.author_id != by.pk:
        raise NotAllowed("Only its author rebases a version.")
    route = Route.objects.select_for_update().get(pk=version.route_id)
    active = policies.active_version(route)
    if active is None or version.base_id == active.pk:
        raise WrongState(f"{version} began from what is active now; there is nothing to rebase.")
    other = route.versions.filter(author=by, state=State.DRAFT).exclude(pk=version.pk).first()
    if other is not None:
        raise Conflict(
            f"You have another draft of this route, version {other.number}.",
            what_next="Submit or withdraw it first.",
        )
    transitions.move(version, policies.OPEN_STATES, State.WITHDRAWN)
    merged = merging.merge(
        version.base.document if version.base else {}, version.document, active.document
    )
    number = (route.versions.aggregate(top=Max("number"))["top"] or 0) + 1
    draft = PolicyVersion.objects.create(
        route=route,
        number=number,
        document=merged.document,
        digest=digest_of(merged.document),
        summary=version.summary,
        base=active,
        author=by,
        rebased_from=version,
        conflicts=[conflict.as_json() for conflict in merged.conflicts],
    )
    why = f"Rebased onto {active} as {draft}."
    transitions.record("policy.withdrawn", version, by, reason=why)
    details = {
        "from": str(version),
        "onto": str(active),
        "conflicts": [one.subject for one in merged.conflicts],
        "at": timezone.now().isoformat(),
    }
    transitions.record("policy.rebased", draft, by, details=details)
    return draft


@transaction.atomic
def settle_conflict(
    *, version: PolicyVersion, place: int, keep: str, revision: int, by: User
) -> PolicyVersion:
    """Keep the author's side (`mine`) of one conflict, or the active version's (`theirs`)."""
    require(by, "routing.edit_policy")
    if version.author_id != by.pk:
        raise NotAllowed("Only its author settles the conflicts of a draft.")
    if not 0 <= place < len(version.conflicts) or keep not in (MINE, THEIRS):
        raise NotFound("There is no such conflict.")
    conflict = version.conflicts[place]
    document = version.document
    if keep == MINE:
        document = merging.with_own(document, conflict)
    changed = PolicyVersion.objects.filter(
        pk=version.pk, state=State.DRAFT, revision=revision
    ).update(
        document=document,
        digest=digest_of(document),
        conflicts=[*version.conflicts[:place], *version.conflicts[place + 1 :]],
        revision=F("revision") + 1,
    )
    if changed != 1:
        raise Conflict("This draft was changed elsewhere, or is no longer a draft.")
    before = version.digest
    version.refresh_from_db()
    transitions.record(
        "policy.conflict_settled",
        version,
        by,
        before={"digest": before},
        after={"digest": version.digest},
        details={"subject": conflict["subject"], "keep": keep},
    )
    return version
