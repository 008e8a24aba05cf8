"""In, out and one's own password."""

from __future__ import annotations

from django.urls import path

from accounts.views import sign_in

urlpatterns = [
    path("login/", sign_in.sign_in, name="login"),
    path("logout/", sign_in.sign_out, name="logout"),
    path("password/", sign_in.own_password, name="own-password"),
]
