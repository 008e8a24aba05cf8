"""The Celery application: queues default, shadow and reports, and the beat schedule."""

from __future__ import annotations

import os

from celery import Celery

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
    "probe-backends": {"task": "routing.tasks.probe_backends", "schedule": 60.0},
    "fail-lost-jobs": {"task": "routing.tasks.fail_lost_jobs", "schedule": 30.0},
    "fail-lost-reports": {"task": "audit.tasks.fail_lost_jobs", "schedule": 30.0},
    "keep-house": {"task": "routing.tasks.keep_house", "schedule": 6 * 3600.0},
    "watch-signoffs": {"task": "routing.tasks.watch_signoffs", "schedule": 30.0},
}
