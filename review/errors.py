"""What review refuses. Knows nothing of HTTP.

Conflict
  AlreadyClaimed   somebody else holds the case
  ClaimLost        the claim ended, or there never was one
  CaseEnded        it was decided, or its time passed; says by whom and how
  LeaseCapped      a claim may not be extended any further
  ReviewerChanged  somebody else changed what this reviewer may take
  CandidateChanged the answer that was read is not the one that would be released
  NotRead          an answer is to be released whose text was not shown to its holder
  TooSoon          or was shown for less time than reading takes
NotAllowed
  NoMoreClaims     TooManyClaims, ReviewPaused or BreakNeeded
  TooManyClaims    one person holds as many cases as one may
  NotForYou        this reviewer may not take this case, and why
  NotFirst         only leads choose among the cases that wait
  ReviewPaused     claims are paused until a lead lifts it, and why
  BreakNeeded      two hours without a rest; says when claims go on
Invalid
  ReasonMissing    all but a plain approval need a reason code and a reason
"""

from __future__ import annotations

from datetime import datetime
from math import ceil

from screens.errors import Conflict, Invalid, NotAllowed


class AlreadyClaimed(Conflict):
    default_code = "already_claimed"

    def __init__(self, holder: str) -> None:
        super().__init__(
            f"{holder} has this case.", what_next="Take the next one, or wait for it to come back."
        )


class ClaimLost(Conflict):
    default_message = "You do not hold this case, or your claim has ended."
    default_code = "claim_lost"
    default_what_next = "Claim it again if it is still waiting."


class CaseEnded(Conflict):
    default_code = "case_ended"

    def __init__(self, how: str) -> None:
        super().__init__(
            f"This case has already ended: {how}", what_next="Go on with the next case."
        )


class LeaseCapped(Conflict):
    default_message = "A claim lasts at most half an hour, and this one already does."
    default_code = "lease_capped"
    default_what_next = "Decide the case, or give it back so that somebody else can."


class CandidateChanged(Conflict):
    default_message = "The answer that would be released is not the one you have read."
    default_code = "candidate_changed"
    default_what_next = "Show the text again and read it before you approve."


class NotRead(Conflict):
    default_message = "Show the text first: only what was read can be released."
    default_code = "not_read"
    default_what_next = "Press Show the text, read it, then decide."


class TooSoon(Conflict):
    """``left_s`` is how long the text must still be shown."""

    default_code = "too_soon"

    def __init__(self, left_s: float) -> None:
        seconds = max(1, ceil(left_s))
        super().__init__(
            f"The text was shown for less time than reading it takes; {seconds} s are left.",
            what_next="Read it, then press the button again. What you wrote is still here.",
        )


class NoMoreClaims(NotAllowed):
    """This person may take no further case now, whichever it is."""


class ReviewPaused(NoMoreClaims):
    default_code = "review_paused"

    def __init__(self, why: str, *, cases: int, within_s: int) -> None:
        super().__init__(
            f"Your claims are paused: in {cases} cases within {within_s // 60} minutes {why}.",
            what_next="Decide or give back what you hold, then talk to a lead reviewer, who can "
            "lift the pause.",
        )


class BreakNeeded(NoMoreClaims):
    default_code = "break_needed"

    def __init__(self, until: datetime) -> None:
        super().__init__(
            "You have reviewed for two hours without a break.",
            what_next=f"Take one; the next case can be yours from {until:%H:%M} UTC.",
        )


class TooManyClaims(NoMoreClaims):
    default_message = "You hold as many cases as one person may."
    default_code = "too_many_claims"
    default_what_next = "Decide one of them or give it back."


class ReasonMissing(Invalid):
    default_message = "Choose a reason code and say why; it is kept in the audit trail."
    default_code = "reason_missing"
    default_what_next = ""


class ReviewerChanged(Conflict):
    default_message = "Somebody else has changed this reviewer since you loaded the page."
    default_code = "reviewer_changed"
    default_what_next = "Load the page again and make your change to what it is now."


class NotFirst(NotAllowed):
    default_message = "A more urgent case waits for you; only leads choose among cases."
    default_code = "not_first"
    default_what_next = "Press Next case to take the most urgent one."


_WHY_NOT = {
    "own_request": (
        "You answer for the application that sent this request.",
        "Leave it to somebody else: nobody decides a request of their own.",
    ),
    "same_person": (
        "You have already decided this case once.",
        "Leave it to somebody else: the next look must be another person's.",
    ),
    "clearance": (
        "You are not cleared for the data class of this case.",
        "Take the next case, or ask a lead reviewer for the clearance.",
    ),
    "skill": (
        "This case is in a queue that you do not work on.",
        "Take the next case, or ask a lead reviewer for the queue.",
    ),
    "level": (
        "This case has been raised to the lead reviewers.",
        "Take the next case.",
    ),
}


class NotForYou(NotAllowed):
    """``reason`` is one of review.rules.why_not."""

    default_code = "not_for_you"

    def __init__(self, reason: str) -> None:
        message, what_next = _WHY_NOT[reason]
        super().__init__(message, code=f"not_for_you_{reason}", what_next=what_next)
