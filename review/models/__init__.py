from review.models.cases import Case, CaseCandidate, CaseVerdict
from review.models.pace import HastyVerdict, ReviewerPause
from review.models.reviewers import Reviewer

__all__ = ["Case", "CaseCandidate", "CaseVerdict", "HastyVerdict", "Reviewer", "ReviewerPause"]
