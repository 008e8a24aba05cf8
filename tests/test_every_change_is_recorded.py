"""Every service that changes something leaves its audit event, by construction and not by habit.

The source is read: a public function of a services module that writes must reach ``audit.record``
through the functions of its own module, or stand in EXEMPT with the reason why not.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
APPS = ("accounts", "routing", "review", "audit")

# Writes that are no act of anybody: each says where its act is recorded.
EXEMPT = {
    "review.services.transitions.move": "each caller records the transition that it makes",
    "review.services.claims.beat": "a sign of life; it changes neither lease nor version",
    "accounts.services.access.begin_attempt": "a counter; person.sign_in_failed says what happened",
    "accounts.services.access.clear_attempts": "a counter; person.signed_in says what happened",
    "accounts.services.tokens.note_use": "when it was last used, to the hour; no act",
    "accounts.services.tokens.person_of": "notes that use and nothing else",
    "routing.services.transitions.move": "each caller records the transition that it makes",
    "routing.services.snapshots.acknowledge": "a replica's heartbeat",
    "routing.services.snapshots.leave": "a replica's heartbeat ends",
    "review.services.pace.note_shown": "part of the transaction of review.revealed",
    "routing.services.holds.answer_hold": "part of the transaction of review.decided",
    "routing.services.holds.expire_hold": "the decision's terminal event and review.expired say it",
    "routing.services.holds.leave_pending": "the decision's terminal event says it",
    "routing.services.holds.store_candidate": "the attempt is in the decision's terminal event",
    "routing.services.holds.note_no_candidate": "the attempt is in the decision's terminal event",
    "routing.services.holds.note_delivery": "the decision's terminal event says it",
    "routing.services.responses.fail_unfinished": "part of decision.outcome_unknown's transaction",
    "routing.services.responses.erase_expired": "payload.erased says it",
    "routing.services.projection.follow": "derived from the trail",
    "routing.services.projection.rebuild": "derived from the trail",
    "routing.services.projection.recount": "derived from the trail",
    "routing.services.webhook_outbox.tell": "an outbox row; the change it tells is recorded",
    "routing.services.webhook_outbox.tell_response": "the same",
    "routing.services.webhook_outbox.tell_hold_ended": "the same",
    "routing.services.webhook_outbox.follow": "derived from the trail",
    "routing.services.webhook_sending.erase_ended": "retention; the trail keeps the endings",
    "routing.services.promotion.watching.watch": "notes what it saw; a stop or a step is recorded",
    "routing.services.promotion.watching.watch_rollouts": "the same",
    "routing.services.projection.keep_house": "derived from the trail; hours and days stay",
}
WRITES = {
    "create", "update", "delete", "save", "bulk_create", "get_or_create", "update_or_create",
    "set_password", "store",
}  # fmt: skip


def modules() -> list[Path]:
    return sorted(
        path
        for app in APPS
        for path in (ROOT / app / "services").rglob("*.py")
        if path.stem != "__init__"
    )


def called(node: ast.AST) -> set[str]:
    """The names that a function calls, by their last part; nested functions included."""
    names = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Call):
            target = inner.func
            if isinstance(target, ast.Attribute):
                names.add(target.attr)
            elif isinstance(target, ast.Name):
                names.add(target.id)
    return names


def reached(functions: dict[str, set[str]], name: str) -> set[str]:
    seen, todo, names = set(), [name], set()
    while todo:
        current = todo.pop()
        if current in seen or current not in functions:
            continue
        seen.add(current)
        names |= functions[current]
        todo.extend(functions[current])
    return names


def writing_services() -> list[tuple[str, bool]]:
    """(dotted name, whether it reaches record) of every public function that writes."""
    found = []
    for path in modules():
        tree = ast.parse(path.read_text())
        functions = {
            node.name: called(node) for node in tree.body if isinstance(node, ast.FunctionDef)
        }
        dotted = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for name in functions:
            names = reached(functions, name)
            if not name.startswith("_") and names & WRITES:
                found.append((f"{dotted}.{name}", "record" in names or "_record" in names))
    return found


def test_there_are_services_to_look_at() -> None:
    assert len(writing_services()) > 20


@pytest.mark.parametrize(("service", "records"), writing_services())
def test_a_service_that_writes_records(service: str, records: bool) -> None:
    assert records or service in EXEMPT


def test_no_exemption_is_left_over() -> None:
    assert EXEMPT.keys() <= {service for service, _ in writing_services()}
