"""The embedded PostgreSQL and Valkey: whom they run as, who may do what, what survives."""

from __future__ import annotations

import os
import shutil
import signal
import stat
from pathlib import Path

import psycopg
import pytest

from config.servers.places import AlreadyRunning, Places
from config.servers.postgres import ROLES, Postgres, find_binaries, reachable

pytestmark = pytest.mark.faults


@pytest.fixture
def postgres(places, family):
    server = Postgres(places=places, port=places.port("postgres"))
    server.prepare()
    family.wait_for(family.start(server.child(env=dict(os.environ))), server.ready, timeout_s=60)
    server.make_roles()
    return server


def postmaster_of(server: Postgres) -> int:
    return int((server.cluster / "postmaster.pid").read_text().split()[0])


def test_server_does_not_run_as_root(postgres):
    assert Path(f"/proc/{postmaster_of(postgres)}").stat().st_uid != 0


def test_no_role_of_the_product_is_superuser_or_can_make_roles(postgres):
    with psycopg.connect(postgres.url("signalbox_app")) as connection:
        rights = connection.execute(
            "SELECT rolname, rolsuper, rolcreaterole, rolreplication, rolbypassrls, rolcreatedb"
            " FROM pg_roles WHERE rolname = ANY(%s) ORDER BY rolname",
            [list(ROLES)],
        ).fetchall()

    assert rights == [
        ("signalbox_app", False, False, False, False, False),
        ("signalbox_owner", False, False, False, False, True),
        ("signalbox_reader", False, False, False, False, False),
        ("signalbox_sequencer", False, False, False, False, False),
    ]


def test_runtime_role_writes_rows_but_cannot_change_tables(postgres):
    with psycopg.connect(postgres.url("signalbox_owner")) as owner:
        owner.execute("CREATE TABLE parcel (id int)")

    with psycopg.connect(postgres.url("signalbox_app"), autocommit=True) as app:
        app.execute("INSERT INTO parcel VALUES (1)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("DROP TABLE parcel")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("TRUNCATE parcel")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("CREATE TABLE other (id int)")


def test_superuser_is_out_of_reach_with_a_role_password(postgres):
    own = postgres.places.secret("signalbox_owner")
    address = f"postgresql://postgres:{own}@127.0.0.1:{postgres.port}/postgres"

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(address)


def test_database_comes_back_with_its_rows_after_the_postmaster_is_killed(
    postgres, family, eventually
):
    with psycopg.connect(postgres.url("signalbox_owner")) as owner:
        owner.execute("CREATE TABLE parcel (id int)")
        owner.execute("INSERT INTO parcel SELECT generate_series(1, 400)")
    killed = postmaster_of(postgres)

    os.kill(killed, signal.SIGKILL)

    def back() -> bool:
        family.watch()
        return postgres.ready() and postmaster_of(postgres) != killed

    eventually(back, "another postmaster", 20)
    with psycopg.connect(postgres.url("signalbox_owner")) as owner:
        assert owner.execute("SELECT count(*) FROM parcel").fetchone() == (400,)


def test_second_preparation_keeps_data_port_and_passwords(postgres):
    again = Places(postgres.places.var)
    made_at = (postgres.cluster / "PG_VERSION").stat().st_mtime_ns

    Postgres(places=again, port=postgres.port).prepare()

    assert (postgres.cluster / "PG_VERSION").stat().st_mtime_ns == made_at
    assert again.secret("signalbox_app") == postgres.places.secret("signalbox_app")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change its user")
def test_root_with_a_closed_folder_gets_its_data_where_the_other_user_can_reach_it(
    tmp_path, family
):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    places = Places(closed / "var")
    places.prepare()
    server = Postgres(places=places, port=places.port("postgres"))
    try:
        server.prepare()
        child = family.start(server.child(env=dict(os.environ)))
        family.wait_for(child, server.ready, timeout_s=60)

        assert not reachable(places.var / "postgres", "nobody")
        assert reachable(server.folder, "nobody")
    finally:
        family.stop()
        server.forget()
    assert not server.folder.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change its user")
def test_binaries_in_a_closed_folder_are_copied_to_where_the_other_user_can_run_them(
    tmp_path, monkeypatch, family
):
    package = find_binaries().parent.parent
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    shutil.copytree(package / "pginstall", closed / package.name / "pginstall", symlinks=True)
    libraries = package.with_name(package.name + ".libs")
    shutil.copytree(libraries, closed / libraries.name)
    monkeypatch.setenv("PG_BIN_DIR", str(closed / package.name / "pginstall" / "bin"))
    places = Places(closed / "var")
    places.prepare()
    server = Postgres(places=places, port=places.port("postgres"))
    try:
        server.prepare()
        child = family.start(server.child(env=dict(os.environ)))
        family.wait_for(child, server.ready, timeout_s=60)

        assert closed not in server.binaries.parents
    finally:
        family.stop()
        server.forget()


def test_passwords_and_keys_are_readable_by_their_owner_only(places):
    places.secret("valkey")
    places.key_file("audit.key")
    places.port("web")

    modes = {stat.S_IMODE(path.stat().st_mode) for path in places.keys.iterdir()}
    assert modes == {0o600}
    assert stat.S_IMODE(places.keys.stat().st_mode) == 0o700


def test_key_file_is_made_once(places):
    first = places.key_file("audit.key").read_text()

    assert places.key_file("audit.key").read_text() == first


def test_two_runs_on_one_folder_are_refused(places):
    handle = places.lock()

    with pytest.raises(AlreadyRunning):
        Places(places.var).lock()
    os.close(handle)


def test_forgetting_leaves_what_a_run_did_not_make(places):
    places.secret("valkey")
    (places.var / "notes.txt").write_text("mine")

    places.forget()

    assert not places.keys.exists()
    assert (places.var / "notes.txt").read_text() == "mine"
