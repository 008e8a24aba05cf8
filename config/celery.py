"""The Celery application: queues default, shadow and reports, and the beat schedule."""

from __future__ import annotations

import logging.config
import os
from contextvars import Token
from typing import Any

from celery import Celery, signals

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

app = Celery("signalbox")
# Current is one app a thread; screens send their jobs from threads that have seen none.
app.set_default()
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()
app.conf.beat_schedule = {
    "sweep-review": {"task": "review.tasks.sweep", "schedule": 10.0},
    "reap-decisions": {"task": "routing.tasks.reap_decisions", "schedule": 10.0},
    "erase-responses": {"task": "routing.tasks.erase_responses", "schedule": 600.0},
    "activate-due": {"task": "routing.tasks.activate_due", "schedule": 10.0},
    "watch-rollouts": {"task": "routing.tasks.watch_rollouts", "schedule": 5.0},
    "probe-backends": {"task": "routing.tasks.probe_backends", "schedule": 60.0},
    "fail-lost-jobs": {"task": "routing.tasks.fail_lost_jobs", "schedule": 30.0},
    "request-due-reports": {"task": "audit.tasks.request_due_reports", "schedule": 600.0},
    "fail-lost-reports": {"task": "audit.tasks.fail_lost_jobs", "schedule": 30.0},
    "send-webhooks": {"task": "routing.tasks.send_webhooks", "schedule": 5.0},
    "erase-webhook-deliveries": {
        "task": "routing.tasks.erase_webhook_deliveries",
        "schedule": 3600.0,
    },
    "keep-house": {"task": "routing.tasks.keep_house", "schedule": 6 * 3600.0},
    "watch-signoffs": {"task": "routing.tasks.watch_signoffs", "schedule": 30.0},
}

# A task belongs to the request that asked for it: its id travels in the message's headers, and
# every line that the task logs says it. A task of the schedule has its own.
_HEADER = "signalbox_request_id"
_entered: dict[str, Token[str]] = {}


@signals.before_task_publish.connect
def _send_request_id(headers: dict[str, Any] | None = None, **_: Any) -> None:
    from screens import request_id

    if headers is not None and (current := request_id.current()):
        headers.setdefault(_HEADER, current)


@signals.task_prerun.connect
def _enter_request_id(task_id: str = "", task: Any = None, **_: Any) -> None:
    from screens import request_id

    given = getattr(task.request, _HEADER, None) if task is not None else None
    _entered[task_id] = request_id.enter(request_id.accept(given or f"task_{task_id}"))


@signals.task_postrun.connect
def _leave_request_id(task_id: str = "", **_: Any) -> None:
    from screens import request_id

    if (token := _entered.pop(task_id, None)) is not None:
        request_id.leave(token)


@signals.setup_logging.connect
def _log_as_everybody(**_: Any) -> None:
    """Celery would put its own lines in its own form; these are JSON without secrets too."""
    from django.conf import settings

    logging.config.dictConfig(settings.LOGGING)
