"""Builds the document that replicas run on: what the live API needs to decide, and no more."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import orjson
from django.db import connection, transaction
from django.utils import timezone

from accounts.models import ApiKey
from routing.models import (
    Backend,
    KillSwitch,
    PolicyVersion,
    Replica,
    Rollout,
    Route,
    SignOff,
    SnapshotRevision,
)
from routing.services import budgets
from routing.services.classifiers import artefacts_for

# For those that look every two seconds, on a connection of their own.
REVISION_SQL = "SELECT revision FROM routing_snapshotrevision LIMIT 1"


def _backend(backend: Backend, signoffs: dict[int, dict[str, int]]) -> dict[str, Any]:
    return {
        "name": backend.name,
        "tier": backend.tier,
        "boundary": backend.boundary,
        "region": backend.region,
        "state": backend.state,
        "base_url": backend.base_url,
        "upstream_model": backend.upstream_model,
        "secret_ref": backend.secret_reference,
        "data_classes": sorted(backend.data_classes),
        "capabilities": sorted(backend.capabilities),
        "context_window": backend.context_window,
        "max_output_tokens": backend.max_output_tokens,
        "max_in_flight": backend.max_in_flight,
        "price_in": str(backend.input_usd_per_mtok),
        "price_out": str(backend.output_usd_per_mtok),
        "price_version": backend.price_version,
        "calibrations": backend.calibrations,
        "signoffs": signoffs.get(backend.pk, {}),
    }


def _policy(version: PolicyVersion | None) -> dict[str, Any] | None:
    if version is None:
        return None
    return {"number": version.number, "digest": version.digest, "document": version.document}


def _rollout(rollout: Rollout | None) -> dict[str, Any] | None:
    """What a replica needs to send a share of the units to another version."""
    if rollout is None:
        return None
    return {
        "attempt": str(rollout.pk),
        "salt": rollout.salt,
        "share": rollout.share,
        "policy": _policy(rollout.version),
    }


def _route(
    route: Route, active: dict[int, PolicyVersion], rollouts: dict[int, Rollout]
) -> dict[str, Any]:
    return {
        "slug": route.slug,
        "name": route.name,
        "data_class": route.data_class,
        "capture": route.capture,
        "enabled": route.enabled,
        "rollout_pct": route.rollout_pct,
        "baseline": route.baseline.name if route.baseline else None,
        "created": int(route.created_at.timestamp()),
        "policy": _policy(active.get(route.pk)),
        "rollout": _rollout(rollouts.get(route.pk)),
    }


def _key(key: ApiKey, lines: dict[str, str]) -> dict[str, Any]:
    return {
        "sha256": bytes(key.secret_sha256).hex(),
        "public_id": key.public_id,
        "name": key.name,
        "owner": key.owner,
        "routes": sorted(key.routes),
        "default_route": key.default_route,
        "may_pin": key.may_pin,
        "boundary_ceiling": key.boundary_ceiling,
        "data_class_ceiling": key.data_class_ceiling,
        "requests_per_minute": key.requests_per_minute,
        "expires_s": int(key.expires_at.timestamp()) if key.expires_at else None,
        "line": lines.get(key.public_id, key.public_id),
    }


def digest_of(document: dict[str, Any]) -> str:
    """The digest that replicas acknowledge; ``revision`` and ``digest`` themselves are left out."""
    content = {
        name: value for name, value in document.items() if name not in {"revision", "digest"}
    }
    return (
        "sha256:" + hashlib.sha256(orjson.dumps(content, option=orjson.OPT_SORT_KEYS)).hexdigest()
    )


def build_document() -> dict[str, Any]:
    """Read one consistent state of the registry, routes, keys and switches, and its revision.

    Every table is read as of one moment, so that no replica ever holds half of a change.
    """
    is_outermost = not connection.in_atomic_block
    with transaction.atomic():
        if is_outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        return _read_document()


def _read_document() -> dict[str, Any]:
    revision = SnapshotRevision.objects.values_list("revision", flat=True).first() or 0
    signoffs: dict[int, dict[str, int]] = {}
    now = timezone.now()
    for signoff in SignOff.objects.filter(
        state=SignOff.State.GRANTED, valid_from__lte=now, valid_to__gt=now
    ):
        expiries = signoffs.setdefault(signoff.backend_id, {})
        ends = int(signoff.valid_to.timestamp())
        expiries[signoff.data_class] = max(ends, expiries.get(signoff.data_class, 0))
    active = {v.route_id: v for v in PolicyVersion.objects.filter(state=PolicyVersion.State.ACTIVE)}
    rollouts = {
        one.route_id: one
        for one in Rollout.objects.select_related("version").filter(state=Rollout.State.RUNNING)
    }
    carried = [*active.values(), *(one.version for one in rollouts.values())]
    switches = KillSwitch.objects.filter(released_at__isnull=True)
    firsts = budgets.lines()
    document = {
        "backends": [
            _backend(b, signoffs)
            for b in Backend.objects.exclude(state=Backend.State.DRAFT).order_by("name")
        ],
        "routes": [
            _route(r, active, rollouts)
            for r in Route.objects.select_related("baseline").order_by("slug")
        ],
        "keys": [
            _key(k, firsts)
            for k in ApiKey.objects.filter(revoked_at__isnull=True).order_by("public_id")
        ],
        "classifiers": artefacts_for(version.document for version in carried),
        "killed": sorted(f"{switch.scope}:{switch.target}" for switch in switches),
        "budgets": budgets.budgets_for_snapshot(),
    }
    return {**document, "revision": revision, "digest": digest_of(document)}


def current_revision() -> int:
    return SnapshotRevision.objects.values_list("revision", flat=True).first() or 0


def acknowledge(
    *, replica: str, revision: int, digest: str, started_at: Any, refused: str = ""
) -> None:
    """Say which digest this replica runs, and why it refuses a newer one if it does."""
    now = timezone.now()
    said = {"revision": revision, "digest": digest, "started_at": started_at, "refused": refused}
    Replica.objects.update_or_create(name=replica, defaults={**said, "seen_at": now})
    Replica.objects.filter(seen_at__lt=now - timedelta(minutes=10)).delete()


def leave(*, replica: str) -> None:
    """A replica that stops in order says so, and is not shown as silent."""
    Replica.objects.filter(name=replica).delete()
