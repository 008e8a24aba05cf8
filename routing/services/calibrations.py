"""Calibrates what a backend says of its own certainty, from answers that people labelled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any
from uuid import UUID

from django.db import transaction

import audit
from accounts.models import User
from audit.actors import Actor
from audit.models import Event
from routing.engine.calibration import FEWEST_LABELS, Calibration, expected_error, fit
from routing.engine.sections import CONFIDENCE_SIGNALS
from routing.models import Backend, Route
from routing.services.policies import require
from screens.errors import Invalid, NotFound

Labelled = tuple[Decimal, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """A calibration with the error of what was said before and after it, on the same labels."""

    calibration: Calibration
    error_before: Decimal
    error_after: Decimal


def labels_from(rows: Iterable[dict[str, Any]], *, backend: str, signal: str) -> list[Labelled]:
    """Read labels: each row has ``good``, and ``raw`` or the ``decision`` that recorded it."""
    found: list[Labelled] = []
    wanted: dict[UUID, bool] = {}
    for number, row in enumerate(rows, 1):
        good = row.get("good")
        if not isinstance(good, bool):
            raise Invalid(f"Row {number}: good must be true or false.")
        try:
            if "raw" in row:
                found.append((_share(row["raw"]), good))
            else:
                wanted[UUID(str(row["decision"]))] = good
        except (KeyError, ValueError, InvalidOperation):
            raise Invalid(
                f"Row {number} has no raw value between 0 and 1 and no decision's id."
            ) from None
    return found + _recorded(wanted, backend, signal)


def _share(value: Any) -> Decimal:
    share = Decimal(str(value))
    if not 0 <= share <= 1:
        raise ValueError("not between 0 and 1")
    return share


def _recorded(wanted: dict[UUID, bool], backend: str, signal: str) -> list[Labelled]:
    found: list[Labelled] = []
    ends = Event.objects.filter(decision_id__in=list(wanted)).exclude(kind="decision.made")
    for event in ends:
        good = wanted[UUID(str(event.decision_id))]
        for attempt in event.entry["details"].get("attempts") or ():
            said = attempt.get("confidence") or {}
            if attempt["backend"] == backend and said.get("signal") == signal and said.get("raw"):
                found.append((Decimal(said["raw"]), good))
    return found


@transaction.atomic
def calibrate_backend(
    *,
    backend: Backend,
    signal: str,
    route: str,
    labelled: Sequence[Labelled],
    by: User,
    reason: str,
) -> Outcome:
    """Fit and keep the calibration of one signal on one route, in place of an earlier one.

    An empty route stands for every route without a calibration of its own.
    """
    require(by, "routing.operate")
    if not reason.strip():
        raise Invalid("Give a reason; it is kept in the audit trail.", code="reason_missing")
    if signal not in CONFIDENCE_SIGNALS:
        raise Invalid(f"A signal is one of {', '.join(CONFIDENCE_SIGNALS)}.")
    if route and not Route.objects.filter(slug=route).exists():
        raise NotFound("There is no such route.")
    if len(labelled) < FEWEST_LABELS or len({good for _, good in labelled}) < 2:
        raise Invalid(
            f"{len(labelled)} labels are too few: {FEWEST_LABELS} are needed, good and bad ones.",
            what_next="Label more recorded answers; until then the raw value is compared.",
        )
    calibration = fit(labelled)
    outcome = Outcome(
        calibration=calibration,
        error_before=expected_error(None, labelled),
        error_after=expected_error(calibration, labelled),
    )
    _keep(backend, signal, route, calibration)
    audit.record(
        "backend.calibrated",
        by=Actor.of(by),
        object_type="backend",
        object_id=backend.name,
        reason=reason.strip(),
        details={
            "signal": signal,
            "route": route,
            "labels": len(labelled),
            "error_before": format(outcome.error_before, "f"),
            "error_after": format(outcome.error_after, "f"),
        },
    )
    return outcome


def _keep(backend: Backend, signal: str, route: str, calibration: Calibration) -> None:
    locked = Backend.objects.select_for_update().get(pk=backend.pk)
    others = [
        one for one in locked.calibrations if (one["signal"], one["route"]) != (signal, route)
    ]
    fresh = {
        "signal": signal,
        "route": route,
        "labels": calibration.labels,
        "points": [[format(raw, "f"), format(good, "f")] for raw, good in calibration.points],
    }
    locked.calibrations = sorted([*others, fresh], key=lambda one: (one["signal"], one["route"]))
    locked.save(update_fields=["calibrations", "changed_at"])
