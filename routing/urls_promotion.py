"""Addresses of promotions and rollouts. Verbs at the end are POST."""

from __future__ import annotations

from django.urls import path

from routing.views import promotion, rollout

_PROMOTE = "routes/<slug:slug>/versions/<int:number>/promote/"
_ROLLOUT = "routes/<slug:slug>/rollout/"

urlpatterns = [
    path(_PROMOTE, promotion.promote, name="promote"),
    path(f"{_PROMOTE}propose/", promotion.propose, name="propose-promotion"),
    path(f"{_PROMOTE}approve/", promotion.approve, name="approve-promotion"),
    path(f"{_PROMOTE}carry-out/", promotion.carry_out, name="carry-out-promotion"),
    path(f"{_PROMOTE}withdraw/", promotion.withdraw, name="withdraw-promotion"),
    path(f"{_PROMOTE}waive/", promotion.waive, name="waive-check"),
    path(_ROLLOUT, rollout.rollout, name="rollout"),
    path(f"{_ROLLOUT}abort/", rollout.abort, name="abort-rollout"),
    path(f"{_ROLLOUT}resume/", rollout.resume, name="resume-rollout"),
    path(f"{_ROLLOUT}note/", rollout.note, name="note-incident"),
]
