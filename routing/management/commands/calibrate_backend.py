"""Calibrates a backend's confidence on a route from labelled answers, one JSON object a line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import User
from routing.models import Backend
from routing.services import calibrations
from screens.errors import DomainError


class Command(BaseCommand):
    help = (
        "Fit the map from raw confidence to the share of good answers. Each line of LABELS is "
        '{"good": true, "raw": 0.81} or {"good": false, "decision": "<id>"}.'
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("labels", type=Path)
        parser.add_argument("--backend", required=True)
        parser.add_argument("--signal", required=True)
        parser.add_argument("--route", default="", help="Left out: every route without its own.")
        parser.add_argument("--by", required=True, help="Sign-in name of the operator.")
        parser.add_argument("--reason", required=True)

    def handle(self, *args: Any, **options: Any) -> None:
        backend = Backend.objects.filter(name=options["backend"]).first()
        by = User.objects.filter(username=options["by"]).first()
        if backend is None or by is None:
            raise CommandError("There is no such backend or person.")
        try:
            rows = [json.loads(line) for line in options["labels"].read_text().splitlines() if line]
            labelled = calibrations.labels_from(
                rows, backend=backend.name, signal=options["signal"]
            )
            outcome = calibrations.calibrate_backend(
                backend=backend,
                signal=options["signal"],
                route=options["route"],
                labelled=labelled,
                by=by,
                reason=options["reason"],
            )
        except (OSError, ValueError) as problem:
            raise CommandError(f"The labels cannot be read: {problem}") from None
        except DomainError as problem:
            raise CommandError(f"{problem.message} {problem.what_next}".strip()) from None
        self.stdout.write(
            f"{backend.name} is calibrated on {len(labelled)} labels with "
            f"{len(outcome.calibration.points)} points: calibration error "
            f"{outcome.error_before} before, {outcome.error_after} after."
        )
