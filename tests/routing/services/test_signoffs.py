"""Who may open a public backend, for what, and that the clock closes it again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, IntegrityError, transaction
from django.utils import timezone

from accounts.models import User
from audit.models import Event
from routing.engine.decide import compile_policy, decide, fallback, may_send
from routing.engine.document import parse_policy
from routing.engine.types import Facts
from routing.gateway.snapshot import compile_snapshot
from routing.models import Backend, Route, SignOff, SnapshotRevision
from routing.services import policies, registry, signoffs, snapshots
from routing.services.analysis import registry_facts
from screens.attention import needs_of
from screens.errors import Conflict, Invalid, NotAllowed
from tests.routing.conftest import backend_fields, policy_document

People = dict[str, Any]
PROCESSOR = {
    "processor": "Example Models Ltd",
    "processor_country": "Ireland",
    "processor_contract": "DPA-2026-014",
    "processor_contact": "privacy@models.example",
    "processor_retention": "not kept after the answer",
}


@pytest.fixture
def public(people: People) -> Backend:
    made = registry.register_backend(
        by=people["olivia"],
        name="public-large",
        reason="test",
        **backend_fields(tier="llm", boundary="public", region="eu-west", **PROCESSOR),
    )
    return registry.set_backend_state(
        backend=made, state="active", by=people["olivia"], reason="test"
    )


@pytest.fixture
def quinn(people: People) -> User:
    """A second approver."""
    from django.contrib.auth.models import Group

    person = User.objects.create_user(username="quinn", full_name="Quinn")
    person.groups.add(Group.objects.get(name="approver"))
    return person


Ask = Callable[..., SignOff]


@pytest.fixture
def ask(public: Backend, people: People) -> Ask:
    def asked(**changed: Any) -> SignOff:
        now = timezone.now()
        fields: dict[str, Any] = {
            "backend": public,
            "data_class": "internal",
            "purpose": "Support answers in English",
            "risk_reference": "RISK-2026-07",
            "conditions": "No customer names.",
            "valid_from": now,
            "valid_to": now + timedelta(days=90),
            "by": people["olivia"],
            **changed,
        }
        return signoffs.request_signoff(**fields)

    return asked


@pytest.fixture
def granted(ask: Ask, people: People, quinn: User) -> SignOff:
    first = signoffs.approve_signoff(signoff=ask(), by=people["petra"], reason="Assessed.")
    return signoffs.approve_signoff(signoff=first, by=quinn, reason="Agreed.")


def sent(data_class: str = "internal", at: datetime | None = None) -> str | None:
    """What the check of every dispatch says, on the snapshot that replicas would load now."""
    backend = compile_snapshot(snapshots.build_document()).backends["public-large"]
    moment = int((at or timezone.now()).timestamp())
    return may_send(backend.facts, data_class, moment, "public", frozenset())


def kinds() -> list[str]:
    found = Event.objects.filter(kind__startswith="signoff.").order_by("id")
    return list(found.values_list("kind", flat=True))


def test_a_public_backend_receives_nothing_without_a_sign_off(public: Backend) -> None:
    assert sent() == "not_signed_off"


def test_a_request_and_one_approval_open_nothing(ask: Ask, people: People) -> None:
    signoff = signoffs.approve_signoff(signoff=ask(), by=people["petra"], reason="Assessed.")

    assert signoff.state == "requested"
    assert sent() == "not_signed_off"


def test_two_approvers_open_the_backend_for_that_class_alone(granted: SignOff) -> None:
    assert sent("internal") is None
    assert sent("confidential") == "not_signed_off"
    assert kinds() == ["signoff.requested", "signoff.approved", "signoff.granted"]


def test_a_second_after_its_end_the_same_snapshot_blocks(granted: SignOff) -> None:
    before, after = granted.valid_to - timedelta(seconds=1), granted.valid_to + timedelta(seconds=1)
    backend = compile_snapshot(snapshots.build_document()).backends["public-large"].facts

    def checked(at: datetime) -> str | None:
        return may_send(backend, "internal", int(at.timestamp()), "public", frozenset())

    assert checked(before) is None
    assert checked(after) == "sign_off_expired"


def test_the_screens_call_it_expired_in_the_second_in_which_dispatch_does(
    granted: SignOff,
) -> None:
    assert granted.standing(granted.valid_to - timedelta(seconds=1)) == "valid"
    assert granted.standing(granted.valid_to) == "expired"


def test_who_asks_may_not_approve_not_even_as_superuser(ask: Ask, people: People) -> None:
    signoff = ask()
    people["olivia"].is_superuser = True
    people["olivia"].save()

    with pytest.raises(signoffs.SamePerson):
        signoffs.approve_signoff(signoff=signoff, by=people["olivia"], reason="Mine.")

    denial = Event.objects.get(kind="access.denied")
    assert denial.object_id == str(signoff.pk)
    signoff.refresh_from_db()
    assert signoff.first_approver is None


def test_one_superuser_is_not_two_approvers(ask: Ask, people: People) -> None:
    root = User.objects.create_superuser(username="root", password="x" * 14)
    signoff = signoffs.approve_signoff(signoff=ask(), by=root, reason="First.")

    with pytest.raises(signoffs.SamePerson):
        signoffs.approve_signoff(signoff=signoff, by=root, reason="Second.")

    assert sent() == "not_signed_off"


def test_the_database_refuses_the_requester_as_approver(ask: Ask, people: People) -> None:
    signoff = ask()

    with pytest.raises(IntegrityError), transaction.atomic():
        SignOff.objects.filter(pk=signoff.pk).update(first_approver=people["olivia"])


def test_the_database_keeps_what_was_agreed(granted: SignOff) -> None:
    with pytest.raises(DatabaseError), transaction.atomic():
        SignOff.objects.filter(pk=granted.pk).update(valid_to=granted.valid_to + timedelta(days=1))
    with pytest.raises(DatabaseError), transaction.atomic():
        SignOff.objects.filter(pk=granted.pk).update(state="requested")
    with pytest.raises(DatabaseError), transaction.atomic():
        granted.delete()


def test_a_role_without_the_permission_neither_asks_nor_approves(ask: Ask, people: People) -> None:
    with pytest.raises(NotAllowed):
        ask(by=people["ada"])
    with pytest.raises(NotAllowed):
        signoffs.approve_signoff(signoff=ask(), by=people["arjun"], reason="x")


def test_revoking_closes_at_once_and_keeps_the_reason(granted: SignOff, people: People) -> None:
    signoffs.revoke_signoff(signoff=granted, by=people["petra"], reason="Contract ended.")

    assert sent() == "not_signed_off"
    granted.refresh_from_db()
    assert (granted.state, granted.end_reason) == ("revoked", "Contract ended.")
    with pytest.raises(Conflict):
        signoffs.revoke_signoff(signoff=granted, by=people["petra"], reason="Again.")


def test_a_refused_request_cannot_be_approved(ask: Ask, people: People, quinn: User) -> None:
    signoff = signoffs.refuse_signoff(signoff=ask(), by=quinn, reason="Too broad.")

    with pytest.raises(signoffs.WrongState):
        signoffs.approve_signoff(signoff=signoff, by=people["petra"], reason="Fine.")


@pytest.mark.parametrize(
    "changed",
    [
        {"data_class": "secret"},
        {"purpose": " "},
        {"risk_reference": ""},
        {"valid_to": timezone.now() - timedelta(days=1)},
        {"valid_to": timezone.now() + timedelta(days=800)},
    ],
)
def test_a_request_that_says_too_little_is_refused(ask: Ask, changed: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        ask(**changed)


def test_a_private_backend_needs_none_and_an_unknown_company_gets_none(
    ask: Ask, public: Backend, backends: dict[str, Backend]
) -> None:
    with pytest.raises(Invalid):
        ask(backend=backends["large"])
    Backend.objects.filter(pk=public.pk).update(processor_contract="")

    with pytest.raises(Invalid, match="the contract"):
        ask()


def test_another_address_ends_what_was_agreed_about_the_old_one(
    granted: SignOff, public: Backend, people: People
) -> None:
    registry.change_backend(
        backend=public, by=people["olivia"], reason="move", base_url="https://elsewhere.example/v1"
    )

    granted.refresh_from_db()
    assert granted.state == "revoked"
    assert "base url" in granted.end_reason
    assert sent() == "not_signed_off"


def test_the_expiry_is_recorded_once(granted: SignOff, monkeypatch: pytest.MonkeyPatch) -> None:
    later = granted.valid_to + timedelta(minutes=5)
    monkeypatch.setattr(signoffs.timezone, "now", lambda: later)

    assert signoffs.record_clock() == 1
    assert signoffs.record_clock() == 0
    assert kinds().count("signoff.expired") == 1


def test_a_later_beginning_reaches_the_replicas_when_it_comes(
    ask: Ask, people: People, quinn: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    begins = timezone.now() + timedelta(days=3)
    first = signoffs.approve_signoff(
        signoff=ask(valid_from=begins, valid_to=begins + timedelta(days=30)),
        by=people["petra"],
        reason="Assessed.",
    )
    signoffs.approve_signoff(signoff=first, by=quinn, reason="Agreed.")
    assert sent() == "not_signed_off"
    revision = SnapshotRevision.objects.get().revision
    monkeypatch.setattr(signoffs.timezone, "now", lambda: begins + timedelta(seconds=1))

    assert signoffs.record_clock() == 1

    assert SnapshotRevision.objects.get().revision > revision
    assert sent() is None


@pytest.mark.parametrize(
    ("days", "tone", "words"),
    [(29, "accent", "29 days"), (13, "warn", "13 days"), (6, "bad", "6 days")],
)
def test_an_end_in_sight_asks_for_attention_at_30_14_and_7_days(
    granted: SignOff,
    people: People,
    monkeypatch: pytest.MonkeyPatch,
    days: int,
    tone: str,
    words: str,
) -> None:
    from routing.queries import signoffs as queries

    at = granted.valid_to - timedelta(days=days, hours=1)
    monkeypatch.setattr(queries.timezone, "now", lambda: at)

    said = [need for need in needs_of(people["olivia"]) if "public-large" in need.sentence]

    assert [need.tone for need in said] == [tone]
    assert words in said[0].sentence


def test_longer_than_30_days_before_its_end_nobody_is_asked(
    granted: SignOff, people: People
) -> None:
    said = needs_of(people["olivia"])

    assert not [need for need in said if "ends in" in need.sentence]


# a fallback that could take restricted data outside


def document(**changed: Any) -> dict[str, Any]:
    return policy_document(
        rules=[
            {
                "id": "anything",
                "name": "Anything goes outside",
                "when": {"all": [{"turns": {"gte": 0}}]},
                "then": {"route": {"tier": "llm", "targets": ["public-large"]}},
            }
        ],
        fallbacks={"failure": {"public-large": ["public-other"]}},
        **changed,
    )


@pytest.fixture
def two_public(
    ask: Ask, route: Route, public: Backend, people: People, quinn: User
) -> dict[str, Backend]:
    """Both are signed off for everything, but the second not for restricted data."""
    other = registry.register_backend(
        by=people["olivia"],
        name="public-other",
        reason="test",
        **backend_fields(tier="llm", boundary="public", **PROCESSOR),
    )
    registry.set_backend_state(backend=other, state="active", by=people["olivia"], reason="test")
    for backend, classes in (
        (public, ["internal", "confidential", "restricted"]),
        (other, ["internal", "confidential"]),
    ):
        for name in classes:
            first = signoffs.approve_signoff(
                signoff=ask(backend=backend, data_class=name), by=people["petra"], reason="Yes."
            )
            signoffs.approve_signoff(signoff=first, by=quinn, reason="Yes.")
    return {"public-large": public, "public-other": other}


def test_a_fallback_that_could_take_restricted_data_outside_is_refused_with_a_real_witness(
    two_public: dict[str, Backend], people: People
) -> None:
    version = policies.start_draft(slug="support", by=people["arjun"], document=document())

    with pytest.raises(policies.NotAPolicy) as refused:
        policies.submit_version(version=version, by=people["arjun"], summary="Outside")

    found = next(f for f in refused.value.findings if f.code == "public_not_allowed")
    assert found.path == "fallbacks.failure.public-large"
    assert found.witness is not None
    assert found.witness["data_class"] == "restricted"
    # The witness, simulated: it is decided by that rule, and after a failure that hop is next.
    compiled = compile_policy(parse_policy(version.document), number=1, digest=version.digest)
    facts = Facts(
        signals=found.witness,
        data_class="restricted",
        now_s=int(timezone.now().timestamp()),
        boundary_ceiling="public",
    )
    known = registry_facts()
    decided = decide(compiled, facts, known)
    assert (decided.rule, decided.backend) == ("anything", "public-large")
    hop = {"failed": "public-large", "tried": ("public-large",), "kind": "failure"}
    signed = replace(known["public-other"], signoffs={"restricted": facts.now_s + 60})
    opened = {**known, "public-other": signed}
    assert fallback(compiled, facts, opened, **hop) == "public-other"
    # As things stand the engine would not send it either.
    assert fallback(compiled, facts, known, **hop) is None


def test_the_same_policy_is_accepted_once_both_are_signed_off(
    two_public: dict[str, Backend], ask: Ask, people: People, quinn: User
) -> None:
    first = signoffs.approve_signoff(
        signoff=ask(backend=two_public["public-other"], data_class="restricted"),
        by=people["petra"],
        reason="Yes.",
    )
    signoffs.approve_signoff(signoff=first, by=quinn, reason="Yes.")
    version = policies.start_draft(slug="support", by=people["arjun"], document=document())

    policies.submit_version(version=version, by=people["arjun"], summary="Outside")

    assert version.state == "in_review"


def test_a_private_answer_never_falls_back_outside(
    two_public: dict[str, Backend], people: People
) -> None:
    outside = policy_document(fallbacks={"failure": {"large": ["public-large"]}})
    version = policies.start_draft(slug="support", by=people["arjun"], document=outside)

    with pytest.raises(policies.NotAPolicy) as refused:
        policies.submit_version(version=version, by=people["arjun"], summary="Outside")

    assert [f.code for f in refused.value.findings] == ["wider_boundary"]
    assert refused.value.findings[0].witness is not None
