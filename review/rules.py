"""What a case may become, in one table, and how long a claim lasts. PURE: values in, values out."""

from __future__ import annotations

from difflib import SequenceMatcher
from typing import NamedTuple

LEASE_S = 600
LEASE_CAP_S = 1800
LEASE_LOSSES_BEFORE_LEVEL_UP = 3
MOST_CLAIMS = 3

PENDING, CLAIMED, AWAITING_SECOND = "pending", "claimed", "awaiting_second"
REPLAYING, RESOLVED, EXPIRED = "replaying", "resolved", "expired"
CANCELLED, SUPERSEDED = "cancelled", "superseded"

ENDS = frozenset({RESOLVED, EXPIRED, CANCELLED, SUPERSEDED})
ALIVE = frozenset({PENDING, CLAIMED, AWAITING_SECOND, REPLAYING})

# transition -> (states it may start from, state it leads to)
TRANSITIONS: dict[str, tuple[frozenset[str], str]] = {
    "claim": (frozenset({PENDING, AWAITING_SECOND}), CLAIMED),
    "extend": (frozenset({CLAIMED}), CLAIMED),
    "release": (frozenset({CLAIMED}), PENDING),
    "lose_lease": (frozenset({CLAIMED}), PENDING),
    "resolve": (frozenset({CLAIMED}), RESOLVED),
    "await_second": (frozenset({CLAIMED}), AWAITING_SECOND),
    "replay": (frozenset({CLAIMED}), REPLAYING),
    "replayed": (frozenset({REPLAYING}), PENDING),
    "disagree": (frozenset({CLAIMED}), PENDING),
    "expire": (ALIVE, EXPIRED),
    "cancel": (ALIVE, CANCELLED),
    "supersede": (ALIVE, SUPERSEDED),
}

_DISPOSITIONS = {
    "approve": "answer",
    "edit": "answer",
    "safe_default": "safe_default",
    "refuse": "refuse",
}

# Beyond this many words a comparison word by word takes longer than reading the text.
_MOST_COMPARED = 4000


class Piece(NamedTuple):
    """A run of words of a comparison: same, gone or new."""

    kind: str
    text: str


def sources_of(transition: str) -> frozenset[str]:
    return TRANSITIONS[transition][0]


def target_of(transition: str) -> str:
    return TRANSITIONS[transition][1]


def level_after_losses(*, level: int, losses: int) -> int:
    """A case that is claimed and dropped again and again needs someone else's eyes."""
    return level + 1 if losses and losses % LEASE_LOSSES_BEFORE_LEVEL_UP == 0 else level


def lease_end_s(*, claimed_s: float, now_s: float) -> float:
    """When an extended lease ends: ten minutes from now, never over half an hour in all."""
    return min(now_s + LEASE_S, claimed_s + LEASE_CAP_S)


def urgency(*, opened_s: float, due_s: float, now_s: float) -> str:
    """calm, soon (half of the time is gone) or now (four fifths are gone, or it is over).

    By share and not by minutes: the same thresholds serve a client that waits twenty seconds and
    a case that may take four hours.
    """
    whole = due_s - opened_s
    if now_s >= due_s or whole <= 0:
        return "now"
    gone = (now_s - opened_s) / whole
    if gone >= 0.8:
        return "now"
    return "soon" if gone >= 0.5 else "calm"


def share_changed(before: str, after: str) -> float:
    """Share of words that an edit changed, 0 to 1; counted as words not common to both."""
    old, new = before.split(), after.split()
    if not old and not new:
        return 0.0
    left: dict[str, int] = {}
    for word in new:
        left[word] = left.get(word, 0) + 1
    kept = 0
    for word in old:
        if left.get(word, 0):
            left[word] -= 1
            kept += 1
    return 1 - kept / max(len(old), len(new))


def word_diff(before: str, after: str) -> list[Piece]:
    """What an edit took out and put in, word by word; very long texts are compared as a whole."""
    old, new = _words(before), _words(after)
    if len(old) + len(new) > _MOST_COMPARED:
        return (
            [Piece("same", after)] if old == new else [Piece("gone", before), Piece("new", after)]
        )
    pieces: list[Piece] = []
    for kind, a, b, c, d in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
        if kind == "equal":
            pieces.append(Piece("same", "".join(old[a:b])))
            continue
        if b > a:
            pieces.append(Piece("gone", "".join(old[a:b])))
        if d > c:
            pieces.append(Piece("new", "".join(new[c:d])))
    return pieces


def _words(text: str) -> list[str]:
    """Words with the white space that follows them, so that joining gives the text back."""
    words: list[str] = []
    word = ""
    for char in text:
        if word and word[-1].isspace() and not char.isspace():
            words.append(word)
            word = ""
        word += char
    return [*words, word] if word else words


def disposition_of(verdict: str) -> str:
    """What the waiting client gets for a verdict."""
    return _DISPOSITIONS[verdict]
