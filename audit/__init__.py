"""What happened, provably: the append-only ledger, its proofs, and the reports made from it.

Every room writes here through ``record``; nothing here knows the rooms above it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from audit.ledger import record

__all__ = ["record"]


def __getattr__(name: str) -> Any:
    # Late, so that importing the pure core (audit.merkle) does not pull in Django.
    if name == "record":
        from audit.ledger import record

        return record
    raise AttributeError(f"module 'audit' has no attribute {name!r}")
