"""A decision of a case: given once by each person, told once to the client.

A first verdict that needs a second look is kept sealed from the second reviewer: the trail gets a
digest of it, and the verdict itself only when it is told.
"""

from __future__ import annotations

import secrets
import uuid
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from audit import payloads
from audit.actors import Actor
from review import rules
from review.errors import CandidateChanged
from review.models import Case, CaseVerdict
from review.queries import eligible
from review.services.cases import candidates_of, hold_of
from review.services.claims import check_reason, require_holder
from review.services.formats import check_format
from review.services.pace import check_read
from review.services.sealing import digest_of, told, unsealed
from review.services.transitions import UNCLAIMED, move, record, refuse
from routing.models import Hold
from routing.services import holds
from screens.access import require
from screens.errors import Invalid

Kind = CaseVerdict.Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a reviewer says. ``candidate_id``: the answer that was read, for approve and choose."""

    kind: str
    reason_code: str = ""
    reason: str = ""
    answer: str = ""
    candidate_id: uuid.UUID | None = None
    flags: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Release:
    """The text that a verdict would release, and how far it is from what was read."""

    text: str | None = None
    backend: str = ""
    changed: float | None = None


def decide_case(*, case: Case, by: User, now: datetime | None = None, **said: Any) -> Case:
    """Decide a claimed case; ``said`` is what Verdict takes.

    ``kind`` is approve (with the ``candidate_id`` that was read), choose (with that of another
    answer), edit (with ``answer``), safe_default or refuse. All but a plain approval need a reason
    code and a reason. The client gets its answer here, or after a second reviewer where one is
    needed. Raises HoldClosed when time was first; then nothing has changed, and NotRead or TooSoon
    where an answer is to go out that its holder cannot have read.
    """
    require(by, "review.decide")
    now = now or timezone.now()
    require_holder(case, by, now)
    verdict = Verdict(**said)
    _check(verdict)
    # Apart from the decision, because haste is recorded although nothing is decided.
    check_read(case, by, verdict.kind, now)
    return _decided(case, by, verdict, now)


@transaction.atomic
def _decided(case: Case, by: User, verdict: Verdict, now: datetime) -> Case:
    release = _release_of(case, verdict)
    kept = _keep(case, by, verdict, release, now)
    if case.stage == Case.Stage.SECOND:
        return _as_second(case, by, kept, now)
    if case.stage == Case.Stage.FIRST and (why := _why_second(case, release)):
        return _await_second(case, by, kept, why)
    return _resolve(case, by, kept, by_both=(kept,), now=now)


def _check(verdict: Verdict) -> None:
    if verdict.kind not in Kind.values:
        raise Invalid("There is no such decision.", code="unknown_verdict")
    if set(verdict.flags) - set(CaseVerdict.Flag.values):
        raise Invalid("There is no such flag.", code="unknown_flag")
    if verdict.kind != Kind.APPROVE or verdict.reason_code:
        check_reason(verdict.reason_code, verdict.reason)


def _release_of(case: Case, verdict: Verdict) -> _Release:
    """An approval releases only what its reviewer has read; an edit must be one."""
    hold, found = hold_of(case), candidates_of(case)
    current = found.current
    if verdict.kind == Kind.CHOOSE:
        chosen = found.find(verdict.candidate_id)
        if chosen is None:
            raise Invalid("There is no such other answer to choose.", code="answer_missing")
        return _Release(text=chosen.text, backend=chosen.backend, changed=0.0)
    if verdict.kind == Kind.APPROVE:
        if current is None:
            raise Invalid(
                "There is no answer to approve.",
                code="answer_missing",
                what_next="Write one, give the safe default, or refuse.",
            )
        if current.id != verdict.candidate_id:
            raise CandidateChanged
        return _Release(text=current.text, backend=current.backend, changed=0.0)
    if verdict.kind != Kind.EDIT:
        return _Release(backend=current.backend if current else "")
    text, before = verdict.answer.replace("\r\n", "\n"), current.text if current else ""
    if not text.strip():
        raise Invalid("Write the answer that the client gets.", code="answer_missing")
    if text == before:
        raise Invalid("You changed nothing; approve it instead.", code="nothing_changed")
    check_format(request=payloads.open_payload(hold.request_payload).decode(), answer=text)
    return _Release(
        text=text,
        backend=current.backend if current else "",
        changed=rules.share_changed(before, text),
    )


def _keep(case: Case, by: User, verdict: Verdict, release: _Release, now: datetime) -> CaseVerdict:
    """Store the verdict, with its text sealed like any other payload."""
    sealed = None
    if release.text is not None:
        sealed = payloads.seal(
            release.text.encode(),
            decision_id=case.decision_id,
            kind="answer",
            key=payloads.payload_key(),
        )
        payloads.store(sealed)
    claimed_at = case.claimed_at or now
    kept = CaseVerdict(
        case=case,
        by=by,
        kind=verdict.kind,
        reason_code=verdict.reason_code,
        reason=verdict.reason.strip(),
        flags=sorted(set(verdict.flags)),
        level=case.level,
        stage=case.stage,
        answer_payload=sealed.id if sealed else None,
        commitment=sealed.commitment if sealed else "",
        candidate_backend=release.backend,
        changed_permille=None if release.changed is None else round(1000 * release.changed),
        open_ms=max(0, round((now - claimed_at).total_seconds() * 1000)),
        nonce=secrets.token_hex(16),
        at=now,
    )
    return kept


def _why_second(case: Case, release: _Release) -> str:
    return rules.why_second(
        case_id=case.pk,
        is_high_risk=case.is_high_risk,
        is_restricted=eligible.is_restricted(case.data_class),
        # Where there was no draft, the whole answer is the reviewer's own.
        changed=release.changed or 0.0,
        is_live=case.priority == Case.Priority.LIVE,
    )


def _await_second(case: Case, by: User, kept: CaseVerdict, why: str) -> Case:
    if not move(case, "await_second", held_by=by, stage=Case.Stage.SECOND, **UNCLAIMED):
        refuse(case)
    if not Hold.objects.filter(pk=case.decision_id, state=Hold.State.WAITING).exists():
        raise holds.HoldClosed
    kept.save()
    record(
        "review.first_decided",
        case,
        Actor.of(by),
        why_second=why,
        verdict_digest=digest_of(unsealed(kept)),
    )
    return case


def _as_second(case: Case, by: User, kept: CaseVerdict, now: datetime) -> Case:
    first = case.verdicts.select_related("by").get(stage=Case.Stage.FIRST)
    if rules.agree(first_kind=first.kind, second_kind=kept.kind):
        return _resolve(case, by, first, by_both=(first, kept), now=now)
    # There may be no hold any more; then time was first, and the verdict counts for nothing.
    if not Hold.objects.filter(pk=case.decision_id, state=Hold.State.WAITING).exists():
        raise holds.HoldClosed
    if not move(
        case,
        "disagree",
        held_by=by,
        level=rules.next_level(case.level),
        stage=Case.Stage.ADJUDICATION,
        **UNCLAIMED,
    ):
        refuse(case)
    kept.save()
    record(
        "review.disagreed",
        case,
        Actor.of(by),
        reason=kept.reason,
        first=unsealed(first),
        **told(kept),
    )
    return case


def _resolve(
    case: Case, by: User, verdict: CaseVerdict, *, by_both: tuple[CaseVerdict, ...], now: datetime
) -> Case:
    """End the case by a verdict and tell the client. ``by_both`` ends with this person's own."""
    first, own = by_both[0], by_both[-1]
    if not move(case, "resolve", held_by=by, ended_at=now):
        refuse(case)
    own.save()
    holds.answer_hold(
        decision_id=case.decision_id,
        disposition=rules.disposition_of(verdict.kind),
        answer_payload=verdict.answer_payload,
    )
    before = {"first": unsealed(first)} if first is not own else {}
    record(
        "review.decided",
        case,
        Actor.of(by),
        reason=own.reason,
        **{**told(verdict), "open_ms": own.open_ms, "own_flags": own.flags},
        **before,
    )
    return case
