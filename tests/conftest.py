"""What every test may ask for: a migrated database with the real roles, and people with jobs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from playwright.sync_api import Browser, sync_playwright

from tests.installation import Site, start_site, stop_site

# A slow machine is no finding, and the same commit gives the same answer twice.
settings.register_profile(
    "everywhere",
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    derandomize=bool(os.environ.get("CI")),
)
settings.load_profile("everywhere")

JOBS = {
    "olivia": ("operator",),
    "arjun": ("author",),
    "petra": ("approver",),
    "pavel": ("approver",),
    "rui": ("reviewer",),
    "noor": ("reviewer", "lead_reviewer"),
    "ada": ("auditor",),
    "sam": ("administrator",),
    "nobody": (),
}


@pytest.fixture(autouse=True)
def _reads_at_once(request: pytest.FixtureRequest) -> None:
    """Reviewers in tests read at once, but where reading is what the test is about."""
    if "tests/review/test_pace" not in request.node.nodeid:
        request.getfixturevalue("settings").REVIEW_DWELL_PERCENT = 0


def _dsn(alias: str, name: str | None = None) -> str:
    from django.conf import settings

    database = settings.DATABASES[alias]
    return psycopg.conninfo.make_conninfo(
        host=database["HOST"],
        port=database["PORT"],
        user=database["USER"],
        password=database["PASSWORD"],
        dbname=name or database["NAME"],
    )


@pytest.fixture(scope="session")
def django_db_setup(django_db_blocker: Any) -> Iterator[None]:
    """A database of this process alone: migrated by the owner, used by the runtime role."""
    from django.core.management import call_command
    from django.db import connections

    name = f"test_signalbox_{os.getpid()}"
    template = {alias: connections[alias].settings_dict["NAME"] for alias in connections}
    with psycopg.connect(_dsn("owner"), autocommit=True) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{name}"')
        server.execute(f'CREATE DATABASE "{name}"')
    with django_db_blocker.unblock():
        for alias in connections:
            connections[alias].close()
            connections[alias].settings_dict["NAME"] = name
        call_command("migrate", database="owner", verbosity=0, interactive=False)
        with connections["owner"].cursor() as cursor:
            # Tests that commit are cleaned up by TRUNCATE, which the runtime role may not do.
            cursor.execute("GRANT TRUNCATE ON ALL TABLES IN SCHEMA public TO signalbox_app")
        connections["owner"].close()
    yield
    with django_db_blocker.unblock():
        for alias in connections:
            connections[alias].close()
            connections[alias].settings_dict["NAME"] = template[alias]
    with psycopg.connect(_dsn("owner"), autocommit=True) as server:
        server.execute(f'DROP DATABASE IF EXISTS "{name}"')


@pytest.fixture
def owner_connection(django_db_setup: None) -> Iterator[psycopg.Connection]:
    from django.db import connections

    with psycopg.connect(_dsn("owner", connections["default"].settings_dict["NAME"])) as connection:
        yield connection


@pytest.fixture
def sequencer_connection(django_db_setup: None) -> Iterator[psycopg.Connection]:
    from django.db import connections

    name = connections["default"].settings_dict["NAME"]
    with psycopg.connect(_dsn("sequencer", name)) as connection:
        yield connection


@pytest.fixture
def people(db: None) -> dict[str, Any]:
    """Everyone by name; a person's job is in the name's entry of JOBS."""
    from django.contrib.auth.models import Group

    from accounts.models import User

    made = {}
    for name, roles in JOBS.items():
        made[name] = User.objects.create_user(username=name, full_name=name.title())
        for role in roles:
            made[name].groups.add(Group.objects.get_or_create(name=role)[0])
    return made


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One installation for all live tests of a worker, with stand-ins for both models."""
    started = start_site(tmp_path_factory.mktemp("site") / "var", "--no-slm", "--no-sample-traffic")
    yield started
    stop_site(started)


CHROMIUM_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's own browser; a download of another one is not part of a fresh clone.

    One a module: while it runs, Playwright keeps an event loop in this thread, which asynchronous
    tests of other modules would collide with, and where Django refuses to query.
    """
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=CHROMIUM_ARGUMENTS
        )
        yield browser
        browser.close()
