"""Drift is told from decisions in the ledger, by a real trace and real scores."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.utils import timezone

from audit import sealing
from audit.actors import SYSTEM
from audit.ids import uuid7
from routing.queries.drift import drift_of
from routing.services import classifiers, policies
from routing.services.simulation import Request, simulate
from routing.training.evalsets import read_evalset
from routing.training.train import Options, train
from tests.routing.classifiers.conftest import a_row
from tests.routing.conftest import policy_document

pytestmark = pytest.mark.django_db


@pytest.fixture
def published(evalset):
    found = train(
        read_evalset(evalset.decode().splitlines()),
        Options(name="shop", ngrams="never", resamples=10, learning_curve=False),
    )
    return classifiers.publish_classifier(name="shop", trained=found, by=SYSTEM("test"))


@pytest.fixture
def active(published, route, people):
    """It names the classifier and no rule tests the score: the classifier runs along."""
    document = policy_document(classifier="shop@1")
    version = policies.start_draft(slug=route.slug, by=people["arjun"], document=document)
    policies.submit_version(version=version, by=people["arjun"], summary="First policy")
    policies.judge_version(version=version, by=people["petra"], verdict="approve", comment="Good.")
    return policies.activate_version(version=version, by=people["olivia"], reason="Go")


def decide(version, prompts, classifier=None):
    """Each prompt as a decision in the ledger, with the trace that the engine gives it."""
    writer = sealing.Writer("test.example/log", name="test")
    events = []
    for prompt in prompts:
        found = simulate(version=version, request=Request(prompt=prompt, data_class="internal"))
        decision = found.decision.as_json()
        decision["trace"]["classifier"] = classifier or decision["trace"]["classifier"]
        decision_id = uuid7()
        made = writer.seal(
            "decision.made",
            actor=SYSTEM("router"),
            object=("route", version.route.slug),
            event_id=decision_id,
            decision_id=decision_id,
            details={"route": "support", "decision": sealing.NoFloats(decision)},
        )
        events.append(made)
    with connection.cursor() as cursor:
        cursor.execute(sealing.BATCH_SQL, sealing.batch_parameters(events))


def familiar(count):
    return [a_row(number % 160)["prompt"] for number in range(count)]


def test_requests_like_the_training_prompts_are_steady(published, active):
    decide(active, familiar(220))
    found = drift_of(published)
    assert (found.verdict, found.requests, found.prompts) == ("steady", 220, 160)
    assert found.routes == ("support",) and found.what_next == "Nothing to do."


def test_other_requests_have_shifted_and_the_page_says_what_to_do(published, active, people):
    decide(active, ["Wie kündige ich meinen Vertrag, und bis wann muss ich das tun?"] * 210)
    found = drift_of(published)
    assert found.verdict == "shifted"
    assert {"Gain", "Language"} <= {
        one.words for one in found.quantities if one.verdict == "shifted"
    }
    client = Client()
    client.force_login(people["ada"])
    page = client.get(published.get_absolute_url()).content.decode()
    assert "Label at least 500 requests of late" in page and "210 requests" in page


def test_few_requests_get_their_number_and_no_verdict(published, active):
    decide(active, familiar(12))
    found = drift_of(published)
    assert (found.verdict, found.requests) == ("not enough requests", 12)


def test_only_decisions_that_it_scored_in_the_last_days_count(published, active):
    decide(active, familiar(5), classifier="first@1")
    decide(active, familiar(3))
    assert drift_of(published).requests == 3
    assert drift_of(published, now=timezone.now() + timedelta(days=8)).requests == 0


def test_without_an_active_policy_there_is_nothing_to_compare(published):
    found = drift_of(published)
    assert found.requests == 0 and "No active policy names it" in found.what_next


def test_artefact_of_an_older_release_says_that_it_kept_nothing(published, active):
    decide(active, familiar(3))
    published.artefact.pop("reference")
    found = drift_of(published)
    assert found.verdict == "not kept" and "Train a new version" in found.what_next
    assert found.quantities == ()
