"""The topic of a user turn by published word lists: the one with the most distinct words."""

from __future__ import annotations

from collections.abc import Sequence

from routing.engine.lexicons import (
    ACCOUNT,
    ARITHMETIC,
    FINANCE,
    LEGAL,
    LEGAL_STRONG,
    MATH,
    MEDICAL,
    MEDICAL_STRONG,
    TECHNICAL,
)

# Where two topics tie, the one that needs more care is first.
_LISTS = (
    ("legal", LEGAL),
    ("medical", MEDICAL),
    ("finance", FINANCE),
    ("technical", TECHNICAL),
    ("account", ACCOUNT),
    ("math", MATH),
)
_STRONG = {"legal": LEGAL_STRONG, "medical": MEDICAL_STRONG}
_SHORT, _FEWEST = 12, 2


def topic_of(text: str, words: Sequence[str]) -> str | None:
    """One of registry.TOPICS, or None where there is no word to go by."""
    if not words:
        return None
    distinct = set(words)
    if _is_sum(text, distinct):
        return "math"
    best, most = "other", 0
    needed = 1 if len(words) <= _SHORT else _FEWEST
    for topic, listed in _LISTS:
        hits = len(distinct & listed)
        if hits:
            hits += len(distinct & _STRONG.get(topic, frozenset()))
        if hits >= needed and hits > most:
            best, most = topic, hits
    return best


def _is_sum(text: str, distinct: set[str]) -> bool:
    """A word problem: several numbers, and the words of reckoning ask for another."""
    if not (distinct & {"many", "much", "calculate", "total", "what's", "percent", "percentage"}):
        return False
    digits = sum(map(text.count, "0123456789"))
    return digits >= 2 and len(distinct & ARITHMETIC) >= 3 and not distinct & LEGAL_STRONG
