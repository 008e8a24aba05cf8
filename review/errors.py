"""What review refuses. Knows nothing of HTTP.

Conflict
  AlreadyClaimed   somebody else holds the case
  ClaimLost        the claim ended, or there never was one
  CaseEnded        it was decided, or its time passed; says by whom and how
  LeaseCapped      a claim may not be extended any further
  CandidateChanged the answer that was read is not the one that would be released
NotAllowed
  TooManyClaims    one person holds as many cases as one may
Invalid
  ReasonMissing    all but a plain approval need a reason code and a reason
"""

from __future__ import annotations

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


class TooManyClaims(NotAllowed):
    default_message = "You hold as many cases as one person may."
    default_code = "too_many_claims"
    default_what_next = "Decide one of them or give it back."


class ReasonMissing(Invalid):
    default_message = "Choose a reason code and say why; it is kept in the audit trail."
    default_code = "reason_missing"
    default_what_next = ""
