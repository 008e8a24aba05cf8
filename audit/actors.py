"""Who did it: a frozen copy of a person, an API key or a part of the system at that moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["person", "api_key", "system"]


@dataclass(frozen=True, slots=True)
class Actor:
    """Name and roles are what they were when it happened, and never change afterwards."""

    kind: Kind
    id: str
    name: str
    roles: Sequence[str] = ()
    # Prefix of the access token that acted for the person; empty when they acted themselves.
    via: str = ""

    @classmethod
    def of(cls, user: Any) -> Actor:
        """A person, or "nobody" for a visitor who is not signed in."""
        # Late: the live recorder imports this module before Django's apps are ready.
        from screens.access import roles_of

        if not user.is_authenticated:
            return NOBODY
        roles = list(roles_of(user))
        if user.is_superuser:
            roles.append("superuser")
        via = getattr(user, "token_prefix", "")
        return cls("person", str(user.pk), user.get_username(), tuple(roles), via)

    def as_body(self) -> dict[str, object]:
        body: dict[str, object] = {
            "kind": self.kind,
            "id": self.id,
            "name": self.name,
            "roles": list(self.roles),
        }
        return {**body, "via": self.via} if self.via else body


NOBODY = Actor("system", "nobody", "not signed in")


def SYSTEM(part: str) -> Actor:  # noqa: N802 - reads as the constant it is
    """A part of Signalbox that acts by itself: SYSTEM("sweeper")."""
    return Actor("system", part, part)
