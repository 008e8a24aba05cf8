"""Adds people, changes their roles and passwords, and shuts accounts. Nobody does it to themselves.

A person is never deleted: the trail names them. Every change of rights ends their sessions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F

import audit
from accounts.models import User
from audit.actors import Actor
from screens.access import ROLES, require
from screens.errors import Conflict, Invalid, NotAllowed

MANAGE = "accounts.manage_people"
ADMINISTRATOR = "administrator"


class OwnAccount(NotAllowed):
    default_code = "own_account"
    default_message = "Nobody may change their own roles or account."
    default_what_next = "Ask another administrator."


class LastAdministrator(Conflict):
    default_code = "last_administrator"
    default_message = "This is the last active administrator."
    default_what_next = "Give the role to another person first."


def _facts(person: User) -> dict[str, Any]:
    return {
        "full_name": person.full_name,
        "job": person.job,
        "is_active": person.is_active,
        "roles": roles_held(person),
    }


def roles_held(person: User) -> list[str]:
    """The roles of a person, read afresh and also of one who is not active."""
    names = list(Group.objects.filter(user=person).values_list("name", flat=True))
    return [slug for slug in ROLES if slug in names]


def _check(*, by: User, reason: str, person: User | None = None) -> str:
    require(by, MANAGE)
    if person is not None and person.pk == by.pk:
        raise OwnAccount
    if person is not None and person.is_superuser and not by.is_superuser:
        raise NotAllowed(
            "Only a superuser may change a superuser.",
            code="superuser",
            what_next="Use the command line of the server.",
        )
    if not reason.strip():
        raise Invalid("Give a reason; it is kept in the audit trail.", code="reason_missing")
    return reason.strip()


def _known(roles: Iterable[str]) -> list[str]:
    wanted = set(roles)
    if unknown := wanted - ROLES.keys():
        raise Invalid(f"There is no role named {', '.join(sorted(unknown))}.")
    return [slug for slug in ROLES if slug in wanted]


def _group(slug: str) -> Group:
    return Group.objects.get_or_create(name=slug)[0]


def _locked(person: User) -> User:
    return User.objects.select_for_update().get(pk=person.pk)


def _keep_an_administrator(person: User) -> None:
    """Raise where nobody else would be left. The lock makes two who remove each other wait."""
    group = Group.objects.select_for_update().get(pk=_group(ADMINISTRATOR).pk)
    others = User.objects.filter(groups=group, is_active=True).exclude(pk=person.pk)
    if ADMINISTRATOR in roles_held(person) and not others.exists():
        raise LastAdministrator


def _checked_password(password: str, person: User) -> str:
    try:
        validate_password(password, person)
    except ValidationError as problem:
        raise Invalid(" ".join(problem.messages), code="password_too_weak") from None
    return password


def _record(kind: str, person: User, by: User, *, reason: str = "", **change: Any) -> None:
    audit.record(
        kind,
        by=Actor.of(by),
        object_type="person",
        object_id=person.username,
        reason=reason,
        **change,
    )


@transaction.atomic
def create_person(
    *,
    by: User,
    reason: str,
    username: str,
    password: str,
    full_name: str = "",
    job: str = "",
    roles: Iterable[str] = (),
) -> User:
    """Add a person with a first password, which they are told in person and change themselves."""
    reason = _check(by=by, reason=reason)
    granted = _known(roles)
    person = User(username=username, full_name=full_name, job=job)
    try:
        person.full_clean(exclude=["password"])
    except ValidationError as problem:
        raise Invalid(" ".join(problem.messages)) from None
    person.set_password(_checked_password(password, person))
    try:
        with transaction.atomic():
            person.save(force_insert=True)
    except IntegrityError:
        raise Conflict("A person with this sign-in name exists already.") from None
    person.groups.set([_group(slug) for slug in granted])
    _record("person.created", person, by, reason=reason, after=_facts(person))
    return person


@transaction.atomic
def change_roles(*, person: User, by: User, reason: str, roles: Iterable[str]) -> User:
    """Give a person exactly these roles; their sessions end, so that it holds at once."""
    reason = _check(by=by, reason=reason, person=person)
    granted = _known(roles)
    locked = _locked(person)
    before = _facts(locked)
    if before["roles"] == granted:
        return locked
    if ADMINISTRATOR not in granted:
        _keep_an_administrator(locked)
    # Groups that are no role belong to somebody else's rules and stay.
    locked.groups.remove(*Group.objects.filter(name__in=set(ROLES) - set(granted)))
    locked.groups.add(*[_group(slug) for slug in granted])
    _end_sessions(locked)
    _record("person.roles_changed", locked, by, reason=reason, before=before, after=_facts(locked))
    return locked


@transaction.atomic
def deactivate_person(*, person: User, by: User, reason: str) -> User:
    """Shut an account: its sessions end, nothing it did disappears."""
    reason = _check(by=by, reason=reason, person=person)
    locked = _locked(person)
    if not locked.is_active:
        raise Conflict(f"{locked} is not active any more.")
    _keep_an_administrator(locked)
    locked.is_active = False
    locked.save(update_fields=["is_active"])
    _end_sessions(locked)
    _record(
        "person.deactivated",
        locked,
        by,
        reason=reason,
        before={"is_active": True},
        after={"is_active": False},
    )
    return locked


@transaction.atomic
def reactivate_person(*, person: User, by: User, reason: str) -> User:
    reason = _check(by=by, reason=reason, person=person)
    locked = _locked(person)
    if locked.is_active:
        raise Conflict(f"{locked} is active already.")
    locked.is_active = True
    locked.save(update_fields=["is_active"])
    _record(
        "person.reactivated",
        locked,
        by,
        reason=reason,
        before={"is_active": False},
        after={"is_active": True},
    )
    return locked


@transaction.atomic
def set_password(*, person: User, by: User, reason: str, password: str) -> User:
    """Give a person a new password, because they forgot the old one; their sessions end."""
    reason = _check(by=by, reason=reason, person=person)
    locked = _locked(person)
    locked.set_password(_checked_password(password, locked))
    locked.save(update_fields=["password"])
    _record("person.password_changed", locked, by, reason=reason)
    return locked


@transaction.atomic
def change_own_password(*, by: User, old: str, new: str) -> User:
    """Change one's own password, with the old one as proof; other sessions end."""
    locked = _locked(by)
    if not locked.check_password(old):
        raise Invalid("The present password is not right.", code="password_wrong")
    locked.set_password(_checked_password(new, locked))
    locked.save(update_fields=["password"])
    _record("person.password_changed", locked, by)
    return locked


def _end_sessions(person: User) -> None:
    User.objects.filter(pk=person.pk).update(session_version=F("session_version") + 1)
    person.refresh_from_db()
    person.__dict__.pop("_signalbox_roles", None)
