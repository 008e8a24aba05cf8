from __future__ import annotations

import threading
from datetime import timedelta
from queue import Queue

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from audit import jobs
from audit.actors import SYSTEM
from routing.engine.first_weights import FIRST_CLASSIFIER
from routing.gateway.snapshot import compile_snapshot
from routing.models import Classifier, ClassifierTraining
from routing.services import classifiers, snapshots
from routing.training.evalsets import read_evalset
from routing.training.train import Options, train
from screens.errors import Conflict, Invalid, NotAllowed

pytestmark = pytest.mark.django_db
State = ClassifierTraining.State


def kinds_recorded():
    with connection.cursor() as cursor:
        cursor.execute("SELECT kind FROM audit.event ORDER BY id")
        return [kind for (kind,) in cursor.fetchall()]


@pytest.fixture
def published(evalset):
    found = train(
        read_evalset(evalset.decode().splitlines()),
        Options(name="shop", ngrams="never", resamples=10, learning_curve=False),
    )
    return classifiers.publish_classifier(name="shop", trained=found, by=SYSTEM("test"))


@pytest.fixture
def training(evalset, people):
    return classifiers.request_training(name="shop", evalset=evalset, by=people["arjun"])


def test_job_trains_publishes_and_forgets_the_prompts(training):
    ended = classifiers.run_training(training_id=training.pk)
    assert ended.state == State.DONE and ended.percent == 100
    assert str(ended.classifier) == "shop@1" and ended.classifier.by == training.by
    assert bytes(ended.evalset) == b""
    assert kinds_recorded()[-2:] == ["classifier.training_requested", "classifier.trained"]


def test_job_that_runs_twice_publishes_once(training):
    classifiers.run_training(training_id=training.pk)
    classifiers.run_training(training_id=training.pk)
    assert Classifier.objects.count() == 1


def test_cancelled_job_publishes_nothing(training, people):
    classifiers.cancel_training(training=training, by=people["arjun"])
    assert classifiers.run_training(training_id=training.pk).state == State.CANCELLED
    assert not Classifier.objects.exists()
    assert kinds_recorded()[-1] == "classifier.training_cancelled"
    with pytest.raises(Conflict):
        classifiers.cancel_training(training=training, by=people["arjun"])


def test_job_on_too_few_prompts_fails_with_its_reason(rows, people):
    from tests.routing.classifiers.conftest import as_lines

    few = classifiers.request_training(name="few", evalset=as_lines(rows[:20]), by=people["arjun"])
    ended = classifiers.run_training(training_id=few.pk)
    assert ended.state == State.FAILED and "training needs 60" in ended.problem


def test_training_whose_worker_died_ends_with_what_to_do_next(training):
    now = timezone.now()
    ClassifierTraining.objects.filter(pk=training.pk).update(
        state=State.RUNNING, started_at=now, seen_at=now - jobs.LOST_AFTER - timedelta(seconds=1)
    )
    assert classifiers.fail_lost_trainings(now=now) == 1
    training.refresh_from_db()
    assert training.state == State.FAILED and "Send the set again" in training.problem
    assert bytes(training.evalset) == b"" and training.finished_at is not None
    assert kinds_recorded()[-1] == "classifier.training_failed"
    assert classifiers.fail_lost_trainings(now=now) == 0


@pytest.mark.parametrize(
    ("state", "ages", "said"),
    [
        (State.RUNNING, {"started_at": jobs.MOST_RUNNING}, "ran for four hours"),
        (State.QUEUED, {"created_at": jobs.MOST_WAITING}, "No worker took it"),
    ],
)
def test_no_training_waits_or_runs_for_ever(training, state, ages, said):
    now = timezone.now()
    ClassifierTraining.objects.filter(pk=training.pk).update(
        state=state,
        seen_at=now,
        **{name: now - age - timedelta(seconds=1) for name, age in ages.items()},
    )
    classifiers.fail_lost_trainings(now=now)
    training.refresh_from_db()
    assert training.state == State.FAILED and said in training.problem


def test_training_that_shows_life_is_left_alone(training):
    now = timezone.now()
    ClassifierTraining.objects.filter(pk=training.pk).update(
        state=State.RUNNING, started_at=now, seen_at=now
    )
    assert classifiers.fail_lost_trainings(now=now + jobs.LOST_AFTER / 2) == 0


def test_signs_of_life_go_on_through_a_long_step_and_stop_with_it():
    beats = Queue()
    with jobs.signs_of_life(lambda: beats.put(1), every_s=0.01):
        beats.get(timeout=5)
        beats.get(timeout=5)
    assert "signs-of-life" not in {thread.name for thread in threading.enumerate()}


def test_the_name_of_the_built_in_classifier_is_taken(evalset, people):
    with pytest.raises(Invalid, match="built-in"):
        classifiers.request_training(name="first", evalset=evalset, by=people["arjun"])


def test_only_authors_may_train(evalset, people):
    with pytest.raises(NotAllowed):
        classifiers.request_training(name="shop", evalset=evalset, by=people["olivia"])


def test_two_trainings_at_once_are_enough(training, evalset, people):
    classifiers.request_training(name="shop", evalset=evalset, by=people["arjun"])
    with pytest.raises(Conflict):
        classifiers.request_training(name="shop", evalset=evalset, by=people["arjun"])


def test_unreadable_set_is_refused_before_a_job_begins(people):
    with pytest.raises(Invalid, match="row 1"):
        classifiers.request_training(name="shop", evalset=b"{}\n", by=people["arjun"])


@pytest.mark.parametrize("change", [{"card": {}}, {"digest": "sha256:0"}, {"artefact": {}}])
def test_published_classifier_does_not_change(published, change):
    with pytest.raises(DatabaseError), transaction.atomic():
        Classifier.objects.filter(pk=published.pk).update(**change)


def test_published_classifier_survives_the_database(published):
    published.refresh_from_db()
    assert classifiers.scorer_of("shop@1").digest == published.digest


def compiled(active_version, label):
    """The snapshot that replicas would run on if the active policy named this classifier."""
    document = snapshots.build_document()
    policy = document["routes"][0]["policy"]["document"]
    policy["classifier"] = label
    document["classifiers"] = classifiers.artefacts_for([policy])
    return compile_snapshot(document).routes["support"]


def test_policy_is_scored_by_the_classifier_that_it_names(published, active_version):
    assert compiled(active_version, "shop@1").scorer.digest == published.digest


def test_policy_that_names_none_is_scored_by_the_first(active_version):
    route = compile_snapshot(snapshots.build_document()).routes["support"]
    assert route.scorer is FIRST_CLASSIFIER


def test_classifier_that_is_not_published_counts_as_failed(published, active_version):
    assert compiled(active_version, "shop@9").scorer is None
    assert classifiers.scorer_of("shop@9") is None
