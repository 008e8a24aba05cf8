"""The attacks of an administrator with every guard off. Each is named by audit_fsck."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from audit import anchors, fsck, keys
from audit.merkle import Frontier
from audit.models import Checkpoint, Leaf
from audit.notes import Checkpoint as SignedHead
from audit.notes import Signer
from tests.audit.conftest import Ledger

FORGED = "'{\"forged\":1}'::bytea"
AT = "(SELECT event_id FROM audit.leaf WHERE seq = {})"


def broken(ledger: Ledger) -> str:
    result = fsck.check()
    assert not result.is_ok
    return result.sentence


def test_an_honest_ledger_is_ok(filled: Ledger) -> None:
    out = StringIO()

    call_command("audit_fsck", stdout=out)

    lines = out.getvalue().splitlines()
    assert lines[-1] == "ok"
    counted = {line.split()[0]: line.split()[1] for line in lines[:-1]}
    assert counted["accepted"] == counted["decisions"] == counted["terminal"] == "6"


def test_events_that_wait_are_no_fault(filled: Ledger) -> None:
    filled.decisions(1)

    result = fsck.check()

    assert (result.is_ok, result.pending) == (True, 2)


def test_a_changed_body_is_named(filled: Ledger) -> None:
    filled.attack(
        f"UPDATE audit.event SET body = {FORGED}, leaf = sha256('\\x00'::bytea || {FORGED})"
        f" WHERE id = {AT.format(5)}"
    )

    assert broken(filled).startswith("the content of entry 5 was changed")


def test_a_changed_body_with_new_hashes_is_between_two_checkpoints(filled: Ledger) -> None:
    filled.attack(
        "ALTER TABLE audit.event DROP CONSTRAINT event_leaf_is_hash_of_body",
        "UPDATE audit.event SET actor = CASE actor WHEN 'web shop' THEN 'web shoq' ELSE actor END,"
        " body = convert_to(replace(convert_from(body, 'UTF8'), 'web shop', 'web shoq'), 'UTF8')"
        f" WHERE id IN ({AT.format(8)}, {AT.format(9)}, {AT.format(10)})",
        "UPDATE audit.event SET leaf = sha256('\\x00'::bytea || body)",
        "UPDATE audit.leaf l SET leaf = e.leaf FROM audit.event e WHERE e.id = l.event_id",
    )

    assert broken(filled).startswith("one of the entries 8 to 13 was changed")


def test_a_changed_search_column_is_named(filled: Ledger) -> None:
    filled.attack(f"UPDATE audit.event SET actor = 'someone' WHERE id = {AT.format(6)}")

    assert broken(filled).startswith("the column actor of entry 6")


def test_a_deleted_event_is_named(filled: Ledger) -> None:
    filled.attack(f"DELETE FROM audit.event WHERE id = {AT.format(7)}")

    assert broken(filled).startswith("the event of entry 7 was deleted")


def test_a_deleted_leaf_is_named(filled: Ledger) -> None:
    filled.attack("DELETE FROM audit.leaf WHERE seq = 3")

    assert broken(filled) == "entry 3 is missing from the tree"


def test_deleting_and_renumbering_is_noticed(filled: Ledger) -> None:
    filled.attack(
        f"DELETE FROM audit.event WHERE id = {AT.format(9)}",
        "DELETE FROM audit.leaf WHERE seq = 9",
        "UPDATE audit.leaf SET seq = seq + 1000 WHERE seq > 9",
        "UPDATE audit.leaf SET seq = seq - 1001 WHERE seq > 1000",
    )

    assert "13 is missing" in broken(filled) or "8 to" in broken(filled)


def test_two_swapped_entries_are_noticed(filled: Ledger) -> None:
    filled.attack(
        "UPDATE audit.leaf SET seq = 1000 WHERE seq = 2",
        "UPDATE audit.leaf SET seq = 2 WHERE seq = 3",
        "UPDATE audit.leaf SET seq = 3 WHERE seq = 1000",
    )

    assert broken(filled).startswith(
        "one of the entries 0 to 5 was changed, removed, added or moved"
    )


def test_an_inserted_entry_is_noticed(filled: Ledger) -> None:
    foreign = filled.made()
    filled.store(foreign, filled.ended(foreign))
    filled.attack(
        "UPDATE audit.leaf SET seq = seq + 1000 WHERE seq >= 6",
        f"INSERT INTO audit.leaf SELECT 6, id, leaf FROM audit.event WHERE id = '{foreign.id}'",
        "UPDATE audit.leaf SET seq = seq - 999 WHERE seq > 1000",
        f"DELETE FROM audit.pending WHERE event_id = '{foreign.id}'",
    )

    assert broken(filled).startswith(
        "one of the entries 6 to 7 was changed, removed, added or moved"
    )


def test_suppression_before_sequencing_leaves_a_hole(filled: Ledger) -> None:
    first, second = filled.made(), filled.made()
    filled.store(first, filled.ended(first), second, filled.ended(second))
    filled.attack(
        f"DELETE FROM audit.pending WHERE event_id = '{first.id}'",
        f"DELETE FROM audit.event WHERE id = '{first.id}'",
    )

    sentences = [finding.sentence for finding in fsck.check().findings]
    assert any("event 13 of writer gateway" in sentence for sentence in sentences)
    assert any("belongs to no decision" in sentence for sentence in sentences)


def test_an_event_kept_from_the_tree_is_named(filled: Ledger) -> None:
    made = filled.made()
    filled.store(made, filled.ended(made))
    filled.attack(f"DELETE FROM audit.pending WHERE event_id = '{made.id}'")

    assert f"the event {made.id}" in broken(filled)


def roll_back(ledger: Ledger) -> None:
    ledger.attack(
        "DELETE FROM audit.event WHERE id IN (SELECT event_id FROM audit.leaf WHERE seq >= 8)",
        "DELETE FROM audit.leaf WHERE seq >= 8",
        "DELETE FROM audit.checkpoint WHERE size > 8",
    )


def test_a_clean_rollback_shows_only_against_an_anchor(filled: Ledger, settings: Any) -> None:
    anchor = Checkpoint.objects.latest("size").note
    roll_back(filled)
    assert fsck.check().is_ok

    anchors.append(Path(settings.AUDIT_ANCHOR_FILE), anchor)

    assert "it was rolled back" in broken(filled)


def resign(ledger: Ledger, signer: Signer) -> None:
    """Rewrite an entry and sign the whole new history, as with a stolen key."""
    ledger.attack(
        "UPDATE audit.event SET reason = 'harmless', body = convert_to(replace("
        "convert_from(body, 'UTF8'), 'prices of the new contract', 'harmless'), 'UTF8'),"
        " leaf = sha256('\\x00'::bytea || convert_to(replace("
        "convert_from(body, 'UTF8'), 'prices of the new contract', 'harmless'), 'UTF8'))"
        " WHERE kind = 'backend.changed'",
        "UPDATE audit.leaf l SET leaf = e.leaf FROM audit.event e WHERE e.id = l.event_id",
    )
    leaves = [bytes(leaf.leaf) for leaf in Leaf.objects.order_by("seq")]
    with ledger.connect() as owner:
        for checkpoint in Checkpoint.objects.all():
            frontier = Frontier()
            for leaf in leaves[: checkpoint.size]:
                frontier.append(leaf)
            head = SignedHead(
                origin=signer.verifier.name, size=frontier.size, root=frontier.root(),
                at=checkpoint.at,
            )  # fmt: skip
            owner.execute(
                "UPDATE audit.checkpoint SET root = %s, frontier = %s, note = %s WHERE size = %s",
                (head.root, frontier.to_bytes(), signer.sign(head.text()), head.size),
            )


def test_resigning_with_the_stolen_key_shows_only_against_an_anchor(
    filled: Ledger, settings: Any
) -> None:
    anchor = Checkpoint.objects.latest("size").note
    resign(filled, keys.signer())
    assert fsck.check().is_ok

    anchors.append(Path(settings.AUDIT_ANCHOR_FILE), anchor)

    assert "of the checkpoint held outside of 14 entries" in broken(filled)


def test_resigning_with_another_key_is_noticed_by_the_key(filled: Ledger) -> None:
    resign(filled, Signer("test.example/ledger", bytes(32)))

    assert "not signed by the given key" in broken(filled)


def test_an_overdue_decision_without_outcome_is_named(ledger: Ledger) -> None:
    made = ledger.made(deadline_at="2026-01-01T00:00:00.000000Z")
    ledger.store(made)
    ledger.sequence()

    assert broken(ledger).startswith(f"the decision {made.id} has no outcome")


def test_a_decision_inside_its_deadline_is_open(ledger: Ledger) -> None:
    ledger.store(ledger.made())
    ledger.sequence()

    result = fsck.check()

    assert (result.is_ok, result.open, result.accepted) == (True, 1, 1)


def test_fsck_ends_with_1_and_says_why(filled: Ledger) -> None:
    filled.attack("DELETE FROM audit.leaf WHERE seq = 3")
    out = StringIO()

    with pytest.raises(SystemExit) as ended:
        call_command("audit_fsck", stdout=out)

    assert ended.value.code == 1
    assert "broken: entry 3 is missing from the tree" in out.getvalue()


def test_the_doctor_finds_a_guard_that_is_off(filled: Ledger) -> None:
    from audit.doctor import examine

    filled.attack()

    verdicts = {check.name: check.verdict for check in examine()}
    assert verdicts["guards"] == "bad"
    assert (verdicts["superuser"], verdicts["owner"], verdicts["rights"]) == ("ok", "ok", "ok")
