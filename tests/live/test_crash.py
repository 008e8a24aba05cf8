"""The web process dies in the middle of traffic: nothing that a client received is missing."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

import httpx
import psycopg
import pytest

from tests.installation import Site

pytestmark = [pytest.mark.live, pytest.mark.faults, pytest.mark.xdist_group("live")]


class Ledger:
    """The client's own ledger: every decision id of which it saw a byte."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.complete: list[str] = []
        self.broken = 0
        self._lock = threading.Lock()

    def ask(self, site: Site, number: int) -> None:
        stream = number % 2 == 0
        body = {
            "model": "support-triage",
            "stream": stream,
            "messages": [{"role": "user", "content": f"Where is parcel {number}?"}],
        }
        headers = {"authorization": f"Bearer {site.api_key}"}
        try:
            with httpx.stream(
                "POST", f"{site.url}/v1/chat/completions", json=body, headers=headers, timeout=20
            ) as answer:
                decision = answer.headers.get("x-signalbox-decision-id")
                if decision is None:
                    return
                with self._lock:
                    self.seen.append(decision)
                text = "".join(answer.iter_text())
                if not stream or "[DONE]" in text:
                    with self._lock:
                        self.complete.append(decision)
        except httpx.HTTPError:
            self.broken += 1


def kinds_of(site: Site, decisions: list[str]) -> dict[str, set[str]]:
    with psycopg.connect(site.database_url()) as connection:
        rows = connection.execute(
            "SELECT decision_id, kind FROM audit.event WHERE decision_id = ANY(%s)",
            ([UUID(decision) for decision in decisions],),
        ).fetchall()
    found: dict[str, set[str]] = {decision: set() for decision in decisions}
    for decision, kind in rows:
        found[str(decision)].add(kind)
    return found


def test_a_killed_web_process_loses_nothing_that_a_client_saw(site: Site) -> None:
    ledger = Ledger()
    victim = site.web_pid()

    with ThreadPoolExecutor(16) as pool:
        for number in range(240):
            pool.submit(ledger.ask, site, number)
        time.sleep(1.0)
        os.kill(victim, signal.SIGKILL)
        time.sleep(1.5)
        site.wait_until_ready()

    site.wait_until_ready()
    assert site.web_pid() != victim
    assert ledger.broken > 0
    found = kinds_of(site, ledger.seen)
    assert all("decision.made" in kinds for kinds in found.values())
    assert all("decision.completed" in found[decision] for decision in ledger.complete)
    # What was in flight gets its end from the reaper, by its deadline.
    checked = site.settled(timeout_s=150)
    assert checked["code"] == 0, checked["text"]
    assert checked["open"] == 0
