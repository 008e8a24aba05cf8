"""Keeps a view of the decisions list under a name, for the person who made it."""

from __future__ import annotations

from django.db import IntegrityError, transaction

import audit
from accounts.models import User
from audit.actors import Actor
from routing.models import SavedFilter
from routing.queries.decisions import Filters
from screens.access import require
from screens.errors import Conflict, Invalid, NotFound

MOST = 30


@transaction.atomic
def save_filter(*, name: str, filters: Filters, by: User) -> SavedFilter:
    """Keep these filters under a name; a name that is taken is refused, not overwritten."""
    require(by, "routing.view")
    title = name.strip()[:60]
    if not title:
        raise Invalid("Give the filter a name.", code="name_missing")
    if not filters.chosen():
        raise Invalid("Set a filter first; without one the list shows everything.")
    if SavedFilter.objects.filter(person=by).count() >= MOST:
        raise Conflict(f"You keep {MOST} filters already; remove one first.")
    query = filters.query()
    try:
        with transaction.atomic():
            saved = SavedFilter.objects.create(person=by, name=title, query=query)
    except IntegrityError:
        raise Conflict(f"You have a filter named {title!r} already. Choose another name.") from None
    _record("filter.saved", saved, by)
    return saved


@transaction.atomic
def remove_filter(*, pk: int, by: User) -> str:
    """Forget one of one's own filters; returns its name."""
    require(by, "routing.view")
    saved = SavedFilter.objects.filter(pk=pk, person=by).first()
    if saved is None:
        raise NotFound("You have no such filter.")
    _record("filter.removed", saved, by)
    saved.delete()
    return saved.name


def _record(kind: str, saved: SavedFilter, by: User) -> None:
    audit.record(
        kind,
        by=Actor.of(by),
        object_type="filter",
        object_id=saved.name,
        details={"query": saved.query},
    )
