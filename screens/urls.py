"""Addresses of the ground: preferences and the style guide."""

from __future__ import annotations

from django.urls import path

from screens import views

urlpatterns = [
    path("settings/preferences/", views.own_preferences, name="preferences"),
    path("styleguide/", views.style_guide, name="styleguide"),
]
