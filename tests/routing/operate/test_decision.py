"""The page of one decision: from the ledger, with its proof, its replay and its texts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.test import Client

from audit import payloads
from audit.models import Event
from audit.queries import events_of_decision
from routing.models import Decision, PolicyVersion
from routing.queries.decision import decision_page
from routing.services.replay import replay

pytestmark = pytest.mark.django_db
As = Callable[[str], Client]
Decide = Callable[..., UUID]


def details_of(decision_id: UUID) -> dict[str, Any]:
    made: dict[str, Any] = events_of_decision(decision_id)[0].entry["details"]
    return made


def test_page_stands_before_the_list_has_followed(as_person: As, decided: Decide) -> None:
    decision_id = decided()
    assert not Decision.objects.exists()
    page = as_person("ada").get(f"/decisions/{decision_id}/")
    assert page.status_code == 200
    assert "Short, familiar questions go to the small model" in page.content.decode()


def test_sentence_is_the_lead_of_the_page(as_person: As, decided: Decide) -> None:
    decision_id = decided()
    sentence = details_of(decision_id)["decision"]["sentence"]
    assert sentence in as_person("ada").get(f"/decisions/{decision_id}/").content.decode()


def test_a_rule_that_failed_shows_what_was_compared(decided: Decide) -> None:
    first = decision_page(decided()).rules[0]
    assert first["state"] == "no_match"
    assert first["values"] == "data class: internal. The rule asks: data class is restricted."


def test_a_number_is_compared_as_a_number(decided: Decide) -> None:
    second = decision_page(decided(gain="0.09")).rules[1]
    assert second["values"] == "gain: 0.09. The rule asks: gain is at most 0.04."


def test_default_is_shown_as_what_decided(decided: Decide) -> None:
    last = decision_page(decided(gain="0.09")).rules[-1]
    assert (last["name"], last["state"]) == ("default", "matched")


def test_every_backend_has_a_verdict_in_words(decided: Decide) -> None:
    found = {
        row["name"]: (row["verdict"], row["why"]) for row in decision_page(decided()).candidates
    }
    assert found["small"][0] == "chosen"
    assert set(found) == {"small", "large"}


def test_decision_without_its_end_is_in_progress(as_person: As, decided: Decide) -> None:
    page = as_person("ada").get(f"/decisions/{decided(ended=False)}/").content.decode()
    assert "in progress" in page


def test_personal_data_is_named_by_kind_only(decided: Decide) -> None:
    rows = {row.name: row.value for row in decision_page(decided()).signals}
    assert rows["personal_data"] == "email"


def test_unknown_decision_is_404(as_person: As) -> None:
    assert as_person("ada").get(f"/decisions/{uuid4()}/").status_code == 404


def test_page_takes_few_queries(
    as_person: As, decided: Decide, django_assert_max_num_queries: Any
) -> None:
    decision_id, browser = decided(), as_person("ada")
    with django_assert_max_num_queries(24):
        browser.get(f"/decisions/{decision_id}/")


# replay


@pytest.mark.parametrize(("data_class", "gain"), [("internal", "0.01"), ("restricted", "0.2")])
def test_recorded_facts_decide_the_same_again(decided: Decide, data_class: str, gain: str) -> None:
    again = replay(details=details_of(decided(data_class=data_class, gain=gain)))
    assert again.is_same
    assert again.caveats == ()


def test_replay_uses_the_registry_of_its_time(decided: Decide, registry: Any) -> None:
    decision_id = decided()
    registry["small"].delete()
    assert replay(details=details_of(decision_id)).is_same


def test_replay_notices_a_decision_that_was_another(decided: Decide) -> None:
    details = details_of(decided())
    details["decision"]["backend"] = "large"
    assert [item.name for item in replay(details=details).differences] == ["Backend"]


def test_replay_says_when_it_had_to_use_todays_registry(decided: Decide) -> None:
    details = details_of(decided())
    del details["backends"]
    assert "today's was used" in replay(details=details).caveats[0]


def test_replay_says_when_the_version_is_not_the_recorded_one(
    decided: Decide, active_version: PolicyVersion
) -> None:
    details = details_of(decided())
    details["policy_digest"] = "sha256:" + "0" * 64
    assert "does not have the digest" in replay(details=details).caveats[-1]


def test_replay_is_a_link_that_works_without_a_script(as_person: As, decided: Decide) -> None:
    page = as_person("ada").get(f"/decisions/{decided()}/?replay=own").content.decode()
    assert "same decision" in page


def test_replay_of_a_missing_version_is_said_on_the_page(as_person: As, decided: Decide) -> None:
    page = as_person("ada").get(f"/decisions/{decided()}/?replay=99")
    assert page.status_code == 200
    assert "There is no version support-triage@99" in page.content.decode()


# stored texts


@pytest.fixture
def kept(decided: Decide) -> tuple[UUID, UUID]:
    decision_id = decided()
    sealed = payloads.seal(
        b"<script>the text</script>",
        decision_id=decision_id,
        kind="request",
        key=payloads.payload_key(),
    )
    payloads.store(sealed)
    return decision_id, sealed.id


def test_text_is_shown_as_text_and_its_reading_recorded(
    as_person: As, kept: tuple[UUID, UUID]
) -> None:
    decision_id, payload_id = kept
    answer = as_person("noor").post(
        f"/decisions/{decision_id}/reveal/", {"payload": payload_id, "reason": "Complaint 81"}
    )
    assert b"&lt;script&gt;the text" in answer.content
    recorded = Event.objects.get(kind="payload.revealed")
    assert (recorded.actor, recorded.reason) == ("noor", "Complaint 81")


def test_text_without_a_reason_stays_closed(as_person: As, kept: tuple[UUID, UUID]) -> None:
    decision_id, payload_id = kept
    answer = as_person("noor").post(f"/decisions/{decision_id}/reveal/", {"payload": payload_id})
    assert answer.status_code == 422
    assert b"the text" not in answer.content
    assert not Event.objects.filter(kind="payload.revealed").exists()


def test_text_of_another_decision_cannot_be_read_through_this_one(
    as_person: As, kept: tuple[UUID, UUID], decided: Decide
) -> None:
    answer = as_person("noor").post(
        f"/decisions/{decided()}/reveal/", {"payload": kept[1], "reason": "Curious"}
    )
    assert answer.status_code == 404


@pytest.mark.parametrize("name", ["olivia", "ada", "arjun", "sam"])
def test_others_may_not_read_texts(as_person: As, kept: tuple[UUID, UUID], name: str) -> None:
    decision_id, payload_id = kept
    answer = as_person(name).post(
        f"/decisions/{decision_id}/reveal/", {"payload": payload_id, "reason": "Why not"}
    )
    assert answer.status_code == 403
    assert Event.objects.filter(kind="access.denied", actor=name).count() == 1
