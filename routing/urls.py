"""Screens of routing: to operate it, and to change what it decides."""

from __future__ import annotations

from routing import (
    urls_backtests,
    urls_classifiers,
    urls_governance,
    urls_lifecycle,
    urls_operate,
    urls_policies,
    urls_promotion,
    urls_webhooks,
)

urlpatterns = [
    *urls_operate.urlpatterns,
    *urls_policies.urlpatterns,
    *urls_promotion.urlpatterns,
    *urls_governance.urlpatterns,
    *urls_lifecycle.urlpatterns,
    *urls_backtests.urlpatterns,
    *urls_classifiers.urlpatterns,
    *urls_webhooks.urlpatterns,
]
