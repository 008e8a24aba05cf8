"""One plant for the process cases of a worker; each test starts the gateways that it breaks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.faults.clients import Clients
from tests.faults.plant import GatewayProcess, Plant
from tests.faults.proxy import Line, honest
from tests.routing.gateway.conftest import start  # noqa: F401  (a fixture of these tests too)

RECORDER = b"signalbox-gateway"


@pytest.fixture(scope="session")
def session_plant(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plant]:
    made = Plant(tmp_path_factory.mktemp("plant") / "var")
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.fixture
def plant(session_plant: Plant) -> Iterator[Plant]:
    """The plant, healthy again after each test, without the test's gateways."""
    yield session_plant
    session_plant.freeze_postgres(frozen=False)
    if not session_plant.postgres.alive:
        session_plant.start_postgres()
    for line in session_plant.lines:
        line.is_open = True
        session_plant.background.soon(line.release)
    for backend in session_plant.backends.values():
        backend.hangs, backend.pace_s = False, 0.0
    for proxy in session_plant.proxies.values():
        proxy.faults = [honest]
    children = [gateway.child for gateway in session_plant.gateways]
    with suppress(ValueError):
        session_plant.family.stop(children)
    session_plant.gateways.clear()


@pytest.fixture
def line(plant: Plant) -> Line:
    """The recorder's own wire to PostgreSQL; the snapshot's goes beside it."""
    return plant.line(only=RECORDER)


@pytest.fixture
def gateway(plant: Plant, line: Line) -> GatewayProcess:
    made = plant.gateway("breakable", line=line)
    for _ in range(4):
        # The statements are prepared from here on: one request, one piece of an answer.
        assert made.ask("near").status_code == 200
    return made


@pytest.fixture
def clients(gateway: GatewayProcess) -> Clients:
    return Clients(gateway)
