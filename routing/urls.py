"""Screens of routing: to operate it, and to change what it decides."""

from __future__ import annotations

from routing import urls_operate

try:
    from routing import urls_policies
except ImportError:
    urlpatterns = [*urls_operate.urlpatterns]
else:
    urlpatterns = [*urls_operate.urlpatterns, *urls_policies.urlpatterns]
