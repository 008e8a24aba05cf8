"""What the review screens read: the queue in its order, one case with its trace, and the counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from django.db import connection
from django.db.models import Count, Q, QuerySet

from audit import queries as trail
from audit.models import Event
from review import rules
from review.models import Case, CaseCandidate, CaseVerdict
from review.queries import eligible
from routing.engine.policy import Test
from routing.engine.registry import FIRST_REGISTRY
from routing.engine.telling import REASON_WORDS
from routing.engine.wording import test_words
from screens.access import may
from screens.navigation import badge

DUE_SOON: Final = timedelta(minutes=15)
LEASE_SHORT: Final = timedelta(minutes=2)
TABS: Final = {"mine": "Mine", "unclaimed": "Unclaimed", "all": "All", "done": "Done"}
_TONES: Final = {"calm": "neutral", "soon": "warn", "now": "bad"}
_COUNT_UP_TO: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A case as one line of the queue."""

    case: Case
    why: str
    goes_to: str
    tone: str
    is_mine: bool
    verdict: CaseVerdict | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """The counts of the queue at one moment. `median_wait_s` is None before the first end today."""

    mine: int
    unclaimed: int
    all: int
    due_soon: int
    done: int
    lease_expires_at: datetime | None
    median_wait_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleLine:
    """One rule of a trace as components/trace.html shows it."""

    name: str
    state: str
    values: str
    outcome: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    rules: Sequence[RuleLine]
    candidates: Sequence[tuple[str, str, str, str]]
    signals: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseView:
    """One case for one person: what it is, what it waits for, and what this person may do."""

    case: Case
    why: str
    tone: str
    at_zero: str
    goes_to: str
    draft: str
    trace: Trace | None
    events: Sequence[Event]
    verdict: CaseVerdict | None
    is_mine: bool
    may_claim: bool
    why_not: str
    earlier: Sequence[CaseVerdict]
    answers: Sequence[CaseCandidate]
    is_second: bool
    may_escalate: bool
    may_replay: bool
    may_take: bool
    may_extend: bool
    is_lease_short: bool
    seen: str


def open_cases() -> QuerySet[Case]:
    return Case.objects.filter(state__in=sorted(rules.ALIVE))


def ended_cases() -> QuerySet[Case]:
    return Case.objects.filter(state__in=sorted(rules.ENDS))


@badge("review-queue", "waiting")
def waiting(user: Any) -> int | None:
    """The number beside Review in the navigation: cases that have not ended."""
    return open_cases().count() if may(user, "review.view") else None


def listed(*, person: Any, tab: str, filters: Mapping[str, str], now: datetime) -> QuerySet[Case]:
    """The cases of a tab: most urgent first, in the very order in which they are given out."""
    cases = ended_cases() if tab == "done" else open_cases()
    if tab == "mine":
        cases = cases.filter(state=Case.State.CLAIMED, claimed_by=person)
    if tab == "unclaimed":
        cases = cases.filter(state__in=sorted(rules.WAITING))
    if filters.get("class"):
        cases = cases.filter(data_class=filters["class"])
    if filters.get("rule"):
        cases = cases.filter(rule=filters["rule"])
    if filters.get("due") == "soon" and tab != "done":
        cases = cases.filter(due_at__lte=now + DUE_SOON)
    cases = cases.select_related("claimed_by", "hold")
    if tab == "done":
        return cases.prefetch_related("verdicts__by").order_by("-ended_at")
    return cases.order_by("priority", "due_at", "id")


def rows(cases: Iterable[Case], *, person: Any, now: datetime) -> list[Row]:
    """The lines of one page, with what their decisions say, in one more query."""
    cases = list(cases)
    made = {
        event.pk: event.entry.get("details", {})
        for event in Event.objects.filter(pk__in=[case.decision_id for case in cases])
    }
    return [
        Row(
            case=case,
            why=_rule_name(case, made.get(case.decision_id, {})),
            goes_to=_goes_to(case, made.get(case.decision_id, {})),
            tone=_tone(case, now),
            is_mine=case.is_held_by(person, now),
            verdict=_verdict(case) if case.has_ended else None,
        )
        for case in cases
    ]


def numbers(*, person: Any, now: datetime) -> Numbers:
    """The counts of the tabs and the strip above them."""
    mine = Q(state=Case.State.CLAIMED, claimed_by=person)
    counts = open_cases().aggregate(
        all=Count("pk"),
        mine=Count("pk", filter=mine),
        unclaimed=Count("pk", filter=Q(state__in=sorted(rules.WAITING))),
        due_soon=Count("pk", filter=Q(due_at__lte=now + DUE_SOON)),
    )
    lease = open_cases().filter(mine).order_by("lease_expires_at").first()
    return Numbers(
        **counts,
        done=ended_cases().order_by()[: _COUNT_UP_TO + 1].count(),
        lease_expires_at=lease.lease_expires_at if lease else None,
        median_wait_s=_median_wait_s(now),
    )


def _median_wait_s(now: datetime) -> float | None:
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT extract(epoch FROM percentile_cont(0.5)
                      WITHIN GROUP (ORDER BY ended_at - opened_at))
               FROM review_case WHERE ended_at >= %s""",
            [midnight],
        )
        (median,) = cursor.fetchone()
    return None if median is None else float(median)


def next_case(*, person: Any, now: datetime, after: UUID | None = None) -> Case | None:
    """Where to go next: one's own claim first, else the first that waits. Claims nothing."""
    mine = Case.objects.filter(
        state=Case.State.CLAIMED, claimed_by=person, lease_expires_at__gt=now, due_at__gt=now
    )
    waits = eligible.takeable(person, now)
    for cases in (mine, waits):
        case = cases.exclude(pk=after).order_by("priority", "due_at", "id").first()
        if case is not None:
            return case
    return None


def case_view(case: Case, *, person: Any, now: datetime) -> CaseView:
    """One call for the whole case screen. Holds no text of the request or of an answer."""
    events = trail.events_of_decision(case.decision_id)
    details = next((e.entry.get("details", {}) for e in events if e.kind == "decision.made"), {})
    decides = may(person, "review.decide")
    is_mine = case.is_held_by(person, now)
    is_free = decides and (case.state in rules.WAITING or case.lease_is_over(now))
    is_open = is_free and not case.has_ended and case.due_at > now
    why_not = _not_for(case, person, now) if is_open else ""
    hold = case.hold
    return CaseView(
        case=case,
        why=case.why,
        tone=_tone(case, now),
        at_zero=_at_zero(case),
        goes_to=_goes_to(case, details),
        draft=_draft(case, details),
        trace=_trace(details),
        events=[event for event in events if event.kind.startswith("review.")],
        verdict=_verdict(case),
        is_mine=is_mine,
        may_claim=is_open and not why_not,
        why_not=why_not,
        earlier=_earlier(case),
        answers=list(case.candidates.select_related("asked_by")),
        is_second=case.stage == Case.Stage.SECOND,
        may_escalate=is_mine and case.stage == Case.Stage.FIRST and case.level < rules.LEAD_LEVEL,
        may_replay=is_mine
        and case.stage != Case.Stage.SECOND
        and case.replays < rules.MOST_REPLAYS,
        may_take=may(person, "review.lead") and case.state == Case.State.CLAIMED and not is_mine,
        may_extend=is_mine and _can_be_extended(case, now),
        is_lease_short=is_mine and _left(case.lease_expires_at, now) < LEASE_SHORT,
        seen=f"{case.version}-{'d' if hold and hold.candidate_payload else ''}",
    )


_AT_ZERO: Final = {
    "safe_default": "At zero the client gets the safe default.",
    "refuse": "At zero the request is refused.",
    "drop": "At zero the sample is dropped; no client waits for it.",
}


def _at_zero(case: Case) -> str:
    """What happens when nobody decides, by the class of the case and the rule behind it."""
    hold = case.hold
    if hold is not None and hold.on_timeout == "pending" and case.priority == Case.Priority.LIVE:
        return "Meanwhile the client is told to ask again; at zero it gets the safe default."
    on_timeout = hold.on_timeout if hold else ""
    given = rules.disposition_at_end(priority=case.priority, on_timeout=on_timeout)
    return _AT_ZERO.get(given, "")


_NOT_FOR: Final = {
    "own_request": "You answer for the application that sent it, so somebody else decides it.",
    "same_person": "You have decided it once; the next look is somebody else's.",
    "clearance": "You are not cleared for its data class. A lead reviewer can change that.",
    "skill": "It is in a queue that you do not work on. A lead reviewer can change that.",
    "level": "It has been raised to the lead reviewers.",
    "not_first": "A more urgent case waits for you: press Next case. Leads choose freely.",
}


def _not_for(case: Case, person: Any, now: datetime) -> str:
    """Why this person may not take a case that is free, in words, or nothing."""
    reason = eligible.why_not(case, person)
    if not reason and case.state in rules.WAITING and not may(person, "review.lead"):
        first = eligible.takeable(person, now).first()
        reason = "not_first" if first is not None and first.pk != case.pk else ""
    return _NOT_FOR.get(reason, "")


def _earlier(case: Case) -> list[CaseVerdict]:
    """What was decided before, for whoever settles it. A second reviewer never sees the first."""
    if case.stage != Case.Stage.ADJUDICATION or case.has_ended:
        return []
    return list(case.verdicts.select_related("by"))


def _can_be_extended(case: Case, now: datetime) -> bool:
    if case.claimed_at is None or case.lease_expires_at is None:
        return False
    ends_s = rules.lease_end_s(claimed_s=case.claimed_at.timestamp(), now_s=now.timestamp())
    return ends_s > case.lease_expires_at.timestamp()


def _left(ends: datetime | None, now: datetime) -> timedelta:
    return ends - now if ends else timedelta(0)


def _tone(case: Case, now: datetime) -> str:
    if case.has_ended:
        return "neutral"
    return _TONES[
        rules.urgency(
            opened_s=case.opened_at.timestamp(),
            due_s=case.due_at.timestamp(),
            now_s=now.timestamp(),
        )
    ]


def _verdict(case: Case) -> CaseVerdict | None:
    verdicts = list(case.verdicts.all())
    return verdicts[-1] if verdicts else None


def _decision(details: Mapping[str, Any]) -> Mapping[str, Any]:
    return details.get("decision") or {}


def _rule_name(case: Case, details: Mapping[str, Any]) -> str:
    """The name of the rule that stopped it, which its author wrote to be read."""
    for rule in (_decision(details).get("trace") or {}).get("rules", ()):
        if rule.get("state") == "matched":
            return str(rule.get("name") or case.why)
    return case.why


def _goes_to(case: Case, details: Mapping[str, Any]) -> str:
    decision = _decision(details)
    terms = decision.get("hold") or {}
    ready = case.hold.candidate_backend if case.hold else ""
    return str(ready or terms.get("candidate") or decision.get("backend") or "")


def _draft(case: Case, details: Mapping[str, Any]) -> str:
    """ready, expected (a backend is asked for one) or none."""
    if case.hold is not None and case.hold.candidate_payload:
        return "ready"
    is_asked = bool((_decision(details).get("hold") or {}).get("candidate"))
    return "expected" if is_asked and not case.has_ended else "none"


def _trace(details: Mapping[str, Any]) -> Trace | None:
    decision = _decision(details)
    trace = decision.get("trace")
    if not trace:
        return None
    return Trace(
        rules=[_rule_line(rule, str(decision.get("action", ""))) for rule in trace["rules"]],
        candidates=[
            (
                one["name"],
                f"{one['tier']}, {one['boundary']}",
                one["verdict"],
                _why_not(one, str(decision.get("data_class", ""))),
            )
            for one in trace["candidates"]
        ],
        signals=[
            (name.replace("_", " "), _plainly(value))
            for name, value in sorted(trace["signals"].items())
        ],
    )


def _why_not(candidate: Mapping[str, Any], data_class: str) -> str:
    reason = str(candidate.get("reason") or "")
    return REASON_WORDS.get(reason, reason.replace("_", " ")).format(data_class=data_class)


def _rule_line(rule: Mapping[str, Any], action: str) -> RuleLine:
    is_match = rule["state"] == "matched"
    return RuleLine(
        name=rule.get("name") or rule["id"],
        state=rule["state"],
        values=_compared(rule["failing"]) if rule.get("failing") else "",
        outcome=action if is_match else "",
    )


def _compared(failing: Mapping[str, Any]) -> str:
    """What a rule asked for and what was there: `gain is at most 0.04; here 0.18`."""
    asked = test_words(
        Test(signal=failing["signal"], operator=failing["operator"], constant=failing["constant"]),
        FIRST_REGISTRY,
    )
    observed = failing.get("observed")
    return f"{asked}; here {'not known' if observed is None else _plainly(observed)}"


def _plainly(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
