"""Who may take which case: what a reviewer brings, set against what a case asks for.

The same question twice: as a filter for "the next one", and for one case with the reason.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Q, QuerySet

from review import rules
from review.models import Case, CaseVerdict, Reviewer
from screens.access import may

# Nobody is cleared for the highest class by default: somebody must have said so.
DEFAULT_CLEARANCE = settings.DATA_CLASSES[-2]
ORDER = ("priority", "due_at", "id")


def rank_of(data_class: str) -> int:
    """The place of a data class; a word that is not in the list counts as the highest."""
    classes = settings.DATA_CLASSES
    return classes.index(data_class) if data_class in classes else len(classes) - 1


def is_restricted(data_class: str) -> bool:
    return rank_of(data_class) == len(settings.DATA_CLASSES) - 1


def reviewer_of(person: Any) -> Reviewer:
    """What is said of a person, or the defaults; an unsaved row stands for these."""
    kept = Reviewer.objects.filter(person=person.pk).first()
    return kept or Reviewer(person_id=person.pk, queues=[], clearance=DEFAULT_CLEARANCE, version=0)


def ability_of(person: Any) -> rules.Ability:
    kept = reviewer_of(person)
    return rules.Ability(
        queues=frozenset(kept.queues),
        rank=rank_of(kept.clearance),
        is_lead=may(person, "review.lead"),
    )


def names_of(person: Any) -> frozenset[str]:
    """How the owner of a key may be written when it is this person."""
    written = (person.get_username(), str(person), getattr(person, "email", ""))
    return frozenset(name.casefold() for name in written if name)


def is_own(case: Case, person: Any) -> bool:
    return bool(case.owner) and case.owner.casefold() in names_of(person)


def why_not(case: Case, person: Any) -> str:
    """Why this person may not take this case, by review.rules.why_not, or nothing."""
    return rules.why_not(
        rules.Wanted(queue=case.queue, rank=rank_of(case.data_class), level=case.level),
        ability_of(person),
        has_decided=CaseVerdict.objects.filter(case=case, by=person.pk).exists(),
        is_own=is_own(case, person),
    )


def takeable(person: Any, now: datetime) -> QuerySet[Case]:
    """The cases that wait and that this person may take, in the order in which they are given."""
    ability = ability_of(person)
    mine = Q()
    for name in names_of(person):
        mine |= Q(owner__iexact=name)
    cases = (
        Case.objects.filter(state__in=sorted(rules.WAITING), due_at__gt=now)
        .exclude(mine)
        .exclude(pk__in=CaseVerdict.objects.filter(by=person.pk).values("case_id"))
    )
    if ability.rank < len(settings.DATA_CLASSES) - 1:
        cases = cases.filter(data_class__in=settings.DATA_CLASSES[: ability.rank + 1])
    if ability.queues:
        cases = cases.filter(queue__in=sorted(ability.queues))
    if not ability.is_lead:
        cases = cases.filter(level__lt=rules.LEAD_LEVEL)
    return cases.order_by(*ORDER)
