"""Addresses of the ground: sign-in, preferences and the style guide."""

from __future__ import annotations

from django.contrib.auth.views import LoginView, LogoutView
from django.urls import path

from screens import views
from screens.access import needs, open_to_all

urlpatterns = [
    path(
        "accounts/login/",
        open_to_all(LoginView.as_view(redirect_authenticated_user=True)),
        name="login",
    ),
    path("accounts/logout/", needs()(LogoutView.as_view()), name="logout"),
    path("settings/preferences/", views.own_preferences, name="preferences"),
    path("styleguide/", views.style_guide, name="styleguide"),
]
