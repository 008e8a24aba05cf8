"""Screens of accounts."""

from __future__ import annotations

urlpatterns: list = []
