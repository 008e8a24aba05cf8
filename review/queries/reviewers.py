"""The reviewers and what each may take, with the defaults where nothing is said."""

from __future__ import annotations

from accounts.models import User
from review.models import Case, Reviewer
from review.queries import eligible
from screens.access import roles_that_may
from screens.errors import NotFound


def everyone() -> list[Reviewer]:
    """Everyone who may decide cases, by name."""
    roles = [role.slug for role in roles_that_may("review.decide")]
    people = User.objects.filter(is_active=True, groups__name__in=roles).distinct()
    kept = {one.pk: one for one in Reviewer.objects.select_related("person")}
    found = [kept.get(person.pk) or _default(person) for person in people.order_by("username")]
    return found


def one(username: str) -> Reviewer:
    """Raises NotFound for whoever does not review."""
    found = next((each for each in everyone() if each.person.username == username), None)
    if found is None:
        raise NotFound("There is no such reviewer.", what_next="Start from the list of reviewers.")
    return found


def _default(person: User) -> Reviewer:
    return Reviewer(person=person, queues=[], clearance=eligible.DEFAULT_CLEARANCE, version=0)


def known_queues() -> list[str]:
    """The queues that open cases are in."""
    return list(Case.objects.order_by("queue").values_list("queue", flat=True).distinct()[:200])
