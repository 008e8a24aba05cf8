from review.models.cases import Case, CaseVerdict

__all__ = ["Case", "CaseVerdict"]
