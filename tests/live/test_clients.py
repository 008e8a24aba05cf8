"""Real clients of other makers, unmodified, in environments of their own, over real sockets."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest

from tests.clients import environments
from tests.installation import ROOT, Site

pytestmark = [pytest.mark.live, pytest.mark.xdist_group("live")]

HERE = ROOT / "tests" / "clients"


def run(site: Site, command: Sequence[str], cwd: os.PathLike[str]) -> None:
    """Run one client's checks; its own report is the message when one fails."""
    plain = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    asked = {"SIGNALBOX_URL": site.url, "SIGNALBOX_KEY": site.api_key}
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**plain, **asked, "SIGNALBOX_ROUTE": "support-triage"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "ok " in done.stdout


@pytest.mark.parametrize("script", ["openai_chat.py", "openai_more.py"])
def test_current_openai_package_works_unmodified(site: Site, script: str) -> None:
    run(site, [sys.executable, script], HERE)


@pytest.mark.parametrize("script", ["openai_chat.py", "openai_more.py"])
def test_newest_openai_package_of_version_1_works_unmodified(site: Site, script: str) -> None:
    run(site, [environments.python_with("openai1"), script], HERE)


def test_langchain_works_unmodified(site: Site) -> None:
    run(site, [environments.python_with("current"), "langchain_chat.py"], HERE)


def test_anthropic_package_works_unmodified(site: Site) -> None:
    run(site, [environments.python_with("current"), "anthropic_messages.py"], HERE)


def test_litellm_works_as_our_client(site: Site) -> None:
    run(site, [environments.python_with("litellm"), "litellm_chat.py"], HERE)


def test_openai_package_for_node_works_unmodified(site: Site) -> None:
    folder = environments.node_folder()
    run(site, [shutil.which("node") or "node", "openai_chat.mjs"], folder)
