"""Resolves a reference to a backend's secret, which is never stored, logged or shown."""

from __future__ import annotations

import os
from pathlib import Path


class SecretMissing(Exception):
    """The reference names nothing that exists here."""


def resolve(reference: str) -> str:
    """Return the secret behind ``env:NAME`` or ``file:/path``; an empty reference is no secret."""
    if not reference:
        return ""
    kind, _, where = reference.partition(":")
    if kind == "env":
        if where not in os.environ:
            raise SecretMissing(f"The environment variable {where} is not set.")
        return os.environ[where].strip()
    if kind == "file":
        try:
            return Path(where).read_text().strip()
        except OSError as problem:
            raise SecretMissing(f"The secret file {where} cannot be read.") from problem
    raise SecretMissing("A secret reference starts with env: or file:.")
