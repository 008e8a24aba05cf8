"""Where the management API lives: each room brings its own addresses."""

from __future__ import annotations

from django.urls import include, path

from screens.api import Nothing, Schema

urlpatterns = [
    path("", include("accounts.api.urls")),
    path("", include("routing.api.urls")),
    path("review/", include("review.api.urls")),
    path("audit/", include("audit.api.urls")),
    path("schema", Schema.as_view(), name="api-schema"),
    path("<path:rest>", Nothing.as_view(), name="api-nothing"),
]
