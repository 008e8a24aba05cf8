"""Screens of review: one address for the queue, one for a case; the rest are acts on a case."""

from __future__ import annotations

from django.urls import path

from review.views import case, queue, reviewers

urlpatterns = [
    path("", queue.queue, name="review-queue"),
    path("next/", queue.claim_next, name="claim-next"),
    path("reviewers/", reviewers.people, name="reviewers"),
    path("reviewers/<int:pk>/", reviewers.person, name="reviewer"),
    path("reviewers/<int:pk>/resume/", reviewers.lift, name="resume-reviewer"),
    path("<uuid:case_id>/", case.case, name="case"),
    path("<uuid:case_id>/claim/", case.claim, name="claim-case"),
    path("<uuid:case_id>/release/", case.release, name="release-case"),
    path("<uuid:case_id>/extend/", case.extend, name="extend-case"),
    path("<uuid:case_id>/heartbeat/", case.heartbeat, name="heartbeat-case"),
    path("<uuid:case_id>/escalate/", case.escalate, name="escalate-case"),
    path("<uuid:case_id>/replay/", case.replay, name="replay-case"),
    path("<uuid:case_id>/reveal/", case.reveal, name="reveal-case"),
    path("<uuid:case_id>/decide/", case.decide, name="decide-case"),
]
