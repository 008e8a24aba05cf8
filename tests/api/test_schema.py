"""The API's own schema, sent back at the running product: whatever it allows, never a 500."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import Failure, FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.installation import Site, start_site, stop_site

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("api-schema")]

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
_TOKEN = """
from datetime import timedelta
from django.contrib.auth.models import Group
from django.utils import timezone
from accounts.models import User
from accounts.services import tokens
person = User.objects.get(username="olivia")
person.groups.add(*Group.objects.filter(name__in=["author", "auditor", "lead_reviewer"]))
scopes = tokens.scopes_open_to(User.objects.get(username="olivia"))
print("TOKEN", tokens.create_token(by=person, name="schema", scopes=scopes,
      expires_at=timezone.now() + timedelta(days=1), reason="test")[1])
"""


@pytest.fixture(scope="module")
def own_site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An installation of its own: these calls engage switches and change backends."""
    started = start_site(tmp_path_factory.mktemp("api") / "var", "--no-slm", "--no-sample-traffic")
    yield started
    stop_site(started)


@pytest.fixture(scope="module")
def token(own_site: Site) -> str:
    done = own_site.manage("shell", "-c", _TOKEN)
    assert "TOKEN" in done.stdout, done.stdout + done.stderr
    return done.stdout.split("TOKEN")[1].strip()


@pytest.fixture(scope="module")
def api_schema(own_site: Site, token: str) -> Any:
    return schemathesis.openapi.from_url(
        f"{own_site.url}/api/schema", headers={"authorization": f"Bearer {token}"}
    )


def examples() -> int:
    return int(os.environ.get("SIGNALBOX_SCHEMA_EXAMPLES", "8"))


def problems_of(operation: Any, token: str) -> str:
    """What one operation did wrong over many generated calls; empty when nothing."""

    @given(case=operation.as_strategy())
    @settings(
        max_examples=examples(),
        suppress_health_check=list(HealthCheck),
        deadline=None,
        database=None,
        derandomize=True,
    )
    def tried(case: Any) -> None:
        case.call_and_validate(headers={"authorization": f"Bearer {token}"}, checks=CHECKS)

    try:
        tried()
    except (Failure, FailureGroup) as problem:
        return f"{operation.method.upper()} {operation.path}: {problem}"
    return ""


def test_no_call_that_the_schema_allows_fails_inside(api_schema: Any, token: str) -> None:
    operations = [result.ok() for result in api_schema.get_all_operations()]

    found = [problems_of(operation, token) for operation in operations]

    assert len(operations) > 30
    assert not any(found), "\n\n".join(filter(None, found))
