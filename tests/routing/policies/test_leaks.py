"""A policy that could take data outside is refused, with a request that can be followed out."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from audit.models import Event
from routing.models import Backend, PolicyVersion
from routing.queries.policies import shown_findings
from routing.services import leaks, policies, registry
from routing.services.interchange import to_yaml
from tests.routing.conftest import backend_fields, policy_document

People = dict[str, Any]
RESTRICTED = {
    "id": "restricted-inside",
    "name": "Restricted inside",
    "when": {"all": [{"data_class": {"in": ["restricted"]}}]},
    "then": {"route": {"tier": "llm", "targets": ["large"]}},
}
LIST = {"failure": {"large": ["outside"]}}


@pytest.fixture
def outside(people: People) -> Backend:
    made = registry.register_backend(
        by=people["olivia"],
        name="outside",
        reason="test",
        **backend_fields(
            tier="llm", boundary="public", data_classes=["public"], context_window=64_000
        ),
    )
    return registry.set_backend_state(
        backend=made, state="active", by=people["olivia"], reason="test"
    )


@pytest.fixture
def leaking(active_version: PolicyVersion, outside: Backend, people: People) -> PolicyVersion:
    document = policy_document(fallbacks=LIST)
    document["rules"].insert(0, RESTRICTED)
    return policies.start_draft(slug="support", by=people["arjun"], document=document)


def test_submission_is_refused_and_nothing_is_frozen(
    leaking: PolicyVersion, people: People
) -> None:
    with pytest.raises(policies.NotAPolicy) as refused:
        policies.submit_version(version=leaking, by=people["arjun"], summary="A cloud fallback")
    assert "outside" in refused.value.message
    leaking.refresh_from_db()
    assert leaking.state == "draft"
    assert not Event.objects.filter(kind="policy.submitted", object_id=str(leaking)).exists()


def test_every_boundary_finding_links_to_the_simulation_of_its_witness(
    leaking: PolicyVersion, author: Client
) -> None:
    page = author.get(leaking.get_absolute_url()).content.decode()
    shown = [one for one in shown_findings(leaking, editing=True) if one.finding.scenario]
    assert {one.rule_id or one.finding.path for one in shown} >= {"fallbacks.failure.large"}
    for one in shown:
        assert f'href="{one.simulate_url}"' in page
        followed = author.get(one.simulate_url).content.decode()
        assert "As the policy reads" in followed
        assert "A fallback never leaves the private boundary of the first choice" in followed


def test_the_witness_carries_restricted_data_out_of_the_list_and_is_stopped_in_live_traffic(
    leaking: PolicyVersion,
) -> None:
    finding = policies.check(leaking)[0]
    found = leaks.leak_of(version=leaking, key=leaks.key_of(finding))
    assert found is not None
    same, leak = found
    assert same == finding
    assert finding.witness == {"data_class": "restricted"}
    assert leak.listed.names == ("large", "outside")
    assert leak.listed.decision.rule == "restricted-inside"
    assert leak.live.names == ("large",)
    assert "outside may not receive restricted data." in leak.stops


def test_a_switch_that_stops_the_request_is_part_of_the_second_reading(
    leaking: PolicyVersion, people: People
) -> None:
    registry.engage_switch(scope="public", target="", by=people["olivia"], reason="Incident")
    _, leak = leaks.leak_of(version=leaking, key=leaks.key_of(policies.check(leaking)[0])) or (
        None,
        None,
    )
    assert leak is not None
    assert leak.listed.names == ("large", "outside")
    assert "outside is switched off." in leak.stops


def test_a_finding_that_was_mended_says_so(leaking: PolicyVersion, author: Client) -> None:
    url = next(one.simulate_url for one in shown_findings(leaking, editing=True))
    document = {**leaking.document, "fallbacks": {"failure": {"large": ["small"]}}}
    mended = policies.edit_draft(
        version=leaking, document=document, revision=leaking.revision, by=leaking.author
    )
    assert [one for one in policies.check(mended) if one.blocking] == []
    answer = author.get(url)
    assert answer.status_code == 200
    assert "This finding does not stand any more" in answer.content.decode()
    submitted = policies.submit_version(version=mended, by=mended.author, summary="Mended")
    assert submitted.state == "in_review"


def test_a_warning_about_a_private_backend_can_be_followed_too(
    active_version: PolicyVersion, people: People, author: Client, backends: dict[str, Backend]
) -> None:
    registry.change_backend(
        backend=backends["large"], by=people["olivia"], reason="test", data_classes=["public"]
    )
    draft = policies.start_draft(slug="support", by=people["arjun"])
    shown = next(
        one for one in shown_findings(draft, editing=True) if one.finding.code == "data_class"
    )
    page = author.get(shown.simulate_url).content.decode()
    assert "arrives outside" not in page
    assert "large may not receive" in page


def ended(*asked: str) -> tuple[int, str]:
    out = io.StringIO()
    try:
        call_command("policy", *asked, stdout=out)
    except SystemExit as stop:
        return int(stop.code or 0), out.getvalue()
    except CommandError as problem:
        return problem.returncode, str(problem)
    return 0, out.getvalue()


def test_lint_prints_the_witness_and_its_way_and_import_refuses_the_document(
    leaking: PolicyVersion, tmp_path: Path
) -> None:
    file = tmp_path / "leaking.yaml"
    file.write_text(to_yaml(leaking.document))
    code, words = ended("lint", str(file))
    assert code == 1
    assert "[for instance data_class=restricted]" in words
    assert "as the policy reads: large (private) -> outside (public)" in words
    assert "in live traffic: large (private); A fallback never leaves" in words
    _, text = ended("lint", str(file), "--json")
    way = json.loads(text)["findings"][0]["way"]
    assert [step["backend"] for step in way["as_listed"]] == ["large", "outside"]
    before = PolicyVersion.objects.count()
    code, words = ended("import", str(file), "--by", "arjun")
    assert code == 1
    assert PolicyVersion.objects.count() == before
    assert PolicyVersion.objects.get(pk=leaking.pk).digest == leaking.digest


def test_a_key_that_names_no_finding_is_an_answer_and_no_error(
    leaking: PolicyVersion, author: Client
) -> None:
    place = [leaking.route.slug, leaking.number]
    answer = author.get(reverse("leak", args=[*place, "0000"]))
    assert answer.status_code == 200
    assert "does not stand any more" in answer.content.decode()
