"""Trainings made by a real Celery worker: its own process, the real broker, the real database."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import connections
from django.utils import timezone
from kombu import Connection

from audit import jobs
from config.celery import app
from routing.models import Classifier, ClassifierTraining
from routing.services import classifiers
from routing.tasks import train_classifier
from tests.routing.classifiers.conftest import a_row, as_lines

pytestmark = pytest.mark.django_db(transaction=True)
ROOT = Path(__file__).resolve().parents[3]
State = ClassifierTraining.State


@pytest.fixture(scope="module")
def broker() -> str:
    """A database of the broker that no other test process reads."""
    server = settings.BROKER_URL.rpartition("/")[0]
    return f"{server}/{1 + os.getpid() % 15}"


@pytest.fixture
def worker(broker: str, tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Started like the one of production, on the database of this test."""
    server = os.environ["DATABASE_URL"].rpartition("/")[0]
    database = connections["default"].settings_dict["NAME"]
    env = os.environ | {"DATABASE_URL": f"{server}/{database}", "BROKER_URL": broker}
    command = [sys.executable, "-m", "celery", "-A", "config", "worker", "-Q", "default", "-c", "1"]
    with (tmp_path / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdout=log, stderr=log, start_new_session=True
        )
        yield process
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)


@pytest.fixture
def send(broker: str, people: dict[str, Any]) -> Callable[..., ClassifierTraining]:
    """Ask for a training and hand it to the worker's queue."""

    def ask(rows: int = 160) -> ClassifierTraining:
        training = classifiers.request_training(
            name="shop", evalset=as_lines([a_row(n) for n in range(rows)]), by=people["arjun"]
        )
        with Connection(broker) as connection:
            train_classifier.apply_async((str(training.pk),), connection=connection)
        return training

    return ask


def wait_for(
    training: ClassifierTraining,
    is_there: Callable[[ClassifierTraining], bool],
    seconds: float = 90,
) -> list[int]:
    """The percentages seen until then."""
    seen: list[int] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        training.refresh_from_db()
        if not seen or seen[-1] != training.percent:
            seen.append(training.percent)
        if is_there(training):
            return seen
        time.sleep(0.02)
    raise AssertionError(f"{training.state}, {training.percent} %, {training.step}")


def test_worker_trains_publishes_and_says_how_far_it_is(worker, send):
    training = send()
    seen = wait_for(training, lambda one: one.has_ended)
    assert training.state == State.DONE, training.problem
    assert len(seen) > 3 and seen == sorted(seen)
    assert training.started_at is not None and bytes(training.evalset) == b""
    assert Classifier.objects.get().artefact["reference"]["prompts"] == 160
    assert str(training.classifier) == "shop@1"


def test_cancelled_training_stops_in_the_worker_which_goes_on_with_the_next(worker, send, people):
    training = send(2_000)
    wait_for(training, lambda one: one.state == State.RUNNING and one.percent > 0)
    classifiers.cancel_training(training=training, by=people["arjun"])
    following = send()
    wait_for(following, lambda one: one.has_ended)
    training.refresh_from_db()
    assert (training.state, following.state) == (State.CANCELLED, State.DONE)
    assert [one.card["rows"] for one in Classifier.objects.all()] == [160]


def test_training_of_a_worker_that_was_killed_does_not_stay_running(worker, send):
    training = send(2_000)
    wait_for(training, lambda one: one.state == State.RUNNING and one.percent > 0)
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait(timeout=10)
    training.refresh_from_db()
    assert training.state == State.RUNNING
    later = timezone.now() + jobs.LOST_AFTER
    assert classifiers.fail_lost_trainings(now=later) == 1
    training.refresh_from_db()
    assert training.state == State.FAILED and "Send the set again" in training.problem


def test_beat_looks_for_lost_trainings():
    entry = app.conf.beat_schedule["fail-lost-jobs"]
    assert entry["task"] in app.tasks and entry["schedule"] <= 60
