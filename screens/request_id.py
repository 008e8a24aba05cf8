"""One id per request, readable anywhere below it: logs, audit entries and the error page agree."""

from __future__ import annotations

import re
from contextvars import ContextVar, Token
from uuid import uuid4

_current: ContextVar[str] = ContextVar("request_id", default="")

# A caller's id ends up in logs and headers, so only characters that cannot break either.
_ACCEPTABLE = re.compile(r"[A-Za-z0-9._:-]{8,128}", re.ASCII)


def current() -> str:
    """The id of the request being served, or "" outside of one."""
    return _current.get()


def accept(offered: str | None) -> str:
    """The caller's id when it is harmless, otherwise a new one."""
    return offered if offered and _ACCEPTABLE.fullmatch(offered) else uuid4().hex


def enter(request_id: str) -> Token[str]:
    """Make it the current one; give the token to `leave`. For tasks and commands too."""
    return _current.set(request_id)


def leave(token: Token[str]) -> None:
    _current.reset(token)
