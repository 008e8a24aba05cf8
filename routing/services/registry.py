"""Changes to the registry: backends, their states, and the switches that stop traffic at once."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

import audit
from accounts.models import User
from audit.actors import Actor
from routing.models import Backend, KillSwitch, PolicyVersion, Route
from routing.services import secrets, signoffs
from routing.services.policies import require
from screens.errors import Conflict, Invalid, NotFound

CAPABILITIES = ("tools", "images", "json", "stream", "logprobs", "embeddings")
FIELDS = (
    "description",
    "owner",
    "tier",
    "boundary",
    "region",
    "base_url",
    "upstream_model",
    "secret_ref",
    "data_classes",
    "capabilities",
    "context_window",
    "max_output_tokens",
    "max_in_flight",
    "input_usd_per_mtok",
    "output_usd_per_mtok",
    "processor",
    "processor_country",
    "processor_contract",
    "processor_contact",
    "processor_retention",
    "processor_subprocessors",
)
# What a sign-off is about: another address, place or company is another backend.
JUDGED = (
    "boundary",
    "region",
    "base_url",
    "processor",
    "processor_country",
    "processor_contract",
    "processor_retention",
    "processor_subprocessors",
)
_PRICES = ("input_usd_per_mtok", "output_usd_per_mtok")


class InUse(Conflict):
    """The backend is named by an active policy; the message says by which."""

    default_code = "backend_in_use"
    default_what_next = "Activate a version that does not name it, or use the kill switch."


def _facts(backend: Backend) -> dict[str, Any]:
    return {name: _plain(getattr(backend, name)) for name in FIELDS}


def _plain(value: Any) -> Any:
    if isinstance(value, (list, tuple)):
        return sorted(str(item) for item in value)
    return value if isinstance(value, (str, int)) else format(value.normalize(), "f")


def _validate(backend: Backend) -> None:
    unknown = set(backend.data_classes) - set(settings.DATA_CLASSES)
    if unknown or not backend.data_classes:
        raise Invalid(f"Choose at least one data class of {', '.join(settings.DATA_CLASSES)}.")
    if set(backend.capabilities) - set(CAPABILITIES):
        raise Invalid(f"A capability is one of {', '.join(CAPABILITIES)}.")
    if backend.secret_ref and backend.secret_ref.partition(":")[0] not in {"env", "file"}:
        raise Invalid(
            "A secret is named by reference: env:NAME or file:/path.",
            code="secret_by_reference",
            what_next="Put the secret into the environment or a file and name it here.",
        )
    if backend.secret_ref and backend.secret_sealed is not None:
        raise Invalid(
            "A stored secret and a reference exclude each other.",
            code="two_secrets",
            what_next="Remove the stored secret first.",
        )
    try:
        backend.full_clean()
    except ValidationError as problem:
        raise Invalid(
            "; ".join(f"{name}: {' '.join(m)}" for name, m in problem.message_dict.items())
        ) from None


@transaction.atomic
def register_backend(*, by: User, name: str, reason: str, **fields: Any) -> Backend:
    """Add a backend as a draft; it serves nothing until it is active."""
    require(by, "routing.operate")
    backend = Backend(name=name, **fields)
    _validate(backend)
    backend.save(force_insert=True)
    audit.record(
        "backend.registered",
        by=Actor.of(by),
        object_type="backend",
        object_id=name,
        reason=reason,
        after=_facts(backend),
    )
    return backend


@transaction.atomic
def change_backend(*, backend: Backend, by: User, reason: str, **fields: Any) -> Backend:
    """Change a backend's facts; a price change gets a new price version, so old costs stay true."""
    require(by, "routing.operate")
    locked = Backend.objects.select_for_update().get(pk=backend.pk)
    before = _facts(locked)
    for name, value in fields.items():
        if name not in FIELDS:
            raise Invalid(f"{name} cannot be changed.")
        setattr(locked, name, value)
    _validate(locked)
    after = _facts(locked)
    if before == after:
        return locked
    if any(before[name] != after[name] for name in _PRICES):
        locked.price_version += 1
    locked.save()
    audit.record(
        "backend.changed",
        by=Actor.of(by),
        object_type="backend",
        object_id=locked.name,
        reason=reason,
        before=before,
        after=after,
    )
    changed = [name for name in JUDGED if before[name] != after[name]]
    if changed:
        words = ", ".join(name.replace("_", " ") for name in changed)
        signoffs.void_signoffs(backend=locked, by=by, reason=words)
    if before["base_url"] != after["base_url"] and locked.secret_sealed is not None:
        # Otherwise whoever may change an address could have the secret sent to their own.
        locked = remove_secret(backend=locked, by=by, reason="The address of the backend changed.")
    return locked


@transaction.atomic
def store_secret(*, backend: Backend, secret: str, by: User, reason: str) -> Backend:
    """Keep a backend's secret encrypted, in place of what was there. It is never shown again."""
    require(by, "routing.operate")
    if not reason.strip():
        raise Invalid("Give a reason; it is kept in the audit trail.", code="reason_missing")
    given = secret.strip()
    if not given or not given.isascii() or not given.isprintable():
        raise Invalid("A secret is one line of printable characters.", code="secret_unusable")
    locked = Backend.objects.select_for_update().get(pk=backend.pk)
    before = locked.secret_fingerprint
    locked.secret_sealed = secrets.seal(given, backend=locked.name)
    locked.secret_fingerprint = secrets.fingerprint(given, backend=locked.name)
    locked.secret_set_at, locked.secret_ref = timezone.now(), ""
    locked.save()
    audit.record(
        "backend.secret_stored",
        by=Actor.of(by),
        object_type="backend",
        object_id=locked.name,
        reason=reason.strip(),
        before={"fingerprint": before},
        after={"fingerprint": locked.secret_fingerprint},
        details={"fingerprint": locked.secret_fingerprint, "is_rotation": bool(before)},
    )
    return locked


@transaction.atomic
def remove_secret(*, backend: Backend, by: User, reason: str) -> Backend:
    """Delete the stored secret; the backend is then asked without one, or by reference."""
    require(by, "routing.operate")
    if not reason.strip():
        raise Invalid("Give a reason; it is kept in the audit trail.", code="reason_missing")
    locked = Backend.objects.select_for_update().get(pk=backend.pk)
    if locked.secret_sealed is None:
        raise Conflict(f"{locked.name} has no stored secret.")
    before = locked.secret_fingerprint
    locked.secret_sealed, locked.secret_fingerprint, locked.secret_set_at = None, "", None
    locked.save()
    audit.record(
        "backend.secret_removed",
        by=Actor.of(by),
        object_type="backend",
        object_id=locked.name,
        reason=reason.strip(),
        before={"fingerprint": before},
        after={"fingerprint": ""},
    )
    return locked


def used_by(backend: Backend) -> list[PolicyVersion]:
    """The active versions whose document names this backend anywhere."""
    quoted = f'"{backend.name}"'
    active = PolicyVersion.objects.select_related("route").filter(state=PolicyVersion.State.ACTIVE)
    return [version for version in active if quoted in _text(version.document)]


def _text(document: Any) -> str:
    import json

    return json.dumps(document)


@transaction.atomic
def set_backend_state(*, backend: Backend, state: str, by: User, reason: str) -> Backend:
    """Move a backend between draft, active, draining and disabled."""
    require(by, "routing.operate")
    if not reason.strip():
        raise Invalid("Give a reason; it is kept in the audit trail.", code="reason_missing")
    if state not in Backend.State.values:
        raise Invalid("There is no such state.")
    if state == Backend.State.DISABLED and (users := used_by(backend)):
        raise InUse(f"{backend.name} is named by {', '.join(str(version) for version in users)}.")
    before = backend.state
    if Backend.objects.filter(pk=backend.pk, state=before).update(state=state) != 1:
        raise Conflict
    backend.refresh_from_db()
    audit.record(
        "backend.state_changed",
        by=Actor.of(by),
        object_type="backend",
        object_id=backend.name,
        reason=reason.strip(),
        before={"state": before},
        after={"state": state},
    )
    return backend


def _check_target(scope: str, target: str) -> None:
    if scope == KillSwitch.Scope.BACKEND and not Backend.objects.filter(name=target).exists():
        raise NotFound("There is no such backend.")
    if scope == KillSwitch.Scope.ROUTE and not Route.objects.filter(slug=target).exists():
        raise NotFound("There is no such route.")
    if scope == KillSwitch.Scope.PUBLIC and target:
        raise Invalid("This switch has no target.")


@transaction.atomic
def engage_switch(*, scope: str, target: str, by: User, reason: str) -> KillSwitch:
    """Stop traffic now: replicas follow within five seconds."""
    require(by, "routing.operate")
    if not reason.strip():
        raise Invalid("Give a reason; it is kept in the audit trail.", code="reason_missing")
    _check_target(scope, target)
    try:
        with transaction.atomic():
            switch = KillSwitch.objects.create(
                scope=scope, target=target, engaged_by=by, reason=reason.strip()
            )
    except IntegrityError:
        raise Conflict("This switch is already engaged.") from None
    audit.record(
        "kill_switch.engaged",
        by=Actor.of(by),
        object_type="kill_switch",
        object_id=f"{scope}:{target}",
        reason=reason.strip(),
    )
    return switch


@transaction.atomic
def release_switch(*, switch: KillSwitch, by: User, reason: str) -> KillSwitch:
    require(by, "routing.operate")
    if not reason.strip():
        raise Invalid("Give a reason; it is kept in the audit trail.", code="reason_missing")
    changed = KillSwitch.objects.filter(pk=switch.pk, released_at__isnull=True).update(
        released_at=timezone.now(), released_by=by
    )
    if changed != 1:
        raise Conflict("This switch has already been released.")
    audit.record(
        "kill_switch.released",
        by=Actor.of(by),
        object_type="kill_switch",
        object_id=f"{switch.scope}:{switch.target}",
        reason=reason.strip(),
    )
    switch.refresh_from_db()
    return switch
