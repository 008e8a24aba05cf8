"""Realistic content for the style guide, long names and empty states included."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest


def examples(request: HttpRequest) -> dict[str, Any]:
    return {}
