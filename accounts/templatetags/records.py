"""How values of a recorded change are written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import template

register = template.Library()


@register.filter
def shown(value: Any) -> str:
    """A value of a diff in words: lists with commas, a long text by the digest that was kept."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, Mapping):
        return f"{value.get('digest', value)} ({value.get('bytes', '?')} bytes)"
    return str(value) or "empty"
