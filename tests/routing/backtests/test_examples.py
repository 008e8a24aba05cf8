"""Saved examples keep no text of a real request; a test copied from one holds what came out."""

from __future__ import annotations

import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from audit.actors import SYSTEM
from audit.models import Event
from routing.engine.first_weights import FIRST_ARTEFACT
from routing.models import PolicyVersion, SavedExample
from routing.services import classifiers, examples, policies
from routing.services.simulation import Request
from screens.errors import Conflict, Invalid, NotAllowed

pytestmark = pytest.mark.django_db
People = dict[str, Any]
ASKED = Request(prompt="Where is the parcel of Mira Holt?", data_class="internal", client="desk")


def saved(version: PolicyVersion, person: Any, **changed: Any) -> SavedExample:
    asked: dict[str, Any] = {"name": "Parcel", "request": ASKED, "is_invented": False, **changed}
    return examples.save_example(version=version, by=person, **asked)


def url(name: str, version: PolicyVersion, *more: Any) -> str:
    return reverse(name, args=[version.route.slug, version.number, *more])


def test_the_text_is_kept_only_when_it_is_invented(
    active_version: PolicyVersion, people: People
) -> None:
    real = saved(active_version, people["arjun"])
    assert real.prompt == ""
    assert "Mira" not in json.dumps([real.signals, real.request])
    assert real.signals["prompt_tokens"] > 3
    invented = saved(active_version, people["arjun"], name="Invented", is_invented=True)
    assert invented.prompt == ASKED.prompt
    recorded = Event.objects.filter(kind="example.saved").order_by("id").first()
    assert recorded.entry["details"] == {"route": "support", "text_kept": False}


def test_an_example_without_text_decides_by_its_signals(
    active_version: PolicyVersion, people: People
) -> None:
    example = saved(active_version, people["arjun"])
    result = examples.simulate_example(version=active_version, example=example)
    assert result.decision.rule == "narrow-work"
    example.signals["prompt_tokens"] = 5000
    result = examples.simulate_example(version=active_version, example=example)
    assert result.decision.rule == "default"


def test_an_example_is_scored_by_the_classifier_that_the_version_names(
    active_version: PolicyVersion, people: People
) -> None:
    artefact = {**FIRST_ARTEFACT, "intercept": {"gain": 0.5, "score": 0.0}}
    card = {
        "pair": {"small": "a", "large": "b"},
        "rows": 800,
        "data_digest": "sha256:0",
        "verdict": {"sentence": "Good."},
    }
    trained = SimpleNamespace(artefact=artefact, card=card, groups=[])
    classifiers.publish_classifier(name="shop", trained=trained, by=SYSTEM("test"))
    draft = policies.start_draft(slug=active_version.route.slug, by=people["arjun"])
    document = {**draft.document, "classifier": "shop@1"}
    policies.edit_draft(
        version=draft, document=document, revision=draft.revision, by=people["arjun"]
    )
    draft.refresh_from_db()
    by_first = saved(active_version, people["arjun"])
    by_shop = saved(draft, people["arjun"], name="By shop")
    assert by_shop.classifier == "shop@1" and by_first.classifier == "first@1"
    gained = [Decimal(one.signals["gain"]) for one in (by_shop, by_first)]
    assert gained[0] - gained[1] == Decimal("0.48")
    again = examples.simulate_example(version=draft, example=by_shop)
    assert again.decision.trace.signals["gain"] == gained[0]
    # The other classifier's gain is on another scale: it is left out, not borrowed.
    borrowed = examples.simulate_example(version=draft, example=by_first)
    assert "gain" not in borrowed.decision.trace.signals


def test_names_are_given_and_unique_and_only_authors_save(
    active_version: PolicyVersion, people: People
) -> None:
    saved(active_version, people["arjun"])
    with pytest.raises(Conflict):
        saved(active_version, people["arjun"])
    with pytest.raises(Invalid):
        saved(active_version, people["arjun"], name=" ")
    with pytest.raises(NotAllowed):
        saved(active_version, people["petra"], name="Other")


def test_a_test_is_copied_into_the_draft_and_passes(
    draft: PolicyVersion, people: People, active_version: PolicyVersion
) -> None:
    given = {"data_class": "internal", "prompt_tokens": 12}
    changed = examples.copy_as_test(
        version=active_version, name="Short", given=given, by=people["arjun"]
    )
    assert changed.pk == draft.pk
    assert changed.document["tests"] == [
        {
            "name": "Short",
            "given": given,
            "expect": {"rule": "narrow-work", "outcome": "route", "tier": "slm"},
        }
    ]
    assert not [found for found in policies.check(changed) if found.blocking]


def test_signals_that_the_policy_does_not_know_make_no_test(
    draft: PolicyVersion, people: People
) -> None:
    with pytest.raises(Invalid):
        examples.copy_as_test(version=draft, name="x", given={"mood": 1}, by=people["arjun"])


def test_an_author_simulates_saves_opens_and_copies_without_a_script(
    draft: PolicyVersion, people: People, client: Client
) -> None:
    client.force_login(people["arjun"])
    fields = {"prompt": ASKED.prompt, "data_class": "internal", "client": "desk"}
    page = client.post(url("simulate-version", draft), fields).content.decode()
    assert "Copy as test case" in page
    assert "Save as example" in page
    answer = client.post(url("save-example", draft), {**fields, "name": "Parcel"})
    assert answer.status_code == 303
    example = SavedExample.objects.get()
    assert example.prompt == ""
    page = client.post(url("simulate-version", draft), {"saved": str(example.pk)}).content.decode()
    assert "only its signals were kept" in page
    assert "narrow-work" in page
    given = json.dumps({"data_class": "internal", "prompt_tokens": 9})
    answer = client.post(url("copy-test", draft), {"name": "Parcel", "given": given})
    assert answer.status_code == 303
    draft.refresh_from_db()
    assert draft.document["tests"][0]["name"] == "Parcel"
    assert client.post(url("remove-example", draft, example.pk)).status_code == 303
    assert not SavedExample.objects.exists()


def test_a_forged_test_is_refused(draft: PolicyVersion, people: People, client: Client) -> None:
    client.force_login(people["arjun"])
    for given in ("[]", "{", '{"mood": 3}'):
        answer = client.post(url("copy-test", draft), {"name": "x", "given": given})
        assert answer.status_code == 422


def test_who_may_not_edit_sees_no_way_to_keep_anything(
    draft: PolicyVersion, people: People, client: Client
) -> None:
    client.force_login(people["petra"])
    fields = {"prompt": "Hello", "data_class": "internal"}
    page = client.post(url("simulate-version", draft), fields).content.decode()
    assert "Copy as test case" not in page
    assert client.post(url("save-example", draft), {**fields, "name": "x"}).status_code == 403
