"""What review refuses. Knows nothing of HTTP."""

from __future__ import annotations

from screens.errors import Conflict, Invalid, NotAllowed


class AlreadyClaimed(Conflict):
    default_code = "already_claimed"

    def __init__(self, holder: str) -> None:
        super().__init__(f"{holder} has this case.", what_next="Take the next one, or wait for it to come back.")


class ClaimLost(Conflict):
    default_message = "Your claim on this case has ended."
    default_code = "claim_lost"
    default_what_next = "Claim it again if it is still waiting."


class CaseEnded(Conflict):
    default_code = "case_ended"

    def __init__(self, how: str) -> None:
        super().__init__(f"This case has already ended: {how}.", what_next="Go on with the next case.")


class TooManyClaims(NotAllowed):
    default_message = "You hold as many cases as one person may."
    default_code = "too_many_claims"
    default_what_next = "Decide one of them or give it back."


class ReasonMissing(Invalid):
    default_message = "Choose a reason code and say why; it is kept in the audit trail."
    default_code = "reason_missing"
