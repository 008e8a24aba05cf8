"""Where each screen lives. URLs are nouns; a verb at the end is a POST."""

from __future__ import annotations

from django.urls import include, path

urlpatterns = [
    path("", include("routing.urls")),
    path("review/", include("review.urls")),
    path("audit/", include("audit.urls")),
    path("reports/", include("audit.report_urls")),
    path("settings/", include("accounts.urls")),
    path("accounts/", include("accounts.urls_sign_in")),
    path("api/", include("config.api_urls")),
    path("", include("screens.urls")),
]
