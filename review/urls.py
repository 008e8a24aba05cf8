"""Screens of review: one address for the queue, one for a case; the rest are acts on a case."""

from __future__ import annotations

from django.urls import path

from review.views import case, queue

urlpatterns = [
    path("", queue.queue, name="review-queue"),
    path("next/", queue.claim_next, name="claim-next"),
    path("<uuid:case_id>/", case.case, name="case"),
    path("<uuid:case_id>/claim/", case.claim, name="claim-case"),
    path("<uuid:case_id>/release/", case.release, name="release-case"),
    path("<uuid:case_id>/extend/", case.extend, name="extend-case"),
    path("<uuid:case_id>/reveal/", case.reveal, name="reveal-case"),
    path("<uuid:case_id>/decide/", case.decide, name="decide-case"),
]
