from __future__ import annotations

import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command

from audit import anchors, followers, fsck, keys, queries
from audit.errors import ForkRefused, KeyUnavailable, LedgerBroken
from audit.management.commands.sequencer import Daemon
from audit.merkle import root_of
from audit.models import Checkpoint, Event, Leaf
from audit.notes import Checkpoint as SignedHead
from audit.sequencer import sequence_once
from tests.audit.conftest import Ledger


def test_events_become_leaves_under_a_signed_head(ledger: Ledger) -> None:
    events = ledger.decisions(4)

    assert ledger.sequence() == 8

    leaves = list(Leaf.objects.order_by("seq"))
    head = Checkpoint.objects.latest("size")
    assert [leaf.seq for leaf in leaves] == list(range(8))
    assert {leaf.event_id for leaf in leaves} == {event.id for event in events}
    assert bytes(head.root) == root_of(bytes(leaf.leaf) for leaf in leaves)
    opened = SignedHead.open(head.note, [keys.signer().verifier], origin="test.example/ledger")
    assert (opened.size, opened.root) == (8, bytes(head.root))


def test_an_empty_ledger_begins_with_a_signed_empty_tree(ledger: Ledger) -> None:
    assert ledger.sequence() == 0

    assert list(Checkpoint.objects.values_list("size", flat=True)) == [0]


def test_a_second_round_changes_nothing(filled: Ledger) -> None:
    before = list(Checkpoint.objects.values_list("size", flat=True))

    assert filled.sequence() == 0
    assert list(Checkpoint.objects.values_list("size", flat=True)) == before


def test_two_sequencers_never_work_at_once(ledger: Ledger) -> None:
    ledger.decisions(5)
    with ledger.connect("sequencer") as first, first.transaction():
        first.execute("SELECT pg_advisory_xact_lock(727182837, 1)")
        assert ledger.sequence() == 0

    assert ledger.sequence() == 10


def test_racing_sequencers_give_every_event_one_place(ledger: Ledger) -> None:
    signer, _ = keys.signer_made_when_missing()
    done: list[int] = []

    def work() -> None:
        with ledger.connect("sequencer") as conn:
            done.extend(sequence_once(conn, signer=signer) for _ in range(12))

    ledger.sequence()
    threads = [threading.Thread(target=work) for _ in range(3)]
    [thread.start() for thread in threads]
    [ledger.decisions(3) for _ in range(8)]
    [thread.join() for thread in threads]
    done.append(ledger.sequence())

    assert sum(done) == 48
    assert fsck.check().is_ok


def test_a_round_that_dies_leaves_nothing_behind(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger.decisions(2)
    ledger.sequence()
    ledger.decisions(2)

    def die(*_: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patch:
        patch.setattr("audit.sequencer._sign", die)
        with pytest.raises(ZeroDivisionError):
            ledger.sequence()
    assert Leaf.objects.count() == 4

    assert ledger.sequence() == 4
    assert fsck.check().is_ok


def test_inclusion_proofs_hold_across_stored_nodes(ledger: Ledger) -> None:
    ledger.decisions(300)
    ledger.sequence()
    places = [Leaf.objects.get(seq=seq) for seq in (0, 255, 256, 511, 512, 599)]

    proofs = [queries.inclusion_proof(place.event_id) for place in places]

    assert [proof is not None and proof.holds() for proof in proofs] == [True] * 6


def test_an_event_that_waits_has_no_proof_yet(ledger: Ledger) -> None:
    event_id = ledger.record()

    assert queries.inclusion_proof(event_id) is None


def test_a_pending_event_that_vanished_stops_the_sequencer(ledger: Ledger) -> None:
    made = ledger.made()
    ledger.store(made)
    ledger.attack(f"DELETE FROM audit.event WHERE id = '{made.id}'")

    with pytest.raises(LedgerBroken, match=str(made.id)):
        ledger.sequence()


def test_a_restored_backup_is_not_signed(filled: Ledger, settings: Any) -> None:
    file = Path(settings.AUDIT_ANCHOR_FILE)
    anchors.append(file, Checkpoint.objects.latest("size").note)
    filled.attack(
        "DELETE FROM audit.leaf WHERE seq >= 8",
        "DELETE FROM audit.checkpoint WHERE size > 8",
    )
    filled.decisions(1)

    with pytest.raises(ForkRefused, match="restored from an older backup"):
        filled.sequence(anchor_file=file)


def test_another_history_of_the_same_length_is_not_signed(
    filled: Ledger, settings: Any, tmp_path: Path
) -> None:
    file = Path(settings.AUDIT_ANCHOR_FILE)
    note = SignedHead(origin="test.example/ledger", size=14, root=bytes(32)).text()
    anchors.append(file, keys.signer().sign(note))
    filled.decisions(1)

    with pytest.raises(ForkRefused, match="differs"):
        filled.sequence(anchor_file=file)


def test_an_unreadable_anchor_file_stops_signing(filled: Ledger, settings: Any) -> None:
    file = Path(settings.AUDIT_ANCHOR_FILE)
    file.parent.mkdir(parents=True)
    file.write_text("nonsense\n")

    with pytest.raises(ForkRefused, match="no readable checkpoint"):
        filled.sequence(anchor_file=file)


def test_a_line_that_a_crash_cut_off_is_passed_over(filled: Ledger, settings: Any) -> None:
    file = Path(settings.AUDIT_ANCHOR_FILE)
    anchors.append(file, Checkpoint.objects.get(size=8).note)
    with file.open("a") as end:
        end.write('{"at": "2026')

    last = anchors.last(file)

    assert last is not None
    assert last.size == 8


def test_the_daemon_makes_a_key_signs_and_anchors(ledger: Ledger, settings: Any) -> None:
    ledger.decisions(2)

    call_command("sequencer", once=True)

    key = Path(settings.AUDIT_KEY_FILE)
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert Event.objects.filter(kind="log.key_created").count() == 1
    assert Event.objects.filter(kind="log.checkpoint_anchored").exists()
    last = anchors.last(Path(settings.AUDIT_ANCHOR_FILE))
    assert last is not None
    assert last.size >= 4


def test_a_quiet_log_is_not_anchored_again_and_again(ledger: Ledger, settings: Any) -> None:
    ledger.decisions(2)

    [call_command("sequencer", once=True) for _ in range(4)]

    assert Event.objects.filter(kind="log.checkpoint_anchored").count() == 1


def test_without_a_readable_key_nothing_is_signed_and_events_are_still_taken(
    ledger: Ledger, settings: Any
) -> None:
    key = Path(settings.AUDIT_KEY_FILE)
    key.parent.mkdir(parents=True)
    key.write_text("not a key")
    ledger.decisions(1)

    with pytest.raises(KeyUnavailable):
        Daemon(threading.Event(), interval_s=0.01).run(once=True)
    assert Checkpoint.objects.count() == 0
    assert Event.objects.count() == 2


def test_a_failing_follower_stops_nobody_else(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(followers, "_followers", [])
    left = [3, 2, 0]

    @followers.register
    def broken() -> int:
        raise RuntimeError("no")

    @followers.register
    def reads() -> int:
        return left.pop(0)

    assert followers.follow_all() == 5
    assert "broken" in caplog.text
