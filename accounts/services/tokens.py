"""Issues and revokes access tokens of the management API. The text is returned once, kept nowhere.

A person makes tokens for themselves, in a session of their own; an administrator may end any.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

import audit
from accounts.models import AccessToken, User
from accounts.secrets import MANAGEMENT, fingerprint, is_well_formed, make_key
from audit.actors import Actor
from screens.access import NEVER_BY_TOKEN, PERMISSIONS, may
from screens.errors import Conflict, Invalid, NotAllowed

LONGEST_LIFE = timedelta(days=366)
_USED_EVERY = timedelta(hours=1)


def scopes_open_to(person: User) -> list[str]:
    """What a token of this person can be given: their own rights, less those of people alone."""
    return [code for code in PERMISSIONS if code not in NEVER_BY_TOKEN and may(person, code)]


@transaction.atomic
def create_token(
    *, by: User, name: str, scopes: Iterable[str], expires_at: datetime, reason: str
) -> tuple[AccessToken, str]:
    """Issue a token that acts for ``by``; returns it with its text, which is shown once."""
    if getattr(by, "token_scopes", None) is not None:
        raise NotAllowed(
            "A token cannot issue another one.", what_next="Sign in and issue it yourself."
        )
    chosen = sorted(set(scopes))
    if not chosen:
        raise Invalid("Choose at least one thing that the token may do.", code="scopes_missing")
    if beyond := set(chosen) - set(scopes_open_to(by)):
        raise Invalid(
            f"A token of yours cannot have {', '.join(sorted(beyond))}.",
            code="scope_too_wide",
            what_next="Choose from what your own roles allow.",
        )
    if not timezone.now() < expires_at <= timezone.now() + LONGEST_LIFE:
        raise Invalid("A token expires within a year.", what_next="Choose an earlier date.")
    if not reason.strip():
        raise Invalid("Give a reason; it is kept in the audit trail.", code="reason_missing")
    fresh = make_key(MANAGEMENT)
    token = AccessToken.objects.create(
        public_id=fresh.public_id,
        secret_sha256=fresh.sha256,
        person=by,
        name=name,
        scopes=chosen,
        expires_at=expires_at,
    )
    audit.record(
        "access_token.created",
        by=Actor.of(by),
        object_type="access_token",
        object_id=token.public_id,
        reason=reason.strip(),
        after={"name": name, "scopes": chosen, "expires_at": expires_at.isoformat()},
    )
    return token, fresh.text


@transaction.atomic
def revoke_token(*, token: AccessToken, by: User, reason: str) -> None:
    """End a token now. One's own, or any with the right to manage people."""
    if token.person_id != by.pk and not may(by, "accounts.manage_people"):
        raise NotAllowed("Only its person or an administrator ends a token.")
    if not reason.strip():
        raise Invalid("Give a reason; it is kept in the audit trail.", code="reason_missing")
    ended = AccessToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(
        revoked_at=timezone.now()
    )
    if ended != 1:
        raise Conflict("This token has already been revoked.")
    audit.record(
        "access_token.revoked",
        by=Actor.of(by),
        object_type="access_token",
        object_id=token.public_id,
        reason=reason.strip(),
        details={"person": token.person.get_username()},
    )


def person_of(text: str) -> tuple[User, AccessToken] | None:
    """The active person of a usable token, narrowed to its scopes; None for anything else."""
    if not is_well_formed(text, MANAGEMENT):
        return None
    now = timezone.now()
    token = (
        AccessToken.objects.select_related("person")
        .filter(
            secret_sha256=fingerprint(text),
            revoked_at__isnull=True,
            expires_at__gt=now,
            person__is_active=True,
        )
        .first()
    )
    if token is None:
        return None
    person = token.person
    person.token_scopes = frozenset(token.scopes) - NEVER_BY_TOKEN  # type: ignore[attr-defined]
    person.token_prefix = token.prefix  # type: ignore[attr-defined]
    if token.last_used_at is None or token.last_used_at < now - _USED_EVERY:
        note_use(token=token, at=now)
    return person, token


def note_use(*, token: AccessToken, at: datetime) -> None:
    unused = Q(last_used_at__isnull=True) | Q(last_used_at__lt=at - _USED_EVERY)
    AccessToken.objects.filter(unused, pk=token.pk).update(last_used_at=at)
