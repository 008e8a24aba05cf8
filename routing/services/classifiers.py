"""Publishes classifiers, and starts, stops and makes their trainings.

The arithmetic of training is imported only where it runs: a process that serves screens or the
live API never loads it.
"""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

import audit
from accounts.models import User
from audit import jobs
from audit.actors import SYSTEM, Actor
from routing.engine import classifier as engine
from routing.engine.first_weights import FIRST_CLASSIFIER
from routing.engine.wording import listed
from routing.models import Classifier, ClassifierTraining, PolicyVersion
from routing.models.classifiers import NAME
from routing.services.transitions import given_reason
from routing.training.evalsets import EvalSet, EvalSetError, read_evalset
from screens.access import may
from screens.errors import Conflict, Invalid, NotAllowed, NotFound

log = logging.getLogger(__name__)

State = ClassifierTraining.State
NGRAMS = ("never", "if_better", "always")
MOST_BYTES = 40 * 1024 * 1024
MOST_AT_ONCE = 2
LOST = (
    "The worker that ran it ended before the training did: it was stopped, or the machine ran out "
    "of memory. The eval set is gone with it. Send the set again; if this happens again, train on "
    "fewer prompts or without n-grams."
)
TOO_LONG = (
    "It ran for four hours without an end and was given up. Train on fewer prompts or without "
    "n-grams."
)
NOT_TAKEN = (
    "No worker took it within an hour. Ask an operator whether the worker process runs (the page "
    "System says so), then send the eval set again."
)


def check_name(name: str) -> None:
    try:
        NAME(name)
    except ValidationError as error:
        raise Invalid(f"A classifier's name has {error.message.lower()}") from None
    if len(name) > 60:
        raise Invalid("A classifier's name has at most 60 characters.")
    if name == FIRST_CLASSIFIER.name:
        raise Invalid(f"{name!r} is the name of the built-in classifier; choose another.")


def named(label: str) -> Classifier:
    """`name@version`, or a name for its newest version. Raises NotFound."""
    name, _, version = label.partition("@")
    found = Classifier.objects.filter(name=name, state=Classifier.State.READY)
    if version:
        found = Classifier.objects.filter(name=name, version=version if version.isdigit() else 0)
    newest = found.order_by("-version").first()
    if newest is None:
        raise NotFound(f"There is no classifier {label!r}.")
    return newest


def artefacts_for(documents: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The artefacts that these policy documents name, by their label; unknown ones are left out."""
    labels = {str(document["classifier"]) for document in documents if document.get("classifier")}
    names = {label.partition("@")[0] for label in labels}
    return {
        str(found): found.artefact
        for found in Classifier.objects.filter(name__in=names).order_by("name", "version")
        if str(found) in labels
    }


def scorer_of(label: str | None) -> engine.Classifier | None:
    """The classifier that a policy names, made ready; the first one where it names none.

    None where it names one that is not published: its score then counts as failed.
    """
    if not label:
        return FIRST_CLASSIFIER
    name, _, version = label.partition("@")
    digest = (
        Classifier.objects.filter(name=name, version=version)
        .values_list("digest", flat=True)
        .first()
        if version.isdigit()
        else None
    )
    return _loaded(digest) if digest else None


@lru_cache(maxsize=16)
def _loaded(digest: str) -> engine.Classifier:
    return engine.load(Classifier.objects.get(digest=digest).artefact)


@transaction.atomic
def publish_classifier(
    *, name: str, trained: Any, by: Actor, user: User | None = None
) -> Classifier:
    """Give what a training found the next version of its name. Raises Invalid for a broken one."""
    check_name(name)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", [f"classifier:{name}"])
    newest = Classifier.objects.filter(name=name).aggregate(at=Max("version"))["at"] or 0
    artefact = {**trained.artefact, "name": name, "version": newest + 1}
    card = {**trained.card, "name": name, "version": newest + 1}
    try:
        ready = engine.load(artefact)
    except engine.ArtefactError as error:
        raise Invalid(str(error)) from error
    found = Classifier.objects.create(
        name=name,
        version=newest + 1,
        digest=ready.digest,
        artefact=artefact,
        card=card,
        trained_groups=sorted(set(trained.groups)),
        created_by=by.name,
        by=user,
    )
    audit.record(
        "classifier.trained",
        by=by,
        object_type="classifier",
        object_id=str(found),
        details={
            "digest": found.digest,
            "data_digest": card["data_digest"],
            "rows": card["rows"],
            "pair": f"{card['pair']['small']} -> {card['pair']['large']}",
            "verdict": card["verdict"]["sentence"],
        },
    )
    return found


@transaction.atomic
def retire_classifier(*, classifier: Classifier, by: User, reason: str) -> Classifier:
    """Take a version out of use; it stays readable. Raises Conflict while a policy relies on it."""
    if not may(by, "routing.edit_policy"):
        raise NotAllowed
    said = given_reason(reason)
    # A version that names it cannot become active while this is held.
    locked = Classifier.objects.select_for_update().get(pk=classifier.pk)
    if locked.state == Classifier.State.RETIRED:
        raise Conflict(f"{locked} is retired already.", code="already_retired")
    if relying := relying_on(locked):
        named_by = listed([f"{one} ({one.get_state_display()})" for one in relying])
        raise Conflict(
            f"{locked} is named by {named_by}.",
            code="classifier_in_use",
            what_next="Replace an active version by one that names another classifier, and "
            "withdraw what is approved or scheduled; then retire it.",
        )
    Classifier.objects.filter(pk=locked.pk).update(
        state=Classifier.State.RETIRED,
        retired_by=Actor.of(by).name,
        retired_why=said[:500],
        retired_at=timezone.now(),
    )
    classifier.refresh_from_db()
    audit.record(
        "classifier.retired",
        by=Actor.of(by),
        object_type="classifier",
        object_id=str(classifier),
        reason=said,
        details={"digest": classifier.digest},
    )
    return classifier


def relying_on(classifier: Classifier) -> list[PolicyVersion]:
    """The versions that serve with this classifier, or would without another look at them."""
    return list(
        PolicyVersion.objects.filter(
            document__classifier=str(classifier),
            state__in=(
                PolicyVersion.State.ACTIVE,
                PolicyVersion.State.APPROVED,
                PolicyVersion.State.SCHEDULED,
            ),
        )
        .select_related("route")
        .order_by("route__slug", "-number")
    )


def read_set(lines: Iterable[str]) -> EvalSet:
    """Raises Invalid with the row-numbered complaints."""
    try:
        return read_evalset(lines)
    except EvalSetError as error:
        raise Invalid("; ".join(error.complaints)) from error


@transaction.atomic
def request_training(
    *, name: str, evalset: bytes, ngrams: str = "never", seed: int = 0, by: User
) -> ClassifierTraining:
    """Put a training on the list; a task makes it. Raises Invalid for a set that cannot be read."""
    if not may(by, "routing.edit_policy"):
        raise NotAllowed
    check_name(name)
    if ngrams not in NGRAMS:
        raise Invalid(f"N-grams are used {', '.join(NGRAMS)}.")
    if len(evalset) > MOST_BYTES:
        raise Invalid(f"The file has more than {MOST_BYTES // 2**20} MiB.")
    try:
        rows = len(read_set(evalset.decode("utf-8-sig").splitlines()).rows)
    except UnicodeDecodeError:
        raise Invalid("The file is not UTF-8 text.") from None
    fail_lost_trainings()
    waiting = ClassifierTraining.objects.filter(state__in=(State.QUEUED, State.RUNNING))
    if waiting.count() >= MOST_AT_ONCE:
        raise Conflict(
            f"{MOST_AT_ONCE} trainings are waiting or running already.",
            code="trainings_busy",
            what_next="Wait for one to end, or cancel it.",
        )
    training = ClassifierTraining.objects.create(
        name=name,
        options={"ngrams": ngrams, "seed": seed},
        evalset=zlib.compress(evalset),
        rows=rows,
        requested_by=Actor.of(by).name,
        by=by,
    )
    _record("classifier.training_requested", training, Actor.of(by), details={"rows": rows})
    return training


def _record(kind: str, training: ClassifierTraining, by: Actor, **more: Any) -> None:
    details = {"training": str(training.pk), **more.pop("details", {})}
    audit.record(
        kind, by=by, object_type="classifier", object_id=training.name, details=details, **more
    )


@transaction.atomic
def cancel_training(*, training: ClassifierTraining, by: User, reason: str = "") -> None:
    """Stop a training that has not ended; it looks between steps. Raises Conflict when it has."""
    if not may(by, "routing.edit_policy"):
        raise NotAllowed
    if not _end(training, State.CANCELLED):
        raise Conflict("This training has already ended.", code="already_ended")
    _record("classifier.training_cancelled", training, Actor.of(by), reason=reason.strip()[:300])


@transaction.atomic
def fail_training(*, training: ClassifierTraining, problem: str) -> None:
    if _end(training, State.FAILED, problem=problem[:500]):
        _record(
            "classifier.training_failed",
            training,
            SYSTEM("training"),
            reason=problem[:300],
            result="failed",
        )


def fail_lost_trainings(*, now: datetime | None = None) -> int:
    """End trainings whose worker is gone, that run too long, or that nobody took."""
    now = now or timezone.now()
    running = ClassifierTraining.objects.filter(state=State.RUNNING)
    waiting = ClassifierTraining.objects.filter(state=State.QUEUED)
    words = jobs.Words(lost=LOST, too_long=TOO_LONG, not_taken=NOT_TAKEN)
    failed = jobs.overdue(
        running.defer("evalset"),
        waiting.defer("evalset"),
        asked="created_at",
        words=words,
        now=now,
    )
    for training, problem in failed.items():
        fail_training(training=training, problem=problem)
    return len(failed)


def _end(training: ClassifierTraining, state: str, **fields: Any) -> bool:
    ended = ClassifierTraining.objects.filter(
        pk=training.pk, state__in=(State.QUEUED, State.RUNNING)
    ).update(state=state, finished_at=timezone.now(), evalset=b"", **fields)
    return bool(ended)


class _Cancelled(Exception):
    """Somebody stopped the training."""


def run_training(*, training_id: UUID) -> ClassifierTraining:
    """Make a training that waits. Safe to run twice: the second finds it taken or ended."""
    now = timezone.now()
    taken = ClassifierTraining.objects.filter(pk=training_id, state=State.QUEUED).update(
        state=State.RUNNING, started_at=now, seen_at=now
    )
    training = ClassifierTraining.objects.get(pk=training_id)
    if not taken:
        return training
    try:
        with jobs.signs_of_life(lambda: _still_running(training)):
            _train(training)
    except _Cancelled:
        log.info("A training was cancelled.")
    except (EvalSetError, Invalid) as problem:
        fail_training(training=training, problem=str(problem))
    except Exception:
        log.exception("A training broke off.")
        fail_training(training=training, problem="It broke off; the log says why.")
    training.refresh_from_db()
    return training


def _still_running(training: ClassifierTraining) -> None:
    ClassifierTraining.objects.filter(pk=training.pk, state=State.RUNNING).update(
        seen_at=timezone.now()
    )


def _train(training: ClassifierTraining) -> None:
    # Not at the top: see the module's first lines.
    from routing.training.train import Options, train

    def say(step: str, percent: int) -> None:
        running = ClassifierTraining.objects.filter(pk=training.pk, state=State.RUNNING)
        if not running.update(step=step[:120], percent=percent, seen_at=timezone.now()):
            raise _Cancelled

    lines = zlib.decompress(bytes(training.evalset)).decode("utf-8-sig").splitlines()
    trained = train(
        read_set(lines),
        Options(name=training.name, owner=training.requested_by, progress=say, **training.options),
    )
    by = Actor.of(training.by) if training.by else SYSTEM("training")
    with transaction.atomic():
        found = publish_classifier(name=training.name, trained=trained, by=by, user=training.by)
        if not _end(training, State.DONE, classifier=found, percent=100):
            raise _Cancelled
