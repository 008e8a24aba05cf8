"""The database dies, hangs, fills up or loses a reply: nothing that was answered is lost."""

from __future__ import annotations

import time

import pytest

from tests.faults.clients import COMPLETED, MADE, Clients, Load, visits
from tests.faults.plant import GatewayProcess, Plant, eventually
from tests.faults.proxy import Line

pytestmark = [pytest.mark.faults, pytest.mark.slow, pytest.mark.xdist_group("faults")]


def test_f7_postgres_killed_again_and_again_loses_nothing_that_was_answered(
    plant: Plant,
) -> None:
    alone = plant.gateway("steady")
    load = Load(alone)
    for _ in range(3):
        time.sleep(1)
        plant.kill_postgres()
        plant.start_postgres()
        began = time.monotonic()
        eventually(lambda: alone.ask().status_code == 200, 10, "service")
        assert time.monotonic() - began < 10
    statuses = load.end()

    assert set(statuses) <= {200, 503}
    assert statuses[200] > 10
    assert load.lost(plant) == []
    checked = eventually(lambda: _sound(plant), 60, "fsck")
    assert "ok" in checked


def _sound(plant: Plant) -> str:
    # The plant has no worker: what earlier tests left without an end is ended here.
    plant.world("reap", 60)
    done = plant.fsck()
    return done.stdout if done.returncode == 0 else ""


def test_f8_a_restart_of_postgres_under_load_is_503_with_retry_after_and_never_500(
    plant: Plant,
) -> None:
    alone = plant.gateway("steady")
    load = Load(alone)
    time.sleep(1)
    plant.stop_postgres()
    gap = alone.ask()
    plant.start_postgres()
    eventually(lambda: alone.ask().status_code == 200, 10, "service")
    statuses = load.end()

    assert (gap.status_code, gap.json()["error"]["code"]) == (503, "audit_unavailable")
    assert int(gap.headers["retry-after"]) >= 1
    assert set(statuses) <= {200, 503}
    assert load.lost(plant) == []


@pytest.mark.parametrize("how", ["refused", "hanging", "no connections left"])
def test_f9_a_database_that_takes_nothing_is_503_and_no_backend_is_called(
    plant: Plant, how: str
) -> None:
    whole = plant.line()
    alone = plant.gateway("cut-off", line=whole)
    assert alone.ask().status_code == 200
    if how == "hanging":
        plant.background.soon(whole.hold, "up")
    elif how == "refused":
        whole.is_open = False
        plant.background.soon(whole.cut)
    else:
        plant.as_superuser("ALTER ROLE signalbox_app CONNECTION LIMIT 0")
        plant.background.soon(whole.cut)
    try:
        eventually(lambda: alone.gauge("can_record") == 0, 10)
        called = sum(proxy.requests for proxy in plant.proxies.values())
        answers = [alone.ask(route) for route in ("near", "away", "near")]
    finally:
        plant.as_superuser("ALTER ROLE signalbox_app CONNECTION LIMIT -1")
        whole.is_open = True
        plant.background.soon(whole.release)

    assert {a.json()["error"]["code"] for a in answers} == {"audit_unavailable"}
    assert sum(proxy.requests for proxy in plant.proxies.values()) == called
    eventually(lambda: alone.ask().status_code == 200, 15)


def test_f10_without_room_nothing_is_decided_and_with_room_it_goes_on_without_a_gap(
    plant: Plant, gateway: GatewayProcess
) -> None:
    """What a full disk does to an INSERT: PostgreSQL's own error, raised by a trigger."""
    full = (
        "CREATE OR REPLACE FUNCTION public.no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'could not extend file: No space left on device' "
        "USING ERRCODE = 'disk_full'; END $$",
        "CREATE TRIGGER no_room BEFORE INSERT ON audit.pending FOR EACH STATEMENT "
        "EXECUTE FUNCTION public.no_room()",
    )
    plant.as_superuser(*full)
    try:
        refused = gateway.ask("away", **{"x-request-id": "f10"})
        asked = plant.proxies["near"].requests
        second = gateway.ask("near", **{"x-request-id": "f10-second"})
        assert plant.proxies["near"].requests == asked
    finally:
        plant.as_superuser("DROP TRIGGER no_room ON audit.pending")

    assert {refused.status_code, second.status_code} == {503}
    assert visits(plant, "f10") == 0
    eventually(lambda: gateway.ask().status_code == 200, 10)
    # Its decision was never sent anywhere, and is written with its end once there is room.
    ends = eventually(
        lambda: len(plant.kinds(request_id="f10")) == 2 and plant.kinds(request_id="f10")
    )
    assert ends == [MADE, "decision.failed"]
    assert eventually(lambda: _sound(plant), 60, "fsck")


def test_f11_a_commit_whose_reply_is_lost_is_stored_once(
    plant: Plant, line: Line, clients: Clients
) -> None:
    plant.background.soon(line.hold, "down")
    waiting = clients.ask("f11", "away")
    eventually(lambda: plant.kinds(request_id="f11") == [MADE], 2)

    plant.background.soon(line.cut)
    plant.background.soon(line.release)

    status, _ = waiting.result(20)
    assert status == 200
    assert plant.kinds(request_id="f11") == [MADE, COMPLETED]
    assert visits(plant, "f11") == 1
