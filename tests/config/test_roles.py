"""What a process loads by its role: the live API alone draws nothing and administers nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys

from tests.installation import ROOT

_SCREENS = (
    "config.urls",
    "rest_framework",
    "django.contrib.admin",
    "django_htmx",
    "drf_spectacular",
)


def loaded_as(role: str) -> set[str]:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import config.asgi, json, sys; print(json.dumps(list(sys.modules)))",
        ],
        cwd=ROOT,
        env={**os.environ, "SIGNALBOX_ROLE": role},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_the_live_api_alone_loads_no_screens_no_admin_and_no_rest_framework() -> None:
    loaded = loaded_as("gateway")

    assert "routing.gateway.application" in loaded
    assert not {name for name in loaded if name.startswith(_SCREENS)}
    assert not {name for name in loaded if name.startswith(("routing.views", "review.views"))}
