from review.models.cases import Case, CaseCandidate, CaseVerdict
from review.models.reviewers import Reviewer

__all__ = ["Case", "CaseCandidate", "CaseVerdict", "Reviewer"]
