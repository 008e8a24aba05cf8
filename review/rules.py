"""What a case may become, in one table, and how long a claim lasts. PURE: values in, values out."""

from __future__ import annotations

LEASE_S = 600
LEASE_CAP_S = 1800
LEASE_LOSSES_BEFORE_LEVEL_UP = 3
MOST_CLAIMS = 3

PENDING, CLAIMED, AWAITING_SECOND = "pending", "claimed", "awaiting_second"
REPLAYING, RESOLVED, EXPIRED = "replaying", "resolved", "expired"
CANCELLED, SUPERSEDED = "cancelled", "superseded"

ENDS = frozenset({RESOLVED, EXPIRED, CANCELLED, SUPERSEDED})

# transition -> (states it may start from, state it leads to)
TRANSITIONS: dict[str, tuple[frozenset[str], str]] = {
    "claim": (frozenset({PENDING, AWAITING_SECOND}), CLAIMED),
    "release": (frozenset({CLAIMED}), PENDING),
    "lose_lease": (frozenset({CLAIMED}), PENDING),
    "resolve": (frozenset({CLAIMED}), RESOLVED),
    "await_second": (frozenset({CLAIMED}), AWAITING_SECOND),
    "replay": (frozenset({CLAIMED}), REPLAYING),
    "replayed": (frozenset({REPLAYING}), PENDING),
    "disagree": (frozenset({CLAIMED}), PENDING),
    "expire": (frozenset({PENDING, CLAIMED, AWAITING_SECOND, REPLAYING}), EXPIRED),
    "cancel": (frozenset({PENDING, CLAIMED, AWAITING_SECOND, REPLAYING}), CANCELLED),
    "supersede": (frozenset({PENDING, CLAIMED, AWAITING_SECOND, REPLAYING}), SUPERSEDED),
}


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


def share_changed(before: str, after: str) -> float:
    """Share of words that an edit changed, 0 to 1; counted as words not common to both."""
    old, new = before.split(), after.split()
    if not old and not new:
        return 0.0
    left = list(new)
    kept = 0
    for word in old:
        if word in left:
            left.remove(word)
            kept += 1
    return 1 - kept / max(len(old), len(new))


def disposition_of(verdict: str) -> str:
    """What the waiting client gets for a verdict."""
    return {"approve": "answer", "edit": "answer", "safe_default": "safe_default", "refuse": "refuse"}[verdict]
