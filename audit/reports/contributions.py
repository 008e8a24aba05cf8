"""What rooms above add to a report: only what cannot change any more.

This room may not look upwards, so a room above registers a function that turns the versions a
report names into blocks (config wires it). It must read nothing but what is frozen, and check it
against the digest that the ledger holds: else the same request would give other bytes tomorrow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

from audit.reports.blocks import Block
from audit.reports.scope import Scope

Contribution = Callable[[Scope, Sequence[dict[str, str]]], list[Block]]
Documents = Callable[[Sequence[dict[str, str]]], Iterable[bytes]]
_registered: Final[dict[str, list[Contribution]]] = {}

_documents: Final[list[Documents]] = []


def register(section: str, contribution: Contribution) -> None:
    """Add to one section; a second registration of the same function changes nothing."""
    known = _registered.setdefault(section, [])
    if contribution not in known:
        known.append(contribution)


def of(section: str, scope: Scope, subjects: Sequence[dict[str, str]]) -> list[Any]:
    return [
        block
        for contribution in _registered.get(section, ())
        for block in contribution(scope, subjects)
    ]


def register_documents(source: Documents) -> None:
    """A source of the canonical bytes of policy versions; whoever writes them checks the digest."""
    if source not in _documents:
        _documents.append(source)


def documents(versions: Sequence[dict[str, str]]) -> Iterator[bytes]:
    seen: set[bytes] = set()
    for source in _documents:
        for content in source(versions):
            if content not in seen:
                seen.add(content)
                yield content
