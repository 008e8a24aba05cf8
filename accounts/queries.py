"""Reads people and keys for the screens: one call per screen, a bounded number of queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts import neighbours
from accounts.models import ApiKey, User
from audit.models import Event
from screens.access import PERMISSIONS, ROLES, Role, why
from screens.errors import NotFound

EXPIRES_SOON: Final = timedelta(days=14)
UNUSED_AFTER: Final = timedelta(days=90)

# Two roles in one hand that the other was made to control.
CONFLICTS: Final = (
    ("author", "approver", "writes and approves policy"),
    ("administrator", "approver", "gives out roles and approves policy"),
    ("administrator", "operator", "gives out roles and runs traffic"),
    ("auditor", "administrator", "proves what it may change"),
    ("auditor", "operator", "proves what it may change"),
    ("auditor", "author", "proves what it may change"),
    ("auditor", "approver", "proves what it may change"),
    ("auditor", "reviewer", "proves what it may change"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRow:
    """A key as the list shows it. `state` is active, expiring, expired or revoked."""

    key: ApiKey
    state: str
    last_used: datetime | None
    is_unused: bool


def state_of(key: ApiKey, now: datetime) -> str:
    if key.revoked_at:
        return "revoked"
    if key.expires_at and key.expires_at <= now:
        return "expired"
    if key.expires_at and key.expires_at - now < EXPIRES_SOON:
        return "expiring"
    return "active"


KEY_STATES: Final = {
    "usable": "Usable",
    "expiring": "Ending within 14 days",
    "ended": "Expired or revoked",
    "all": "All",
}


def keys_in(state: str) -> QuerySet[ApiKey]:
    """Keys of one tab of the list, the usable ones by default."""
    now = timezone.now()
    keys = ApiKey.objects.select_related("created_by", "replaces").order_by("name", "-created_at")
    usable = Q(revoked_at__isnull=True) & (Q(expires_at__isnull=True) | Q(expires_at__gt=now))
    if state == "all":
        return keys
    if state == "ended":
        return keys.filter(~usable)
    if state == "expiring":
        return keys.filter(usable, expires_at__lt=now + EXPIRES_SOON)
    return keys.filter(usable)


def key_rows(keys: Sequence[ApiKey]) -> list[KeyRow]:
    now = timezone.now()
    used = neighbours.last_used([key.public_id for key in keys])
    rows = []
    for key in keys:
        last = used.get(key.public_id)
        rows.append(
            KeyRow(
                key=key,
                state=state_of(key, now),
                last_used=last,
                is_unused=(last or key.created_at) < now - UNUSED_AFTER,
            )
        )
    return rows


def key_named(public_id: str) -> ApiKey:
    keys = ApiKey.objects.select_related("created_by", "replaces")
    key = keys.filter(public_id=public_id).first()
    if key is None:
        raise NotFound("There is no such key.")
    return key


def history_of(object_type: str, object_id: str, limit: int = 20) -> list[Event]:
    """What the trail says happened to one object, newest first."""
    own = Event.objects.filter(object_type=object_type, object_id=object_id)
    # Written as the condition of the index by object, so that the planner can use it.
    own = own.extra(where=["substr(id::text, 15, 1) = '7' AND kind <> 'decision.made'"])
    return list(own.order_by("-at", "-id")[:limit])


def people(text: str = "", role: str = "", state: str = "") -> QuerySet[User]:
    found = User.objects.prefetch_related("groups").order_by("-is_active", "username")
    if text:
        found = found.filter(
            Q(username__icontains=text) | Q(full_name__icontains=text) | Q(job__icontains=text)
        )
    if role in ROLES:
        found = found.filter(groups__name=role)
    if state in ("active", "inactive"):
        found = found.filter(is_active=state == "active")
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonRow:
    person: User
    roles: list[Role]
    conflicts: list[str]


def roles_in(person: User) -> list[Role]:
    """The roles of a person, from prefetched groups where there are some."""
    names = {group.name for group in person.groups.all()}
    return [role for slug, role in ROLES.items() if slug in names]


def conflicts_in(roles: Sequence[Role]) -> list[str]:
    """Sentences about roles that should not be in one hand."""
    held = {role.slug for role in roles}
    return [
        f"{ROLES[one].name} and {ROLES[other].name} in one hand: {what}."
        for one, other, what in CONFLICTS
        if one in held and other in held
    ]


def person_rows(found: Sequence[User]) -> list[PersonRow]:
    rows = []
    for person in found:
        roles = roles_in(person)
        rows.append(PersonRow(person=person, roles=roles, conflicts=conflicts_in(roles)))
    return rows


def person_of(pk: int) -> User:
    person = User.objects.prefetch_related("groups").filter(pk=pk).first()
    if person is None:
        raise NotFound("There is no such person.")
    return person


def permissions_with_reasons(person: User) -> list[dict[str, Any]]:
    """Every permission, whether this person has it, and which roles give it."""
    rows = []
    for code, sentence in PERMISSIONS.items():
        reasons = why(person, code)
        rows.append(
            {
                "code": code,
                "sentence": sentence,
                "is_given": bool(reasons),
                "reasons": [ROLES[slug].name if slug in ROLES else slug for slug in reasons],
                "would_give": [role.name for role in ROLES.values() if code in role.permissions],
            }
        )
    return rows


def sign_ins_of(person: User, limit: int = 15) -> list[Event]:
    """Sign-ins, failures and sign-outs of one person, newest first."""
    kinds = ("person.signed_in", "person.sign_in_failed", "person.signed_out")
    own = history_of("person", person.username, limit=100)
    return [event for event in own if event.kind in kinds][:limit]


def changes_of(person: User, limit: int = 15) -> list[Event]:
    """Who gave this person what, newest first."""
    own = history_of("person", person.username, limit=200)
    return [event for event in own if "sign" not in event.kind][:limit]


def matrix() -> list[dict[str, Any]]:
    """Rows of permissions, a cell per role."""
    return [
        {
            "code": code,
            "sentence": sentence,
            "cells": [(role, code in role.permissions) for role in ROLES.values()],
        }
        for code, sentence in PERMISSIONS.items()
    ]
