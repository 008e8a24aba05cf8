"""Writes down who came in, who could not, who left and who was refused; and slows down guessing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.http import HttpRequest
from django.utils import timezone

import audit
from accounts.models import SignInAttempt, User
from audit.actors import NOBODY, Actor
from screens.errors import NotAllowed

WINDOW = timedelta(minutes=15)
TRIES_OF_A_PAIR = 5
# One address may serve a whole office, so it gets more; without a bound, one address could try
# one password on every name.
TRIES_OF_AN_ADDRESS = 50
_NAME = 150
UNKNOWN_NAME = "an unknown name"


class TooManyTries(NotAllowed):
    """Five tries by one name from one address, or too many names from one address."""

    default_code = "too_many_tries"
    default_message = "Too many tries to sign in from here."
    default_what_next = (
        "Wait 15 minutes and try again, or ask an administrator for a new password. "
        "Nobody was signed in and the account is not locked for others."
    )
    is_recorded = True


def address_of(request: HttpRequest) -> str:
    """Where the request came from. Behind a proxy the server puts the client's address here."""
    return str(request.META.get("REMOTE_ADDR") or "unknown")[:45]


def _folded(username: str) -> str:
    return username.replace("\x00", "").strip().casefold()[:_NAME]


def begin_attempt(*, username: str, address: str) -> SignInAttempt:
    """Count a try before its password is looked at. Raises TooManyTries.

    Counted first and committed at once: parallel tries on several workers see each other. A try
    that is refused is not kept, so the wait is never made longer by trying.
    """
    now = timezone.now()
    SignInAttempt.objects.filter(at__lt=now - WINDOW).delete()
    attempt = SignInAttempt.objects.create(username=_folded(username), address=address)
    recent = SignInAttempt.objects.filter(address=address, at__gt=now - WINDOW, pk__lte=attempt.pk)
    of_pair = recent.filter(username=attempt.username).count()
    if of_pair > TRIES_OF_A_PAIR or recent.count() > TRIES_OF_AN_ADDRESS:
        attempt.delete()
        raise TooManyTries
    return attempt


def clear_attempts(*, username: str, address: str) -> None:
    """After a success the pair starts again from nothing."""
    SignInAttempt.objects.filter(username=_folded(username), address=address).delete()


@transaction.atomic
def signed_in(*, user: User, request: HttpRequest | None = None, **_: Any) -> None:
    audit.record(
        "person.signed_in",
        by=Actor.of(user),
        object_type="person",
        object_id=user.get_username(),
        details={"address": address_of(request)} if request else {},
    )


@transaction.atomic
def signed_out(*, user: User | None, request: HttpRequest | None = None, **_: Any) -> None:
    if user is None or not user.is_authenticated:
        return
    audit.record(
        "person.signed_out",
        by=Actor.of(user),
        object_type="person",
        object_id=user.get_username(),
        details={"address": address_of(request)} if request else {},
    )


@transaction.atomic
def sign_in_failed(
    *, credentials: dict[str, Any], request: HttpRequest | None = None, **_: Any
) -> None:
    """An unknown name is not written down: it is often a password in the wrong field."""
    given = str(credentials.get("username") or "").replace("\x00", "")[:_NAME]
    is_known = User.objects.filter(Q(username=given)).exists()
    audit.record(
        "person.sign_in_failed",
        by=NOBODY,
        object_type="person",
        object_id=given if is_known else UNKNOWN_NAME,
        result="denied",
        details={"address": address_of(request)} if request else {},
    )


@transaction.atomic
def denied(request: HttpRequest, error: NotAllowed) -> None:
    """A signed-in person was refused something: who, where and why."""
    user: Any = request.user
    match = request.resolver_match
    audit.record(
        "access.denied",
        by=Actor.of(user),
        object_type="screen",
        object_id=match.url_name if match and match.url_name else "unknown",
        result="denied",
        reason=error.message[:300],
        details={"path": request.path[:300], "method": request.method or "", "code": error.code},
    )
