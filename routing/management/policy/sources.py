"""Where a document and the backends come from: a file, or a version and the registry.

A database is used when there is one and never needed for a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any

from django.db import connection
from django.db.utils import Error as DatabaseError

from routing.engine.canonical import NotCanonical, digest
from routing.engine.types import BackendFacts
from routing.management.policy.report import usage
from routing.models import PolicyVersion, Route
from routing.services.analysis import registry_facts
from routing.services.interchange import Unreadable, read_document
from routing.services.replay import version_of
from screens.errors import NotFound

_LABEL = re.compile(r"[a-z0-9][a-z0-9-]*@[0-9]+")
_SETS = ("capabilities", "data_classes")
_PRICES = ("price_in", "price_out")


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A document with its name; `version` where it came from the database."""

    name: str
    document: dict[str, Any]
    digest: str
    version: PolicyVersion | None = None


@cache
def has_database() -> bool:
    try:
        connection.ensure_connection()
        Route.objects.exists()
    except DatabaseError:
        return False
    return True


def need_database() -> None:
    if not has_database():
        raise usage("This needs the database, which does not answer. Start ./run.")


def read(name: str) -> Source:
    """`FILE` or `ROUTE@N`; a file of that name comes first."""
    path = Path(name)
    if path.is_file():
        return _of_file(path)
    if not _LABEL.fullmatch(name):
        raise usage(f"{name} is no file, and no version such as support-triage@7.")
    version = stored(name)
    return Source(name=name, document=version.document, digest=version.digest, version=version)


def stored(label: str) -> PolicyVersion:
    if not _LABEL.fullmatch(label):
        raise usage(f"{label} is no version such as support-triage@7.")
    need_database()
    try:
        return version_of(label)
    except NotFound as problem:
        raise usage(problem.message) from None


def _of_file(path: Path) -> Source:
    try:
        document = read_document(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        raise usage(f"{path} is not UTF-8 text.") from None
    except OSError as problem:
        raise usage(f"{path}: {problem.strerror}") from None
    except Unreadable as problem:
        raise usage(f"{path}: {problem.message}") from None
    try:
        return Source(name=str(path), document=document, digest=digest(document))
    except NotCanonical as problem:
        raise usage(f"{path}: {problem}") from None


def backends(file: str | None) -> dict[str, BackendFacts] | None:
    """Those of `file`, else of the registry, else None: then nothing is said of targets."""
    if file:
        return _backends_of(Path(file))
    return registry_facts() if has_database() else None


def _backends_of(path: Path) -> dict[str, BackendFacts]:
    """A YAML or JSON mapping `backends:` of name to the fields of a backend."""
    try:
        listed = read_document(path.read_text(encoding="utf-8-sig")).get("backends")
        if not isinstance(listed, dict):
            raise usage(f"{path}: expected a mapping 'backends' of name to fields.")
        return {name: _backend(name, fields) for name, fields in listed.items()}
    except (OSError, UnicodeDecodeError, Unreadable) as problem:
        raise usage(f"{path}: {problem}") from None


def _backend(name: str, fields: Any) -> BackendFacts:
    try:
        known = {key: frozenset(value) if key in _SETS else value for key, value in fields.items()}
        known |= {key: Decimal(str(known[key])) for key in _PRICES if key in known}
        return BackendFacts(name=name, **known)
    except (TypeError, AttributeError, InvalidOperation) as problem:
        raise usage(f"The backend {name} cannot be read: {problem}") from None


def floor_of(document: dict[str, Any]) -> str | None:
    """The data class of the route that a document is for, when it is known here."""
    if not has_database():
        return None
    route = Route.objects.filter(slug=str(document.get("route", ""))).first()
    return route.data_class if route else None
