"""Commands get working servers, and nothing is left when the supervisor ends, however it ends."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import redis

from tests.config.conftest import ROOT, clean_environment

pytestmark = pytest.mark.faults


def supervise(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "config.supervisor", *arguments],
        cwd=ROOT,
        env=clean_environment() | env,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_command_gets_a_database_and_a_broker_that_answer(session):
    with psycopg.connect(session.env["DATABASE_URL"]) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("signalbox_app",)
    with redis.Redis.from_url(session.env["BROKER_URL"]) as broker:
        assert broker.ping()


def test_connection_file_is_private_and_says_what_the_environment_says(session):
    import json

    file = Path(session.env["SIGNALBOX_VAR_DIR"]) / "connection.json"

    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    written = json.loads(file.read_text())
    assert written.items() <= session.env.items()
    assert {"DATABASE_URL", "DATABASE_OWNER_URL", "BROKER_URL"} <= written.keys()


def test_killed_supervisor_leaves_no_server(session, eventually, processes_naming):
    var = session.env["SIGNALBOX_VAR_DIR"]
    assert len(processes_naming(var)) > 5, "Valkey, the postmaster and its workers, the command"

    session.process.kill()

    eventually(lambda: not processes_naming(var), "nobody left", 20)


def test_code_of_the_command_is_the_code_of_the_run_and_its_folder_is_gone():
    ended = supervise(
        *("with-servers", "--", sys.executable, "-c"),
        "import os, sys; print('VAR=' + os.environ['SIGNALBOX_VAR_DIR']); sys.exit(7)",
    )

    assert ended.returncode == 7
    var = ended.stdout.split("VAR=")[1].split()[0]
    assert not Path(var).exists()


def test_given_servers_are_used_and_not_started():
    given = "postgresql://someone@127.0.0.1:1/theirs"
    ended = supervise(
        *("with-servers", "--", sys.executable, "-c"),
        "import os; print(os.environ['DATABASE_URL'], os.environ['DATABASE_OWNER_URL'])",
        DATABASE_URL=given,
        BROKER_URL="redis://127.0.0.1:1/0",
    )

    assert f"{given} {given}" in ended.stdout
    assert "postgres" not in ended.stdout.replace(given, "")


def test_taken_port_is_named_with_a_way_out(var):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = supervise("run", "--port", str(port), SIGNALBOX_VAR_DIR=str(var))

    assert ended.returncode == 1
    assert f"Port {port} is taken" in ended.stderr


def test_fresh_start_never_forgets_a_database_that_is_not_ours(var):
    ended = supervise(
        *("run", "--fresh", "--port", "20999"),
        SIGNALBOX_VAR_DIR=str(var),
        DATABASE_URL="postgresql://someone@127.0.0.1:1/theirs",
    )

    assert ended.returncode == 1
    assert "--fresh forgets embedded data only" in ended.stderr
