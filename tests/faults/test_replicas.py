"""Replicas as real processes: they agree, they outlive their database, and they refuse the rest."""

from __future__ import annotations

import time

import httpx
import pytest

from tests.faults.plant import GatewayProcess, Plant, eventually
from tests.faults.world import policy

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("faults")]


def digests(*gateways: GatewayProcess) -> set[str]:
    return {gateway.ready()["digest"] for gateway in gateways}


def outcome(gateway: GatewayProcess, route: str) -> str:
    return gateway.ask(route).headers["x-signalbox-outcome"]


def test_two_replicas_agree_within_five_seconds_of_an_activation(plant: Plant) -> None:
    first, second = plant.gateway("one"), plant.gateway("two")
    before = digests(first, second)

    version = plant.world(
        "activate", {"slug": "near", "document": policy("near", target="spare", then="near")}
    )
    began = time.monotonic()

    def both_serve_it() -> bool:
        labels = {one.ask().headers["x-signalbox-policy"] for one in (first, second)}
        return labels == {f"near@{version['number']}"}

    eventually(both_serve_it, 5)
    assert time.monotonic() - began < 5
    assert len(digests(first, second)) == 1
    assert digests(first, second) != before
    told = plant.rows("SELECT DISTINCT digest FROM routing_replica")
    eventually(lambda: {d for (d,) in told} >= digests(first, second), 5)


def test_the_kill_switch_stops_public_traffic_on_every_replica_within_five_seconds(
    plant: Plant,
) -> None:
    pair = plant.gateway("one"), plant.gateway("two")
    assert {outcome(one, "away") for one in pair} == {"served"}

    plant.world("stop_public", True)
    try:
        eventually(lambda: {outcome(one, "away") for one in pair} == {"safe_default"}, 5)
        asked = plant.proxies["cloud"].requests
        for one in pair:
            one.ask("away")
        assert plant.proxies["cloud"].requests == asked
        assert {outcome(one, "near") for one in pair} == {"served"}
    finally:
        plant.world("stop_public", False)


def test_a_notification_that_is_lost_costs_no_more_than_the_poll(plant: Plant) -> None:
    alone = plant.gateway("one")
    # Without the trigger nobody is notified; the revision alone must do.
    plant.as_superuser("UPDATE routing_snapshotrevision SET revision = revision + 1")
    [(revision,)] = plant.rows("SELECT revision FROM routing_snapshotrevision")

    eventually(lambda: alone.ready()["revision"] == revision, 5)


def test_a_bad_document_never_replaces_a_good_one_and_is_told(plant: Plant) -> None:
    alone = plant.gateway("one")
    good = alone.ready()["digest"]
    spoil = (
        "SET session_replication_role = replica",
        "CREATE TABLE IF NOT EXISTS public.kept AS SELECT id, document FROM routing_policyversion "
        "WHERE state = 'active'",
        "UPDATE routing_policyversion SET document = '{\"rules\": 3}' WHERE state = 'active'",
        "UPDATE routing_snapshotrevision SET revision = revision + 1",
    )
    mend = (
        "SET session_replication_role = replica",
        "UPDATE routing_policyversion v SET document = kept.document FROM public.kept "
        "WHERE kept.id = v.id",
        "DROP TABLE public.kept",
        "UPDATE routing_snapshotrevision SET revision = revision + 1",
    )

    plant.as_superuser(*spoil)
    try:
        eventually(lambda: alone.ready()["refuses"], 8)
        assert alone.ask().status_code == 200
        told = eventually(
            lambda: plant.rows("SELECT refused FROM routing_replica WHERE refused <> ''"), 5
        )
        assert "does not compile" in told[0][0]
        assert alone.gauge("snapshot_refused") == 1
        assert "is refused, the previous one serves" in alone.log()
    finally:
        plant.as_superuser(*mend)

    eventually(lambda: alone.ready()["refuses"] is None, 8)
    assert alone.ready()["digest"] == good


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_a_replica_starts_from_disk_without_its_database_and_sends_nothing(
    plant: Plant, how: str
) -> None:
    plant.gateway("one").kill()
    if how == "killed":
        plant.kill_postgres()
    else:
        plant.freeze_postgres(frozen=True)
    asked = {name: proxy.requests for name, proxy in plant.proxies.items()}

    again = plant.gateway("one")

    assert again.ready()["digest"].startswith("sha256:")
    for route in ("near", "away"):
        answer = again.ask(route)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "audit_unavailable")
        assert int(answer.headers["retry-after"]) >= 1
    assert {name: proxy.requests for name, proxy in plant.proxies.items()} == asked
    assert "Started from disk" in again.log()

    if how == "killed":
        plant.start_postgres()
    else:
        plant.freeze_postgres(frozen=False)
    eventually(lambda: again.ask().status_code == 200, 10)


def test_a_snapshot_beyond_its_stated_age_is_not_decided_on(plant: Plant) -> None:
    old = plant.gateway("old", SIGNALBOX_SNAPSHOT_MAX_AGE_S="4")
    plant.freeze_postgres(frozen=True)

    eventually(lambda: httpx.get(f"{old.url}/health/ready", timeout=3).status_code == 503, 12)
    answer = old.ask()

    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "policy_unavailable")
    assert "4 s without it" in answer.json()["error"]["message"]
    plant.freeze_postgres(frozen=False)
    eventually(lambda: old.ask().status_code == 200, 10)


def test_its_port_serves_the_live_api_and_nothing_else(plant: Plant) -> None:
    alone = plant.gateway("one")

    refused = {
        path: httpx.get(alone.url + path, timeout=5).status_code
        for path in ("/", "/admin/", "/api/", "/sign-in/", "/static/css/app.css", "/system/")
    }

    assert set(refused.values()) == {404}
    assert httpx.get(f"{alone.url}/health/live", timeout=5).status_code == 200


def test_the_screens_alone_serve_no_live_api_and_are_no_replica(plant: Plant) -> None:
    screens = plant.gateway("screens", SIGNALBOX_ROLE="web")
    replicas = {name for (name,) in plant.rows("SELECT name FROM routing_replica")}

    assert screens.ready() == {"status": "ready"}
    assert httpx.get(f"{screens.url}/", timeout=20).status_code == 302
    assert screens.ask().status_code in {302, 403, 404}
    assert not any(name.endswith(f"-{screens.pid}") for name in replicas)


def test_without_a_broker_everything_is_routed_and_recorded(plant: Plant) -> None:
    """F36: nobody listens at the plant's BROKER_URL."""
    alone = plant.gateway("one")

    answer = alone.ask()

    assert answer.status_code == 200
    assert plant.kinds(decision_id=answer.headers["x-signalbox-decision-id"]) == [
        "decision.made",
        "decision.completed",
    ]
