"""Kill switches that are engaged now."""

from __future__ import annotations

from routing.models import KillSwitch


def engaged_switches() -> list[KillSwitch]:
    """Every one, the newest first, with who engaged it."""
    return list(KillSwitch.objects.select_related("engaged_by").filter(released_at__isnull=True))
