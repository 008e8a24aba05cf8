from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from audit.models import Event
from routing.engine import gate
from routing.models import Promotion, Rollout
from routing.services.promotion import evidence, proposals
from routing.services.promotion.proposals import NotReady
from screens.errors import Conflict, Invalid, NotAllowed
from tests.engine.evidence_of import GOOD

pytestmark = pytest.mark.django_db
ROOT = Path(__file__).resolve().parents[3]


def test_without_evidence_nothing_is_proposed(candidate, people):
    with pytest.raises(NotReady, match="inconclusive"):
        proposals.propose_promotion(version=candidate, by=people["olivia"], reason="Now")
    assert not Promotion.objects.exists()


def test_a_worse_candidate_is_not_proposed(candidate, shadowed, waived, people):
    shadowed["counts"]["quality"] = {"worse": 270, "better": 120, "pairs": 3000}
    with pytest.raises(NotReady, match="Quality: fail"):
        proposals.propose_promotion(version=candidate, by=people["olivia"], reason="Now")


def test_the_evidence_is_frozen_in_the_ledger_to_the_byte(proposed):
    event = Event.objects.get(kind="promotion.proposed")
    details = json.loads(bytes(event.body))["details"]
    assert details["evidence"] == proposed.evidence
    assert details["evidence_digest"] == proposed.evidence_digest
    assert details["seed"] == GOOD["seed"]
    assert gate.verify(json.loads(proposed.evidence)) == []


def test_the_same_records_give_the_same_bytes(proposed, candidate):
    again, digest = evidence.freeze(evidence.gather(candidate))
    assert again == proposed.evidence
    assert digest == proposed.evidence_digest


def test_a_waiver_asks_for_two_approvals(proposed):
    assert proposed.approvals_needed == 2
    assert "waiver" in {reason["code"] for reason in proposed.reasons}


def test_two_people_approve_and_a_third_carries_out(rollout, proposed):
    proposed.refresh_from_db()
    assert proposed.state == Promotion.State.PROMOTED
    assert (rollout.share, rollout.state) == (1, Rollout.State.RUNNING)
    kinds = set(Event.objects.values_list("kind", flat=True))
    assert {"promotion.approved", "promotion.promoted", "rollout.started"} <= kinds


def test_one_of_two_approvals_is_not_enough(proposed, people):
    proposals.approve_promotion(promotion=proposed, by=people["petra"], comment="Good")
    with pytest.raises(Conflict, match="not approved"):
        proposals.promote(promotion=proposed, by=people["olivia"], reason="Go")


def test_an_approver_does_not_carry_out(proposed, people):
    for who in ("petra", "pavel"):
        proposals.approve_promotion(promotion=proposed, by=people[who], comment="Good")
    with pytest.raises(NotAllowed, match="does not carry it out"):
        proposals.promote(promotion=proposed, by=people["petra"], reason="Go")


def test_an_author_neither_approves_nor_promotes_as_superuser_either(proposed, people):
    arjun = people["arjun"]
    arjun.is_superuser = True
    arjun.save()
    with pytest.raises(NotAllowed, match="author"):
        proposals.approve_promotion(promotion=proposed, by=arjun, comment="Mine")
    with pytest.raises(NotAllowed, match="author"):
        proposals.promote(promotion=proposed, by=arjun, reason="Mine")
    with pytest.raises(NotAllowed, match="author"):
        proposals.waive_check(
            version=proposed.version,
            check="eval_set",
            until=timezone.now() + timedelta(days=1),
            by=arjun,
            reason="Mine",
        )
    assert Event.objects.filter(kind="access.denied").exists()


def test_the_database_refuses_an_author_too(proposed, people):
    for who in ("petra", "pavel"):
        proposals.approve_promotion(promotion=proposed, by=people[who], comment="Good")
    change = {"state": "promoted", "promoted_by": people["arjun"], "promoted_at": timezone.now()}
    with pytest.raises(IntegrityError, match="author"), transaction.atomic():
        Promotion.objects.filter(pk=proposed.pk).update(**change)
    with pytest.raises(IntegrityError, match="author"), transaction.atomic():
        proposed.approvals.create(
            by=people["arjun"], evidence_digest=proposed.evidence_digest, comment="Mine"
        )


def test_the_database_counts_the_approvals_and_keeps_the_evidence(proposed, people):
    change = {"state": "promoted", "promoted_by": people["olivia"], "promoted_at": timezone.now()}
    with pytest.raises(IntegrityError, match="approvals"), transaction.atomic():
        Promotion.objects.filter(pk=proposed.pk).update(**change)
    with pytest.raises(IntegrityError, match="does not change"), transaction.atomic():
        Promotion.objects.filter(pk=proposed.pk).update(evidence="{}")
    with pytest.raises(IntegrityError, match="never changed"), transaction.atomic():
        proposed.version.waivers.update(reason="Other")


def test_evidence_that_turned_bad_stops_the_promotion(proposed, shadowed, people):
    for who in ("petra", "pavel"):
        proposals.approve_promotion(promotion=proposed, by=people[who], comment="Good")
    shadowed["counts"]["unsafe"] = {"worse": 60, "better": 0, "pairs": 3000}
    with pytest.raises(NotReady, match="Unsafe"):
        proposals.promote(promotion=proposed, by=people["olivia"], reason="Go")
    assert not Rollout.objects.exists()


@pytest.mark.parametrize("check", ["boundary", "speed"])
def test_some_checks_are_never_waived(candidate, people, check):
    until = timezone.now() + timedelta(days=1)
    with pytest.raises(Invalid, match="cannot be waived"):
        proposals.waive_check(
            version=candidate, check=check, until=until, by=people["petra"], reason="x"
        )


def test_the_command_verifies_a_promotion_and_a_file(proposed, tmp_path, capsys):
    call_command("verify_evidence", str(proposed.pk))
    assert "pass         Quality" in capsys.readouterr().out
    kept = tmp_path / "evidence.json"
    kept.write_text(proposed.evidence)
    call_command("verify_evidence", str(kept))
    kept.write_text(proposed.evidence.replace('"worse":60', '"worse":400', 1))
    with pytest.raises(CommandError, match="does not hold"):
        call_command("verify_evidence", str(kept))


def test_a_file_is_verified_with_python_alone(proposed, tmp_path):
    kept = tmp_path / "evidence.json"
    kept.write_text(proposed.evidence)
    ran = subprocess.run(
        [sys.executable, "-S", "-m", "routing.verify_evidence", str(kept)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    assert proposed.evidence_digest in ran.stdout


def test_one_query_of_the_docs_gives_the_same_evidence(proposed):
    text = (ROOT / "docs" / "promotion.md").read_text()
    sql = re.search(r"```sql\n(.*?)```", text, re.DOTALL)[1]
    with connection.cursor() as cursor:
        cursor.execute(sql, {"promotion": proposed.pk})
        log_e, not_worse = cursor.fetchone()
    quality = next(
        check
        for check in json.loads(proposed.evidence)["judgement"]["checks"]
        if check["name"] == "quality"
    )
    assert log_e == pytest.approx(quality["figures"]["log_e_not_worse"], abs=1e-6)
    assert not_worse is True
