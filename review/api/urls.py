"""Addresses of the management API of the review queue."""

from __future__ import annotations

from django.urls import path

from review.api import cases, reviewers

_CASE = "cases/<uuid:case_id>"

urlpatterns = [
    path("cases", cases.Cases.as_view(), name="api-cases"),
    path("cases/claim-next", cases.ClaimNext.as_view(), name="api-claim-next"),
    path(_CASE, cases.OneCase.as_view(), name="api-case"),
    path(f"{_CASE}/claim", cases.Claim.as_view(), name="api-claim"),
    path(f"{_CASE}/extend", cases.Extend.as_view(), name="api-extend"),
    path(f"{_CASE}/heartbeat", cases.Heartbeat.as_view(), name="api-heartbeat"),
    path(f"{_CASE}/escalate", cases.Escalate.as_view(), name="api-escalate-case"),
    path(f"{_CASE}/supersede", cases.Supersede.as_view(), name="api-supersede-case"),
    path(f"{_CASE}/replay", cases.Replay.as_view(), name="api-replay-case"),
    path(f"{_CASE}/release", cases.Release.as_view(), name="api-release-case"),
    path(f"{_CASE}/reveal", cases.Reveal.as_view(), name="api-reveal"),
    path(f"{_CASE}/decide", cases.Decide.as_view(), name="api-decide"),
    path("reviewers", reviewers.Reviewers.as_view(), name="api-reviewers"),
    path("reviewers/<str:username>/resume", reviewers.Resume.as_view(), name="api-resume"),
    path("reviewers/<str:username>", reviewers.OneReviewer.as_view(), name="api-reviewer"),
]
