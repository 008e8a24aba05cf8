"""Long work in the background. Tasks take ids, call one service and are safe to run twice."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task

from audit import verification
from audit.reports import schedule, services


@shared_task
def make_report(report_id: str) -> None:
    services.make_report(report_id=UUID(report_id))


@shared_task(name="audit.tasks.fail_lost_jobs", expires=30)
def fail_lost_jobs() -> int:
    for report_id in services.take_up_lost_reports():
        make_report.delay(str(report_id))
    return services.fail_lost_reports() + verification.fail_lost()


@shared_task(name="audit.tasks.request_due_reports", expires=300)
def request_due_reports() -> None:
    if report_id := schedule.request_due():
        make_report.delay(str(report_id))


@shared_task
def verify_trail(verification_id: str) -> None:
    verification.run(verification_id=UUID(verification_id))
