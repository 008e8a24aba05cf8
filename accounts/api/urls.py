"""Addresses of the management API of people and keys."""

from __future__ import annotations

from django.urls import path

from accounts.api import views

urlpatterns = [
    path("me", views.Me.as_view(), name="api-me"),
    path("people", views.People.as_view(), name="api-people"),
    path("keys", views.Keys.as_view(), name="api-keys"),
    path("keys/<slug:public_id>", views.Key.as_view(), name="api-key"),
    path("keys/<slug:public_id>/rotate", views.RotateKey.as_view(), name="api-rotate-key"),
    path("keys/<slug:public_id>/revoke", views.RevokeKey.as_view(), name="api-revoke-key"),
]
