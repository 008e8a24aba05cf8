"""A score decides only where it is proved: nothing else may become active."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.db import DatabaseError, connection, transaction

from audit.actors import SYSTEM
from routing.engine.first_weights import FIRST_ARTEFACT
from routing.models import Backend, ClassifierProof
from routing.services import classifiers, enforcement, policies, proofs, schedule
from routing.services.measuring import Measured
from routing.services.simulation import Request, simulate
from routing.training.evalsets import EvalSet
from screens.errors import Conflict, Invalid, NotAllowed
from tests.routing.conftest import policy_document

pytestmark = pytest.mark.django_db


def publish(*, small="small-model", large="large-model", rows=800, low=0.61, name="shop"):
    """A published classifier whose card says this; training itself is tested elsewhere."""
    pair = {"small": small, "large": large}
    card = {
        "pair": pair,
        "rows": rows,
        "data_digest": "sha256:0",
        "metrics": {"apgr": {"value": 0.66, "low": low, "high": 0.7}},
        "verdict": {"enforceable": low > 0.5, "sentence": "So it is."},
    }
    trained = SimpleNamespace(artefact={**FIRST_ARTEFACT, "pair": pair}, card=card, groups=["a"])
    return classifiers.publish_classifier(name=name, trained=trained, by=SYSTEM("test"))


def prove(label="shop@1", *, small="small", large="large", rows=600, low=0.58, on_seen=False):
    evalset = EvalSet(rows=(), small_model=small, large_model=large, digest="sha256:1")
    measured = Measured(
        rows=rows,
        seen=0,
        without_words=0,
        unfamiliar=0,
        values={"apgr": 0.63},
        intervals={"apgr": SimpleNamespace(low=low, high=0.7)},
        on_seen=on_seen,
    )
    return proofs.record_proof(
        subject=proofs.subject_of(label), evalset=evalset, measured=measured, by=SYSTEM("test")
    )


def scored_document(**changed):
    rule = {
        "id": "narrow-work",
        "name": "Familiar questions",
        "when": {"all": [{"gain": {"lte": 0.04}}, {"unfamiliar": {"eq": False}}]},
        "then": {"route": {"tier": "slm", "targets": ["small"]}},
    }
    return policy_document(rules=[rule], **changed)


@pytest.fixture
def approved(route, people):
    """Makes an approved version; whatever is missing of a proof does not stop it so far."""

    def make(**changed):
        document = scored_document(classifier="shop@1", **changed)
        version = policies.start_draft(slug=route.slug, by=people["arjun"], document=document)
        policies.submit_version(version=version, by=people["arjun"], summary="By score")
        policies.judge_version(
            version=version, by=people["petra"], verdict="approve", comment="Good."
        )
        return version

    return make


def activate(version, people):
    return policies.activate_version(version=version, by=people["olivia"], reason="Go")


def codes_of(version):
    return [one.code for one in policies.check(version) if one.blocks_activation]


def rename_models(small, large):
    Backend.objects.filter(name="small").update(upstream_model=small)
    Backend.objects.filter(name="large").update(upstream_model=large)


def test_classifier_proved_on_the_models_of_the_backends_may_decide(approved, people):
    publish(small="Small/Model-1B", large="large-8x")
    rename_models("small/model-1b", "large-8x")
    assert activate(approved(), people).state == "active"


def test_classifier_of_another_pair_is_refused_at_activation_only(approved, people):
    publish(small="another", large="pair")
    version = approved()
    assert codes_of(version) == ["classifier_pair"]
    with pytest.raises(enforcement.NotProved, match="trained for another and pair") as refused:
        activate(version, people)
    assert refused.value.code == "classifier_pair" and "shadow" in refused.value.what_next
    version.refresh_from_db()
    assert version.state == "approved"


def test_measurement_on_the_pair_lifts_the_refusal(approved, people):
    publish(small="another", large="pair")
    version = approved()
    prove()
    assert activate(version, people).state == "active"


def test_measurement_on_half_of_the_pair_lifts_nothing(approved, people):
    publish(small="another", large="pair")
    version = approved()
    prove(large="pair")
    with pytest.raises(enforcement.NotProved):
        activate(version, people)


def test_the_newest_measurement_decides_also_when_it_is_bad_news(approved, people):
    publish(small="small", large="large")
    version = approved()
    prove(low=0.58)
    prove(low=0.47)
    assert codes_of(version) == ["classifier_unproved"]
    with pytest.raises(enforcement.NotProved, match="0.470"):
        activate(version, people)


def test_few_prompts_do_not_overrule_many(approved, people):
    publish(small="small", large="large")
    version = approved()
    prove(low=0.1, rows=20)
    assert codes_of(version) == []


@pytest.mark.parametrize(
    ("card", "said"),
    [
        ({"low": 0.5}, "a coin has 0.500"),
        ({"rows": 299}, "299 labelled prompts of the 300"),
        ({"rows": 420}, "420 other prompts of the 500"),
    ],
)
def test_what_is_not_enforceable_is_refused_and_says_why(approved, people, card, said):
    publish(small="small", large="large", **card)
    with pytest.raises(enforcement.NotProved, match=said):
        activate(approved(), people)


def test_five_hundred_others_prove_what_was_trained_on_fewer(approved, people):
    publish(small="small", large="large", rows=420)
    version = approved()
    prove(rows=500)
    assert activate(version, people).state == "active"


def test_classifier_that_is_not_published_is_refused(approved, people):
    assert codes_of(approved()) == ["classifier_missing"]


def test_schedule_is_refused_like_an_activation(approved, people):
    from datetime import timedelta

    from django.utils import timezone

    publish(small="another", large="pair")
    with pytest.raises(enforcement.NotProved):
        schedule.schedule_version(
            version=approved(),
            at=timezone.now() + timedelta(hours=1),
            by=people["olivia"],
            reason="Tonight",
        )


def test_version_that_may_not_become_active_can_be_simulated(approved):
    publish(small="another", large="pair")
    found = simulate(
        version=approved(), request=Request(prompt="Where is my order?", data_class="internal")
    )
    assert found.decision.trace.classifier == "shop@1"


def test_rules_that_test_no_score_need_no_proof(route, people):
    publish(small="another", large="pair")
    document = policy_document(classifier="shop@1")
    version = policies.start_draft(slug=route.slug, by=people["arjun"], document=document)
    assert codes_of(version) == []


def first_draft(route, people):
    return policies.start_draft(slug=route.slug, by=people["arjun"], document=scored_document())


def test_the_first_classifier_is_a_warning_outside_production(route, people):
    found = {one.code: one for one in policies.check(first_draft(route, people))}
    assert not found["first_classifier"].blocks_activation
    assert "set by hand" in found["first_classifier"].message


def test_the_first_classifier_may_not_decide_in_production(route, people, settings):
    settings.FIRST_CLASSIFIER_MAY_ENFORCE = False
    draft = first_draft(route, people)
    assert codes_of(draft) == ["first_classifier"]
    prove("first")
    assert codes_of(draft) == []


def test_a_set_that_it_was_trained_on_proves_nothing():
    publish()
    with pytest.raises(Invalid, match="prove nothing"):
        prove(on_seen=True)
    assert not ClassifierProof.objects.exists()


def test_proof_is_recorded_with_its_verdict():
    publish()
    prove(low=0.4)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT convert_from(body, 'UTF8')::jsonb #>> '{details,verdict}' FROM audit.event"
            " WHERE kind = 'classifier.measured' ORDER BY id DESC LIMIT 1"
        )
        assert cursor.fetchone()[0].startswith("not enforceable: the lower 95 % bound")


def test_proof_does_not_change():
    publish()
    proof = prove()
    with pytest.raises(DatabaseError), transaction.atomic():
        ClassifierProof.objects.filter(pk=proof.pk).update(low=0.9)


def retire(found, person, reason="Its pair is gone"):
    return classifiers.retire_classifier(classifier=found, by=person, reason=reason)


def test_retired_classifier_keeps_its_reason_and_is_recorded(people):
    found = retire(publish(), people["arjun"])
    assert found.state == "retired" and found.retired_why == "Its pair is gone"
    with connection.cursor() as cursor:
        cursor.execute("SELECT kind, object_id FROM audit.event ORDER BY id DESC LIMIT 1")
        assert cursor.fetchone() == ("classifier.retired", "shop@1")
    with pytest.raises(Conflict, match="already"):
        retire(found, people["arjun"])


def test_retiring_needs_a_reason_and_the_role(people):
    found = publish()
    with pytest.raises(Invalid):
        retire(found, people["arjun"], " ")
    with pytest.raises(NotAllowed):
        retire(found, people["rui"])


def test_classifier_that_a_policy_relies_on_is_not_retired(approved, people):
    found = publish(small="small", large="large")
    version = approved()
    with pytest.raises(Conflict, match=r"support@1 \(approved\)"):
        retire(found, people["arjun"])
    activate(version, people)
    with pytest.raises(Conflict, match=r"support@1 \(active\)"):
        retire(found, people["arjun"])


def test_draft_that_names_a_retired_classifier_stops_before_activation(route, people):
    found = publish(small="small", large="large")
    document = scored_document(classifier="shop@1")
    draft = policies.start_draft(slug=route.slug, by=people["arjun"], document=document)
    retire(found, people["arjun"])
    assert codes_of(draft) == ["classifier_retired"]


def test_nobody_goes_back_to_a_retired_classifier(approved, people, route):
    found = publish(small="small", large="large")
    activate(approved(), people)
    plain = policies.start_draft(slug=route.slug, by=people["arjun"], document=policy_document())
    policies.submit_version(version=plain, by=people["arjun"], summary="By rules")
    for approver in ("petra", "pavel"):
        if plain.state == "in_review":
            policies.judge_version(
                version=plain, by=people[approver], verdict="approve", comment="Good."
            )
    activate(plain, people)
    retire(found, people["arjun"])
    with pytest.raises(enforcement.NotProved, match="retired"):
        policies.roll_back(slug=route.slug, to_number=1, by=people["olivia"], reason="Back")
