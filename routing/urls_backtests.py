"""Addresses of backtests and of saved examples. Verbs at the end are POST."""

from __future__ import annotations

from django.urls import path

from routing.views import backtests, examples

_VERSION = "routes/<slug:slug>/versions/<int:number>/"
_RUN = f"{_VERSION}backtests/<uuid:backtest_id>/"

urlpatterns = [
    path(f"{_VERSION}backtests/", backtests.runs, name="backtests"),
    path(_RUN, backtests.run, name="backtest"),
    path(f"{_RUN}acknowledge/", backtests.acknowledge, name="acknowledge-backtest"),
    path(f"{_RUN}cancel/", backtests.cancel, name="cancel-backtest"),
    path(f"{_RUN}decisions/<uuid:decision_id>/", backtests.decision, name="backtest-decision"),
    path(f"{_RUN}<slug:bucket>/", backtests.bucket, name="backtest-bucket"),
    path(f"{_VERSION}examples/save/", examples.save, name="save-example"),
    path(f"{_VERSION}examples/<int:example_id>/remove/", examples.remove, name="remove-example"),
    path(f"{_VERSION}copy-test/", examples.copy_test, name="copy-test"),
]
