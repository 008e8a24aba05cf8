"""Celery's entries into routing: each calls one service and is safe to run twice."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from audit.actors import SYSTEM
from routing.models import Backend
from routing.services import (
    backtests,
    classifiers,
    health,
    projection,
    reaper,
    responses,
    schedule,
    signoffs,
    webhook_sending,
)
from routing.services.promotion import watching


@shared_task(name="routing.tasks.reap_decisions", expires=10)
def reap_decisions() -> int:
    return reaper.reap()


@shared_task(name="routing.tasks.keep_house", expires=3600)
def keep_house() -> int:
    return projection.keep_house()


@shared_task(name="routing.tasks.erase_responses", expires=600)
def erase_responses() -> int:
    return responses.erase_expired()


@shared_task(name="routing.tasks.send_webhooks", expires=5)
def send_webhooks() -> int:
    return webhook_sending.send_due()


@shared_task(name="routing.tasks.erase_webhook_deliveries", expires=3600)
def erase_webhook_deliveries() -> int:
    return webhook_sending.erase_ended()


@shared_task(name="routing.tasks.watch_signoffs", expires=60)
def watch_signoffs() -> int:
    return signoffs.record_clock()


@shared_task(name="routing.tasks.activate_due", expires=10)
def activate_due() -> int:
    return schedule.activate_due()


@shared_task(name="routing.tasks.watch_rollouts", expires=5)
def watch_rollouts() -> int:
    return watching.watch_rollouts()


@shared_task(name="routing.tasks.probe_backends", expires=60)
def probe_backends() -> int:
    watched = Backend.objects.filter(state__in=(Backend.State.ACTIVE, Backend.State.DRAINING))
    for backend in watched:
        health.probe_backend(backend_id=backend.pk, by=SYSTEM("probe"))
    return len(watched)


@shared_task(name="routing.tasks.run_backtest")
def run_backtest(backtest_id: str) -> None:
    backtests.run_backtest(backtest_id=UUID(backtest_id))


@shared_task(name="routing.tasks.fail_lost_jobs", expires=30)
def fail_lost_jobs() -> int:
    return classifiers.fail_lost_trainings() + backtests.fail_lost_backtests()


@shared_task(name="routing.tasks.train_classifier")
def train_classifier(training_id: str) -> None:
    classifiers.run_training(training_id=UUID(training_id))
