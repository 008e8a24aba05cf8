"""Decides who may do what: permissions, roles, and the one decorator that states both on a view.

A role is a Django group whose name is the role's slug; what a role may do is written here, in
code, so that a change of power is a reviewed commit and never a click.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, HttpResponseBase

from screens.errors import NotAllowed

View = Callable[..., HttpResponseBase]


class Person(Protocol):
    """What access needs to know of a user; the model itself belongs to a higher room."""

    is_active: bool
    is_superuser: bool
    groups: Any

    @property
    def is_authenticated(self) -> Any: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Role:
    """A job, in words a security reviewer can read, and what it may do."""

    slug: str
    name: str
    sentence: str
    permissions: frozenset[str]


PERMISSIONS: dict[str, str] = {
    "routing.view": "See routes, policies, backends and decisions, without request text.",
    "routing.operate": "Change backends, run probes and use the kill switch.",
    "routing.edit_policy": "Write policy drafts and submit them for approval.",
    "routing.approve_policy": "Approve or reject a policy version written by someone else.",
    "routing.activate_policy": "Activate an approved version and roll back to an earlier one.",
    "routing.promote_policy": "Promote an approved version on its evidence, step by step.",
    "routing.sign_off": "Approve, refuse and revoke what public backends may receive.",
    "routing.view_payload": "Read the stored text of a decision; every reading is recorded.",
    "review.view": "See the review queue and its cases, without request text.",
    "review.decide": "Claim a case, read its text and decide it.",
    "review.lead": "Pick, reassign and release any case, and see how reviewers do.",
    "audit.view": "Search the audit trail and check its integrity.",
    "audit.export": "Export the audit trail and issue compliance reports.",
    "accounts.view": "See people, their roles and the API keys, never a secret.",
    "accounts.manage_keys": "Issue, rotate and revoke API keys.",
    "accounts.manage_people": "Add people, change their roles and deactivate them.",
}


def _role(slug: str, name: str, sentence: str, *permissions: str) -> Role:
    granted = frozenset(permissions)
    unknown = granted - PERMISSIONS.keys()
    if unknown:
        raise LookupError(f"role {slug} names unknown permissions: {sorted(unknown)}")
    return Role(slug=slug, name=name, sentence=sentence, permissions=granted)


ROLES: dict[str, Role] = {
    role.slug: role
    for role in (
        _role(
            "operator",
            "Operator",
            "Runs the backends, watches traffic and reacts to incidents.",
            "routing.view",
            "routing.operate",
            "routing.activate_policy",
            "routing.promote_policy",
            "accounts.view",
            "accounts.manage_keys",
            "audit.view",
        ),
        _role(
            "author",
            "Policy author",
            "Writes and tunes the policy of a route; never approves it.",
            "routing.view",
            "routing.edit_policy",
        ),
        _role(
            "approver",
            "Approver",
            "Approves what someone else wrote or asked for, and activates it.",
            "routing.view",
            "routing.approve_policy",
            "routing.activate_policy",
            "routing.promote_policy",
            "routing.sign_off",
        ),
        _role(
            "reviewer",
            "Reviewer",
            "Decides held requests within their deadline.",
            "routing.view",
            "review.view",
            "review.decide",
        ),
        _role(
            "lead_reviewer",
            "Lead reviewer",
            "Decides held requests, and looks after the queue and its reviewers.",
            "routing.view",
            "routing.view_payload",
            "review.view",
            "review.decide",
            "review.lead",
        ),
        _role(
            "auditor",
            "Auditor",
            "Reads everything but request text, proves it and exports it; changes nothing.",
            "routing.view",
            "review.view",
            "audit.view",
            "audit.export",
            "accounts.view",
        ),
        _role(
            "administrator",
            "Administrator",
            "Looks after people, their roles and the API keys; decides no traffic.",
            "routing.view",
            "audit.view",
            "accounts.view",
            "accounts.manage_keys",
            "accounts.manage_people",
        ),
    )
}


def roles_of(user: Person) -> tuple[str, ...]:
    """Role slugs of a person, in the order of ROLES; groups that are no role give nothing.

    Read once per user object, as Django does with its own permissions: fetch the user again to
    see a change of roles.
    """
    if not (user.is_authenticated and user.is_active):
        return ()
    known: tuple[str, ...] | None = getattr(user, "_signalbox_roles", None)
    if known is None:
        held = set(user.groups.values_list("name", flat=True))
        known = tuple(slug for slug in ROLES if slug in held)
        user._signalbox_roles = known  # type: ignore[attr-defined]
    return known


def may(user: Person, permission: str) -> bool:
    """Whether this person may do it. An unknown permission raises: a typing error is no verdict."""
    if permission not in PERMISSIONS:
        raise LookupError(f"unknown permission: {permission}")
    return bool(why(user, permission))


def why(user: Person, permission: str) -> list[str]:
    """What gives a person this permission: role slugs, or "superuser"; empty when nothing does.

    ``user.token_scopes`` is set when a token acts for the person; it narrows and never widens.
    """
    if not (user.is_authenticated and user.is_active):
        return []
    scopes: frozenset[str] | None = getattr(user, "token_scopes", None)
    if scopes is not None and permission not in scopes:
        return []
    reasons = [slug for slug in roles_of(user) if permission in ROLES[slug].permissions]
    return ["superuser", *reasons] if user.is_superuser else reasons


def permissions_of(user: Person) -> frozenset[str]:
    """Everything this person may do."""
    return frozenset(code for code in PERMISSIONS if may(user, code))


# What a person does themselves, in a session of their own: a program with a token never approves,
# never lets data out and never gives power to anyone.
NEVER_BY_TOKEN = frozenset(
    {
        "routing.approve_policy",
        "routing.promote_policy",
        "routing.sign_off",
        "accounts.manage_people",
        "accounts.manage_keys",
    }
)


def roles_that_may(permission: str) -> list[Role]:
    """The roles to ask an administrator for."""
    return [role for role in ROLES.values() if permission in role.permissions]


def require(user: Person, permission: str) -> None:
    """Raise NotAllowed with the sentence and the roles that would help."""
    if may(user, permission):
        return
    names = " or ".join(role.name for role in roles_that_may(permission))
    raise NotAllowed(
        f"Your roles do not include this permission: {PERMISSIONS[permission]}",
        code="permission_missing",
        what_next=f"Ask an administrator for the role {names}.",
    )


def needs(*permissions: str) -> Callable[[View], View]:
    """State on a view which permissions it needs, all of them, and check them.

    `@needs()` is for what every signed-in person may do, such as their own preferences.
    """
    unknown = set(permissions) - PERMISSIONS.keys()
    if unknown:
        raise LookupError(f"unknown permissions: {sorted(unknown)}")

    def decorate(view: View) -> View:
        @wraps(view)
        def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            user: Any = request.user
            if not user.is_authenticated:
                return ask_to_sign_in(request)
            for permission in permissions:
                require(user, permission)
            return view(request, *args, **kwargs)

        checked.needs = permissions  # type: ignore[attr-defined]
        return checked

    return decorate


def open_to_all(view: View) -> View:
    """State on a view that anonymous visitors may use it: sign-in and nothing much else."""

    @wraps(view)
    def opened(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        return view(request, *args, **kwargs)

    opened.needs = ()  # type: ignore[attr-defined]
    opened.open_to_all = True  # type: ignore[attr-defined]
    return login_not_required(opened)


def ask_to_sign_in(request: HttpRequest) -> HttpResponseBase:
    """Send an anonymous visitor to sign in, and back here afterwards."""
    if request.headers.get("HX-Request") != "true":
        return redirect_to_login(request.get_full_path())
    # A followed redirect would swap the sign-in form into a corner of the page.
    shown = urlsplit(request.headers.get("HX-Current-URL", "/"))
    back = urlunsplit(("", "", shown.path or "/", shown.query, ""))
    return HttpResponse(headers={"HX-Redirect": redirect_to_login(back).url})
