"""Reads the environment: typed, named, and with one sentence when a value is wrong.

Values come from the process environment first, then from ``var/connection.json``, which the
supervisor of ``./run`` writes, so that ``manage.py`` works from another terminal.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
VAR_DIR = Path(os.environ.get("SIGNALBOX_VAR_DIR") or BASE_DIR / "var")

ONLY_FOR_SCREENS = {
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "django_htmx",
    "template_partials",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
}


def _connection_file() -> dict[str, str]:
    try:
        return json.loads((VAR_DIR / "connection.json").read_text())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as problem:
        raise ImproperlyConfigured(
            f"{VAR_DIR / 'connection.json'} cannot be read: {problem}"
        ) from problem


# An explicit DATABASE_URL means another installation: the file then says nothing about it.
_FILE = {} if os.environ.get("DATABASE_URL") else _connection_file()


def text(name: str, default: str = "") -> str:
    return os.environ.get(name) or _FILE.get(name) or default


def flag(name: str, *, default: bool = False) -> bool:
    value = text(name).lower()
    if value in {"", "default"}:
        return default
    if value in {"1", "true", "yes", "on"}:
        return True
    if value in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} must be true or false, not {value!r}")


def number(name: str, default: int) -> int:
    value = text(name)
    try:
        return int(value) if value else default
    except ValueError as problem:
        raise ImproperlyConfigured(f"{name} must be a whole number, not {value!r}") from problem


def words(name: str, default: str = "") -> list[str]:
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


# A server that vanished without a word is given up within seconds, not after the system's hours.
_CONNECTION = {
    "connect_timeout": "5",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "15000",
}


def database(url: str) -> dict[str, object]:
    """Turn ``postgresql://name:password@host:port/database?option=value`` into Django's form."""
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"} or not parts.path.strip("/"):
        raise ImproperlyConfigured(
            "DATABASE_URL must look like postgresql://name:password@host:5432/database"
        )
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": unquote(parts.hostname or ""),
        "PORT": str(parts.port or ""),
        "OPTIONS": _CONNECTION | dict(parse_qsl(parts.query)),
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
    }


def key_file(name: str, file_name: str) -> Path:
    return Path(text(name) or VAR_DIR / "keys" / file_name)


def secret_key(*, production: bool) -> str:
    """Read Django's secret key; make one on a fresh machine, never in production."""
    if value := os.environ.get("SIGNALBOX_SECRET_KEY"):
        return value
    path = key_file("SIGNALBOX_SECRET_KEY_FILE", "secret.key")
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        if production:
            raise ImproperlyConfigured(
                "Production needs SIGNALBOX_SECRET_KEY or SIGNALBOX_SECRET_KEY_FILE."
            ) from None
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    made = base64.b64encode(secrets.token_bytes(48)).decode()
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(made)
    return made
