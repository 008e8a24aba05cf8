"""What services raise when the answer is no. Knows nothing of HTTP; the mapping is in answers.py.

DomainError
  NotAllowed   this person may not do it, whatever the state
  NotFound     there is no such thing, or not for this person
  Conflict     somebody or something was first; the state does not allow it any more
  Invalid      what was asked makes no sense as it stands
"""

from __future__ import annotations

from typing import ClassVar


class DomainError(Exception):
    """A refusal that a person can read: what happened, a stable code, and what to do next."""

    default_message: ClassVar[str] = "This could not be done."
    default_code: ClassVar[str] = "refused"
    default_what_next: ClassVar[str] = ""

    def __init__(self, message: str = "", *, code: str = "", what_next: str = "") -> None:
        self.message = message or self.default_message
        self.code = code or self.default_code
        self.what_next = what_next or self.default_what_next
        super().__init__(self.message)


class NotAllowed(DomainError):
    # True where the service has written the denial into the trail itself.
    is_recorded: ClassVar[bool] = False
    default_message = "You may not do this."
    default_code = "not_allowed"
    default_what_next = "Ask an administrator which role allows it."


class NotFound(DomainError):
    default_message = "There is nothing here."
    default_code = "not_found"
    default_what_next = "Check the address, or start from a list."


class Conflict(DomainError):
    default_message = "Someone else was first."
    default_code = "conflict"
    default_what_next = "Load the page again to see where it stands now."


class Invalid(DomainError):
    default_message = "This does not fit together."
    default_code = "invalid"
    default_what_next = "Go back, correct it and try again."
