"""Jobs that a screen asks for reach the broker of the settings, whichever thread it runs in."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from django.conf import settings

from routing.tasks import run_backtest


def test_a_thread_that_has_seen_no_celery_sends_to_our_broker() -> None:
    with ThreadPoolExecutor(1) as thread:
        app = thread.submit(lambda: run_backtest.app).result()

    assert app.main == "signalbox"
    assert app.conf.broker_url == settings.BROKER_URL
