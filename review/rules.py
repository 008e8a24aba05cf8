"""What a case may become, in one table, and how long a claim lasts. PURE: values in, values out."""

from __future__ import annotations

from difflib import SequenceMatcher
from hashlib import sha256
from typing import NamedTuple
from uuid import UUID

LEASE_S = 600
LEASE_CAP_S = 1800
HEARTBEAT_S = 60
LEASE_LOSSES_BEFORE_LEVEL_UP = 3
MOST_CLAIMS = 3
MOST_REPLAYS = 3
# Level 1 is for every reviewer, level 2 for leads; there is nobody above them.
FIRST_LEVEL, LEAD_LEVEL = 1, 2

PENDING, CLAIMED, AWAITING_SECOND = "pending", "claimed", "awaiting_second"
REPLAYING, RESOLVED, EXPIRED = "replaying", "resolved", "expired"
CANCELLED, SUPERSEDED = "cancelled", "superseded"

ENDS = frozenset({RESOLVED, EXPIRED, CANCELLED, SUPERSEDED})
ALIVE = frozenset({PENDING, CLAIMED, AWAITING_SECOND, REPLAYING})
WAITING = frozenset({PENDING, AWAITING_SECOND})

# Whose turn it is: the first reviewer's, a second and blind one's, or a lead's who settles what the
# two saw differently.
FIRST, SECOND, ADJUDICATION = "first", "second", "adjudication"
STAGES = frozenset({FIRST, SECOND, ADJUDICATION})


class Transition(NamedTuple):
    """From which states, to which (empty: it stays), and in which stages it may be made."""

    sources: frozenset[str]
    target: str
    stages: frozenset[str] = STAGES


_HELD = frozenset({CLAIMED})
_OWN_READING = frozenset({FIRST, ADJUDICATION})

TRANSITIONS: dict[str, Transition] = {
    "claim": Transition(WAITING, CLAIMED),
    "extend": Transition(_HELD, CLAIMED),
    "release": Transition(_HELD, PENDING, _OWN_READING),
    "release_second": Transition(_HELD, AWAITING_SECOND, frozenset({SECOND})),
    "lose_lease": Transition(_HELD, PENDING, _OWN_READING),
    "lose_second_lease": Transition(_HELD, AWAITING_SECOND, frozenset({SECOND})),
    "escalate": Transition(_HELD, PENDING, frozenset({FIRST})),
    "resolve": Transition(_HELD, RESOLVED),
    "await_second": Transition(_HELD, AWAITING_SECOND, frozenset({FIRST})),
    "disagree": Transition(_HELD, PENDING, frozenset({SECOND})),
    "replay": Transition(_HELD, REPLAYING, _OWN_READING),
    "replayed": Transition(frozenset({REPLAYING}), PENDING, _OWN_READING),
    "reprioritise": Transition(ALIVE, ""),
    "expire": Transition(ALIVE, EXPIRED),
    "cancel": Transition(ALIVE, CANCELLED),
    "supersede": Transition(ALIVE, SUPERSEDED),
}


class PriorityClass(NamedTuple):
    """What a case of a class may take, and what its client gets when nobody decided.

    ``within_s`` None is the deadline of the hold itself, which the router enforces; ``at_end``
    empty is what the rule of the policy says.
    """

    name: str
    within_s: int | None
    at_end: str


LIVE, HIGH, NORMAL, SAMPLE = 0, 1, 2, 3
PRIORITIES: dict[int, PriorityClass] = {
    LIVE: PriorityClass("P0 live hold", None, ""),
    HIGH: PriorityClass("P1 high risk", 30 * 60, "refuse"),
    NORMAL: PriorityClass("P2 normal", 4 * 3600, "safe_default"),
    SAMPLE: PriorityClass("P3 quality sample", 5 * 86_400, "drop"),
}

_DISPOSITIONS = {
    "approve": "answer",
    "edit": "answer",
    "choose": "answer",
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
    return TRANSITIONS[transition].sources


def target_of(transition: str) -> str:
    return TRANSITIONS[transition].target


def stages_of(transition: str) -> frozenset[str]:
    return TRANSITIONS[transition].stages


def released_by(stage: str) -> str:
    """How a case is given back: a second reviewer's waits for another second."""
    return "release_second" if stage == SECOND else "release"


def lost_by(stage: str) -> str:
    return "lose_second_lease" if stage == SECOND else "lose_lease"


def next_level(level: int) -> int:
    return min(level + 1, LEAD_LEVEL)


def level_after_losses(*, level: int, losses: int) -> int:
    """A case that is claimed and dropped again and again needs someone else's eyes."""
    is_due = losses > 0 and losses % LEASE_LOSSES_BEFORE_LEVEL_UP == 0
    return next_level(level) if is_due else level


def priority_of(*, is_waited_for: bool, is_high_risk: bool) -> int:
    """A client on its connection comes first; then what is risky; then the rest."""
    if is_waited_for:
        return LIVE
    return HIGH if is_high_risk else NORMAL


def due_s(*, priority: int, opened_s: float, hold_ends_s: float) -> float:
    """When a case must have ended: by its class, and never after the hold behind it."""
    within_s = PRIORITIES[priority].within_s
    return hold_ends_s if within_s is None else min(opened_s + within_s, hold_ends_s)


def disposition_at_end(*, priority: int, on_timeout: str) -> str:
    """What the client gets when nobody decided; never an answer that nobody approved."""
    given = PRIORITIES[priority].at_end or on_timeout
    return "safe_default" if given == "pending" else given


class Wanted(NamedTuple):
    """What a case asks of who takes it. ``rank`` is the place of its data class."""

    queue: str
    rank: int
    level: int


class Ability(NamedTuple):
    """What a reviewer brings. ``queues`` empty means every queue; ``rank`` is the clearance."""

    queues: frozenset[str]
    rank: int
    is_lead: bool


def why_not(wanted: Wanted, ability: Ability, *, has_decided: bool, is_own: bool) -> str:
    """Why this reviewer may not take the case, from a closed list, or nothing."""
    if is_own:
        return "own_request"
    if has_decided:
        return "same_person"
    if wanted.rank > ability.rank:
        return "clearance"
    if ability.queues and wanted.queue not in ability.queues:
        return "skill"
    return "level" if wanted.level >= LEAD_LEVEL and not ability.is_lead else ""


SECOND_SHARE_CHANGED = 0.30
SECOND_PERMILLE = 50


def draw_permille(case_id: UUID, purpose: str) -> int:
    """A number below 1000 that is always the same for one case and purpose."""
    seen = sha256(f"{purpose}:{case_id}".encode()).digest()
    return int.from_bytes(seen[:8], "big") * 1000 >> 64


def why_second(
    *, case_id: UUID, is_high_risk: bool, is_restricted: bool, changed: float, is_live: bool
) -> str:
    """Why a second reviewer must see a case after the first, from a closed list, or nothing.

    The draw leaves out live holds: drawn ones would keep their clients waiting past the deadline
    for a check that serves the statistics and not them.
    """
    if is_restricted:
        return "restricted"
    if is_high_risk:
        return "high_risk"
    if changed > SECOND_SHARE_CHANGED:
        return "edited"
    is_drawn = not is_live and draw_permille(case_id, "second") < SECOND_PERMILLE
    return "drawn" if is_drawn else ""


def agree(*, first_kind: str, second_kind: str) -> bool:
    """Whether two verdicts say the same. The second reads what the first would release, so it
    agrees with an answer only by approving it as it stands.
    """
    if disposition_of(first_kind) == "answer":
        return second_kind == "approve"
    return first_kind == second_kind


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
