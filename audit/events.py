"""The kinds of events and their wording. Codes are stored, words are made when they are read.

A sentence may name the entry's fields in braces (dotted for details); a part in square brackets is
left out when one of its fields is missing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

MADE: Final = "decision.made"
# The database holds the same list in its checks; a test compares them.
TERMINAL: Final = frozenset(
    f"decision.{outcome}"
    for outcome in (
        "completed",
        "failed",
        "aborted",
        "blocked",
        "held",
        "refused",
        "safe_default",
        "outcome_unknown",
    )
)

GROUPS: Final = {
    "decision": "Decisions",
    "review": "Human review",
    "policy": "Policies and routes",
    "backend": "Backends and sign-offs",
    "access": "People, keys and access",
    "privacy": "Prompts and answers",
    "log": "Trail and reports",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of event reads, and under which heading it is filtered."""

    sentence: str
    group: str


_SIGNOFF: Final = "{object}[ of {details.data_class} data to {details.backend}]"

KINDS: Final[Mapping[str, Kind]] = {
    "decision.made": Kind(
        "{decision_id|short} on route {object.id}[: {details.decision.sentence}]", "decision"
    ),
    "decision.attempted": Kind(
        "{decision_id|short} was tried[ on {details.backend}][ ({details.boundary})]", "decision"
    ),
    "decision.completed": Kind(
        "{decision_id|short} was served[ by {details.backend}][ in {details.total_ms} ms]",
        "decision",
    ),
    "decision.failed": Kind("{decision_id|short} failed[: {details.error_code}]", "decision"),
    "decision.aborted": Kind("{decision_id|short} was broken off by the client", "decision"),
    "decision.blocked": Kind(
        "{decision_id|short} was blocked before it was sent[: {reason}]", "decision"
    ),
    "decision.held": Kind("{decision_id|short} stays held for a person[: {reason}]", "decision"),
    "decision.refused": Kind("{decision_id|short} was refused[: {reason}]", "decision"),
    "decision.safe_default": Kind(
        "{decision_id|short} got the safe default[: {reason}]", "decision"
    ),
    "response.cancelled": Kind("{decision_id|short} was cancelled by its client", "decision"),
    "response.held_anew": Kind(
        "{decision_id|short} got a case of its own; the request it repeated was cancelled",
        "decision",
    ),
    "decision.outcome_unknown": Kind(
        "{decision_id|short} ended without a known outcome[: {reason}]", "decision"
    ),
    "review.opened": Kind("A case was opened for {object}[: {reason}]", "review"),
    "review.claimed": Kind("{actor} took {object}", "review"),
    "review.released": Kind("{actor} gave {object} back", "review"),
    "review.extended": Kind("{actor} extended the claim on {object}", "review"),
    "review.lease_lost": Kind("The claim on {object} ran out", "review"),
    "review.viewed": Kind("{actor} viewed {object}", "review"),
    "review.revealed": Kind("{actor} revealed the text of {object}", "review"),
    "review.decided": Kind("{actor} decided {object}[: {details.verdict}]", "review"),
    "review.first_decided": Kind("{actor} decided {object} first; a second look follows", "review"),
    "review.disagreed": Kind(
        "{actor} saw {object} differently[: {details.verdict}]; a lead settles it", "review"
    ),
    "review.escalated": Kind("{actor} raised {object} to the lead reviewers[: {reason}]", "review"),
    "review.replay_requested": Kind(
        "{actor} had {details.backend} answer {object} again", "review"
    ),
    "review.replayed": Kind(
        "{details.backend} answered {object} again[, in vain: {reason}]", "review"
    ),
    "review.reprioritised": Kind("Nobody waits for {object} on a connection any more", "review"),
    "review.superseded": Kind("{actor} took {object} out of review[: {reason}]", "review"),
    "review.too_soon": Kind(
        "{actor} wanted to release {object} before its text could have been read", "review"
    ),
    "reviewer.paused": Kind(
        "Claims of {object.id} are paused: {details.cases} cases were to be released unread",
        "review",
    ),
    "reviewer.resumed": Kind("{actor} let {object.id} claim cases again[: {reason}]", "review"),
    "reviewer.changed": Kind("{actor} changed what {object.id} may review[: {reason}]", "access"),
    "review.case_due": Kind(
        "{object} is still open after[ {details.percent} % of] its time", "review"
    ),
    "review.expired": Kind("The deadline of {object} passed[: {details.disposition}]", "review"),
    "review.cancelled": Kind("{object} was cancelled[: {reason}]", "review"),
    "policy.drafted": Kind("{actor} began a draft of {object}", "policy"),
    "policy.edited": Kind("{actor} edited {object}", "policy"),
    "policy.submitted": Kind("{actor} submitted {object} for approval", "policy"),
    "policy.withdrawn": Kind("{actor} withdrew {object}", "policy"),
    "policy.approved": Kind("{actor} approved {object}", "policy"),
    "policy.rejected": Kind("{actor} rejected {object}", "policy"),
    "policy.activated": Kind("{actor} activated {object}", "policy"),
    "policy.rebased": Kind(
        "{actor} rebased {details.from} onto {details.onto} as {object}", "policy"
    ),
    "policy.conflict_settled": Kind(
        "{actor} settled a conflict of {object}[: {details.subject}, {details.keep} kept]", "policy"
    ),
    "policy.scheduled": Kind("{actor} scheduled {object}[ for {details.scheduled_for}]", "policy"),
    "policy.schedule_cancelled": Kind("{actor} cancelled the schedule of {object}", "policy"),
    "policy.schedule_suspended": Kind(
        "The scheduled activation of {object} was suspended[: {reason}]", "policy"
    ),
    "policy.rolled_back": Kind("{actor} rolled back to {object}", "policy"),
    "promotion.proposed": Kind("{actor} proposed to promote {object}", "policy"),
    "promotion.approved": Kind("{actor} approved the promotion of {object}", "policy"),
    "promotion.promoted": Kind("{actor} promoted {object}", "policy"),
    "promotion.withdrawn": Kind("{actor} withdrew the promotion of {object}", "policy"),
    "promotion.waived": Kind(
        "{actor} waived a check of {object}[: {details.check}][, until {details.until}]", "policy"
    ),
    "rollout.started": Kind("The rollout of {object} began[ at {details.share} %]", "policy"),
    "rollout.advanced": Kind("The rollout of {object} rose[ to {details.share} %]", "policy"),
    "rollout.resumed": Kind("{actor} tried the rollout of {object} again", "policy"),
    "rollout.aborted": Kind("The rollout of {object} was stopped[: {reason}]", "policy"),
    "rollout.done": Kind("The rollout of {object} is done", "policy"),
    "incident.noted": Kind("{actor} took note of the incident of {object}", "policy"),
    "policy.retired": Kind("{object} was retired", "policy"),
    "policy.backtest_requested": Kind("{actor} asked for a backtest of {object}", "policy"),
    "policy.backtested": Kind(
        "A backtest of {object} ended[: {details.decisions} decisions]", "policy"
    ),
    "policy.backtest_cancelled": Kind("{actor} cancelled a backtest of {object}", "policy"),
    "policy.guardrails_acknowledged": Kind(
        "{actor} took note that {details.decisions} decisions cross a guardrail under {object}",
        "policy",
    ),
    "policy.backtest_failed": Kind("A backtest of {object} failed[: {reason}]", "policy"),
    "filter.saved": Kind("{actor} saved the filter {object.id}", "access"),
    "filter.removed": Kind("{actor} removed the filter {object.id}", "access"),
    "example.saved": Kind("{actor} saved the example {object.id}", "policy"),
    "example.removed": Kind("{actor} removed the example {object.id}", "policy"),
    "classifier.training_requested": Kind("{actor} asked to train {object}", "policy"),
    "classifier.trained": Kind(
        "{actor} trained {object}[ on {details.rows} prompts][: {details.verdict}]", "policy"
    ),
    "classifier.training_cancelled": Kind("{actor} cancelled the training of {object}", "policy"),
    "classifier.training_failed": Kind("The training of {object} failed[: {reason}]", "policy"),
    "classifier.measured": Kind(
        "{actor} measured {object}[ on {details.pair}][: {details.verdict}]", "policy"
    ),
    "classifier.retired": Kind("{actor} retired {object}[: {reason}]", "policy"),
    "route.created": Kind("{actor} created {object}", "policy"),
    "route.changed": Kind("{actor} changed {object}", "policy"),
    "backend.registered": Kind("{actor} registered {object}", "backend"),
    "backend.changed": Kind("{actor} changed {object}", "backend"),
    "backend.tested": Kind("{actor} tested {object}[: {details.detail}]", "backend"),
    "backend.state_changed": Kind(
        "{actor} changed the state of {object}[ to {details.state}]", "backend"
    ),
    "backend.health_changed": Kind("The health of {object} changed[: {details.detail}]", "backend"),
    "backend.secret_stored": Kind(
        "{actor} stored a secret for {object}[: fingerprint {details.fingerprint}]", "backend"
    ),
    "backend.secret_removed": Kind("{actor} removed the stored secret of {object}", "backend"),
    "signoff.requested": Kind(f"{{actor}} asked for {_SIGNOFF}", "backend"),
    "signoff.approved": Kind(f"{{actor}} approved {_SIGNOFF} as the first of two", "backend"),
    "signoff.granted": Kind(f"{{actor}} granted {_SIGNOFF}", "backend"),
    "signoff.refused": Kind(f"{{actor}} refused {_SIGNOFF}", "backend"),
    "signoff.revoked": Kind(f"{{actor}} revoked {_SIGNOFF}", "backend"),
    "signoff.began": Kind(f"{_SIGNOFF} took effect", "backend"),
    "signoff.expired": Kind(f"{_SIGNOFF} expired", "backend"),
    "data_flow.issued": Kind("{actor} issued {object}", "policy"),
    "kill_switch.engaged": Kind("{actor} engaged the kill switch for {object.id}", "backend"),
    "kill_switch.released": Kind("{actor} released the kill switch for {object.id}", "backend"),
    "budget.changed": Kind("{actor} changed the budget of {object}", "policy"),
    "backend.calibrated": Kind(
        "{actor} calibrated {object}[: {details.signal} on {details.labels} labels]", "backend"
    ),
    "api_key.created": Kind("{actor} created {object}", "access"),
    "api_key.rotated": Kind("{actor} rotated {object}", "access"),
    "api_key.revoked": Kind("{actor} revoked {object}", "access"),
    "webhook.created": Kind("{actor} set up {object}[ for {details.client}]", "access"),
    "webhook.changed": Kind("{actor} changed {object}", "access"),
    "webhook.rotated": Kind("{actor} rotated the secret of {object}", "access"),
    "webhook.disabled": Kind("{actor} disabled {object}[: {reason}]", "access"),
    "webhook.enabled": Kind("{actor} enabled {object} again", "access"),
    "webhook.tested": Kind("{actor} sent a test to {object}", "access"),
    "webhook.sent_again": Kind("{actor} sent a delivery again to {object}", "access"),
    "access_token.created": Kind("{actor} created {object}", "access"),
    "access_token.revoked": Kind("{actor} revoked {object}", "access"),
    "person.created": Kind("{actor} added {object}", "access"),
    "person.changed": Kind("{actor} changed {object}", "access"),
    "person.roles_changed": Kind("{actor} changed the roles of {object}", "access"),
    "person.deactivated": Kind("{actor} deactivated {object}", "access"),
    "person.reactivated": Kind("{actor} reactivated {object}", "access"),
    "person.password_changed": Kind("{actor} changed the password of {object}", "access"),
    "person.signed_in": Kind("{actor} signed in", "access"),
    "person.sign_in_failed": Kind("A sign-in as {object.id} failed", "access"),
    "person.signed_out": Kind("{actor} signed out", "access"),
    "access.denied": Kind("{actor} was denied[: {reason}]", "access"),
    "preferences.changed": Kind("{actor} changed their preferences", "access"),
    "demo.seeded": Kind("Demonstration content was written", "log"),
    "payload.revealed": Kind("{actor} read the {details.payload_kind} of {object}", "privacy"),
    "payload.erased": Kind("{actor} erased {details.count} stored texts of {object}", "privacy"),
    "report.requested": Kind("{actor} asked for {object}", "log"),
    "report.taken_up_again": Kind("{object} was begun again: its worker was lost", "log"),
    "report.schedule_changed": Kind(
        "{actor} changed the schedule of reports[: monthly {details.monthly}]", "log"
    ),
    "report.generated": Kind("{object} was made[: {details.entries} entries]", "log"),
    "report.failed": Kind("{object} could not be made[: {reason}]", "log"),
    "report.cancelled": Kind("{actor} cancelled {object}", "log"),
    "report.downloaded": Kind("{actor} downloaded {object}", "log"),
    "evidence.taken": Kind("{actor} took the evidence of {object}[ as {details.format}]", "log"),
    "trail.exported": Kind(
        "{actor} exported the trail[ as {details.format}][: {details.count} entries]", "log"
    ),
    "trail.verification_requested": Kind("{actor} asked for a verification of the trail", "log"),
    "trail.verification_failed": Kind("A verification of the trail did not end[: {reason}]", "log"),
    "trail.verified": Kind("The trail was verified[: {details.sentence}]", "log"),
    "log.checkpoint_anchored": Kind(
        "The checkpoint of {details.size} entries was stored outside", "log"
    ),
    "log.event_withheld": Kind(
        "The event {details.kind} of {object} came too late or could not be stored", "log"
    ),
    "log.key_created": Kind("The signing key {object.id} was created", "log"),
}

OBJECTS: Final = {
    "access_token": "access token",
    "api_key": "API key",
    "backend": "backend",
    "case": "case",
    "classifier": "classifier",
    "data_flow": "data-flow document",
    "decision": "decision",
    "example": "example",
    "filter": "filter",
    "hold": "held request",
    "key": "signing key",
    "kill_switch": "kill switch",
    "log": "trail",
    "person": "person",
    "policy": "policy",
    "policy_version": "policy version",
    "report": "report",
    "route": "route",
    "screen": "screen",
    "signoff": "sign-off",
    "version": "policy version",
    "webhook": "webhook",
}

_PART = re.compile(r"\[([^\[\]]*)\]")
_FIELD = re.compile(r"\{([a-z_.]+)(\|short)?\}")


def group_of(kind: str) -> str:
    known = KINDS.get(kind)
    return known.group if known else "log"


def kinds_of(group: str) -> list[str]:
    return [code for code, kind in KINDS.items() if kind.group == group]


def words(event: Mapping[str, Any]) -> str:
    """The sentence of an entry, given its decoded body. An unknown kind reads as its code."""
    kind = KINDS.get(event.get("kind", ""))
    template = kind.sentence if kind else f"{event.get('kind', 'unknown event')}: {{object}}"
    # The template is cut before values go in: brackets and braces inside a value mean nothing.
    pieces = _PART.split(template)
    sentence = "".join(
        _optional(piece, event) if at % 2 else _always(piece, event)
        for at, piece in enumerate(pieces)
    ).strip(" :")
    if event.get("result") == "denied" and event.get("kind") != "access.denied":
        sentence += " \u2014 denied"
    # A name keeps its own spelling.
    return sentence if template.startswith("{actor}") else sentence[:1].upper() + sentence[1:]


def _always(piece: str, event: Mapping[str, Any]) -> str:
    return _FIELD.sub(lambda found: _value(event, found) or "\u2013", piece)


def _optional(piece: str, event: Mapping[str, Any]) -> str:
    if not all(_value(event, found) for found in _FIELD.finditer(piece)):
        return ""
    return _always(piece, event)


def _value(event: Mapping[str, Any], field: re.Match[str]) -> str:
    name, short = field.group(1), field.group(2)
    if name == "actor":
        return str(event.get("actor", {}).get("name", ""))
    if name == "object":
        thing = event.get("object", {})
        kind = OBJECTS.get(thing.get("type", ""), thing.get("type", "").replace("_", " "))
        return f"{kind} {_brief(str(thing.get('id', '')))}".strip()
    value: Any = event
    for step in name.split("."):
        value = value.get(step) if isinstance(value, Mapping) else None
    if value is None or value == "":
        return ""
    if short:
        return f"Decision {_brief(str(value))}"
    return str(value)


def _brief(identity: str) -> str:
    # The tail of a UUIDv7 is its random part; the head is the time and the same for neighbours.
    return identity[-8:] if len(identity) == 36 and identity.count("-") == 4 else identity
