from __future__ import annotations

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from audit.actors import SYSTEM
from routing.models import ClassifierTraining
from routing.services import classifiers
from routing.training.evalsets import read_evalset
from routing.training.train import Options, train

pytestmark = pytest.mark.django_db


@pytest.fixture
def started(monkeypatch):
    """The ids of the jobs that were handed to the worker."""
    ids = []
    monkeypatch.setattr("routing.views.classifiers.train_classifier.delay", ids.append)
    return ids


@pytest.fixture
def published(evalset):
    found = train(
        read_evalset(evalset.decode().splitlines()),
        Options(name="shop", ngrams="never", resamples=10, learning_curve=False),
    )
    return classifiers.publish_classifier(name="shop", trained=found, by=SYSTEM("test"))


def signed_in(people, who):
    client = Client()
    client.force_login(people[who])
    return client


def sent(client, content, **fields):
    file = SimpleUploadedFile("set.jsonl", content)
    asked = {"name": "shop", "ngrams": "never", "seed": "0", "file": file, **fields}
    return client.post("/classifiers/", asked)


def test_author_starts_a_training_by_a_form(people, evalset, started):
    answer = sent(signed_in(people, "arjun"), evalset)
    training = ClassifierTraining.objects.get()
    assert answer.status_code == 303 and answer["Location"] == training.get_absolute_url()
    assert started == [str(training.pk)]


def test_broken_set_is_told_beside_the_field(people, started):
    answer = sent(signed_in(people, "arjun"), b'{"id": 1}\n')
    assert answer.status_code == 422
    assert "row 1: prompt is missing" in answer.content.decode()
    assert started == []


def test_operator_sees_the_list_but_no_form(people, published):
    page = signed_in(people, "olivia").get("/classifiers/").content.decode()
    assert "shop@1" in page and "Start the training" not in page


def test_operator_who_sends_the_form_is_denied(people, evalset, started):
    assert sent(signed_in(people, "olivia"), evalset).status_code == 403
    assert started == []


def test_third_training_at_once_is_a_conflict(people, evalset, started):
    client = signed_in(people, "arjun")
    answers = [sent(client, evalset).status_code for _ in range(3)]
    assert answers == [303, 303, 409]


def test_page_says_the_verdict_and_shows_the_curve_as_a_table(people, published):
    page = signed_in(people, "ada").get(published.get_absolute_url()).content.decode()
    assert "300 are the least for enforcement" in page
    assert "<svg" in page and "The same figures as a table" in page
    assert "cannot be certified" in page


def test_prompt_is_scored_in_parts_and_not_kept_in_the_address(people, published):
    client = signed_in(people, "arjun")
    answer = client.post(published.get_absolute_url(), {"prompt": "Anna bought 9 lamps."})
    assert answer.status_code == 200
    assert "Anna bought 9 lamps." in answer.content.decode()
    empty = client.post(published.get_absolute_url(), {"prompt": ""})
    assert empty.status_code == 422


def test_prompt_without_words_has_no_score(people, published):
    answer = signed_in(people, "arjun").post(published.get_absolute_url(), {"prompt": "12 + 3"})
    assert "not the same as easy" in answer.content.decode()


def test_training_page_asks_again_until_it_has_ended(people, evalset, started):
    client = signed_in(people, "arjun")
    sent(client, evalset)
    training = ClassifierTraining.objects.get()
    fragment = client.get(training.get_absolute_url(), headers={"HX-Request": "true"})
    assert "every 1s" in fragment.content.decode() and "<html" not in fragment.content.decode()
    client.post(f"{training.get_absolute_url()}cancel/")
    assert "every 1s" not in client.get(training.get_absolute_url()).content.decode()


def test_artefact_can_be_downloaded(people, published):
    answer = signed_in(people, "ada").get(f"{published.get_absolute_url()}artefact.json")
    assert answer.json()["name"] == "shop"


def test_author_retires_a_version_with_a_reason(people, published):
    client = signed_in(people, "arjun")
    address = f"{published.get_absolute_url()}retire/"
    assert client.post(address, {"reason": ""}).status_code == 422
    assert client.post(address, {"reason": "A newer one is proved"}).status_code == 303
    page = client.get(published.get_absolute_url()).content.decode()
    assert "A newer one is proved" in page and "Retire this version" not in page
    assert client.post(address, {"reason": "Again"}).status_code == 409


def test_operator_is_offered_no_retirement(people, published):
    client = signed_in(people, "olivia")
    assert "Retire this version" not in client.get(published.get_absolute_url()).content.decode()
    address = f"{published.get_absolute_url()}retire/"
    assert client.post(address, {"reason": "No"}).status_code == 403


def test_draft_and_approved_version_say_what_blocks_activation(people, published, route):
    from routing.services import policies
    from tests.routing.classifiers.test_enforcement import scored_document

    document = scored_document(classifier="shop@1")
    draft = policies.start_draft(slug=route.slug, by=people["arjun"], document=document)
    page = signed_in(people, "arjun").get(draft.get_absolute_url()).content.decode()
    assert "blocks activation" in page and "trained for small-model and large-model" in page
    policies.submit_version(version=draft, by=people["arjun"], summary="By score")
    policies.judge_version(version=draft, by=people["petra"], verdict="approve", comment="Good.")
    client = signed_in(people, "olivia")
    assert "A finding blocks activation" in client.get(draft.get_absolute_url()).content.decode()
    answer = client.post(f"{draft.get_absolute_url()}activate/", {"reason": "Go"})
    assert answer.status_code == 409
    assert "Prove the classifier on this pair" in answer.content.decode()


def test_unknown_classifier_is_not_found(people):
    assert signed_in(people, "ada").get("/classifiers/nobody/1/").status_code == 404
