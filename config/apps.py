"""Wiring at start-up: who listens to whom. The only place where rooms learn of each other."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig
from django.db.models.signals import post_migrate

_GRANTS = """
DO $$ BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'signalbox_app' AND rolname <> current_user)
       AND EXISTS (SELECT FROM pg_class WHERE relname = 'routing_route'
                   AND pg_get_userbyid(relowner) = current_user) THEN
        GRANT USAGE ON SCHEMA public TO signalbox_app;
        GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO signalbox_app;
        GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO signalbox_app;
    END IF;
END $$
"""


def grant_to_runtime_role(*, using: str, **_: Any) -> None:
    """The runtime role reads and writes the application's tables and owns none of them."""
    from django.db import connections

    with connections[using].cursor() as cursor:
        cursor.execute(_GRANTS)


class SignalboxConfig(AppConfig):
    name = "config"
    label = "signalbox"

    def ready(self) -> None:
        from config import wiring

        post_migrate.connect(grant_to_runtime_role, sender=self)
        wiring.connect()
