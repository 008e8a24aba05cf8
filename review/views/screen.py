"""Builds the two review screens: the queue with a case beside it, and a case alone.

Acts come from either; `?on=` in the address of a form says from which, so that the answer is the
same screen.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from math import ceil
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone

from review import rules
from review.forms import ReasonForm, ReplayForm, VerdictForm
from review.models import Case, CaseVerdict
from review.queries import cases as queries
from review.queries.messages import messages_of
from review.queries.pace import open_pauses, pace_of
from review.services.cases import get_case
from routing.services import asking_again
from screens.access import may
from screens.errors import DomainError, Invalid
from screens.pages import page_of, render_screen, wants_fragment

_FILTERS: Final = ("class", "rule", "due")
_CHIPS: Final = {"class": "data class", "rule": "rule", "due": "due"}
Kind = CaseVerdict.Kind


def is_alone(request: HttpRequest) -> bool:
    """Whether the person looks at a case by itself and not beside the queue."""
    match = request.resolver_match
    return (match is not None and match.url_name == "case") or request.GET.get("on") == "case"


def tab_of(request: HttpRequest) -> str:
    tab = request.GET.get("tab", "all")
    return tab if tab in queries.TABS else "all"


def _filters(request: HttpRequest) -> dict[str, str]:
    given = {name: request.GET.get(name, "").replace("\x00", "")[:64] for name in _FILTERS}
    return {name: value for name, value in given.items() if value}


def queue_url(request: HttpRequest, **changes: str | None) -> str:
    """The queue as it is looked at, with changes; a value of None takes a part away."""
    chosen: dict[str, str | None] = {"tab": tab_of(request), **_filters(request), **changes}
    if chosen["tab"] == "all":
        del chosen["tab"]
    query = urlencode({name: value for name, value in chosen.items() if value})
    return reverse("review-queue") + (f"?{query}" if query else "")


def place_of(request: HttpRequest, case: Case | None) -> str:
    """Where an act leads back to: the same screen with this case, or the queue without one."""
    if case is None:
        return queue_url(request)
    if is_alone(request):
        return case.get_absolute_url()
    return queue_url(request, case=str(case.pk))


def verdict_forms(
    case: Case, texts: Mapping[str, Any], bound: VerdictForm | None
) -> dict[str, VerdictForm]:
    """The forms of a case by kind; the one that was sent keeps what was typed."""
    fresh = {
        kind: VerdictForm(
            kind=kind,
            initial={
                "answer": texts.get("candidate", ""),
                "candidate_id": texts.get("candidate_id"),
            },
        )
        for kind in Kind.values
    }
    others = [
        (one["candidate_id"], one["backend"] or "a reviewer") for one in texts.get("others", ())
    ]
    fresh[Kind.CHOOSE].offer(others)
    if bound is not None and bound.kind == Kind.CHOOSE:
        bound.offer(others)
    return {**fresh, bound.kind: bound} if bound else fresh


def offers_of(case: Case) -> list[asking_again.Offer]:
    """The backends that may be asked again first; none where the trail does not suffice."""
    try:
        found = asking_again.offers(decision_id=case.decision_id, data_class=case.data_class)
    except Invalid:
        return []
    return sorted(found, key=lambda one: (bool(one.reason), one.name))


def show(
    request: HttpRequest,
    case_id: UUID | None,
    *,
    texts: Mapping[str, Any] | None = None,
    bound: VerdictForm | None = None,
    problem: DomainError | None = None,
    compared: bool = False,
    status: int = 200,
) -> HttpResponse:
    """The screen that the person looks at, as it is now."""
    now, context = timezone.now(), {"as_of": timezone.now(), "problem": problem}
    if case_id is not None:
        context |= _case_context(request, get_case(case_id), texts, bound, now)
        if compared and bound is not None:
            answer = bound.cleaned_data["answer"].replace("\r\n", "\n")
            context["diff"] = rules.word_diff((texts or {}).get("candidate", ""), answer)
    if is_alone(request):
        context |= {"alone": True, "queue_url": reverse("review-queue"), "place": "on=case"}
        return render_screen(request, "review/case.html", context, partial="clock", status=status)
    context |= _queue_context(request, case_id, now)
    return render_screen(request, "review/queue.html", context, partial="fresh", status=status)


def _case_context(
    request: HttpRequest,
    case: Case,
    texts: Mapping[str, Any] | None,
    bound: VerdictForm | None,
    now: datetime,
) -> dict[str, Any]:
    view = queries.case_view(case, person=request.user, now=now)
    shown = texts if view.is_mine else None
    return {
        "view": view,
        "case": case,
        "texts": shown,
        "messages_of_request": messages_of(shown["request"]) if shown else [],
        "forms": verdict_forms(case, shown or {}, bound) if view.is_mine else {},
        "open_kind": bound.kind if bound else "",
        "escalate_form": ReasonForm(act="escalate") if view.may_escalate else None,
        "offers": offers_of(case) if view.may_replay and shown else [],
        "replay_form": ReplayForm() if view.may_replay else None,
        "wait_s": _wait_s(case, now) if shown else 0,
        "seen": view.seen,
        "has_changed": wants_fragment(request) and request.GET.get("seen", view.seen) != view.seen,
    }


def _wait_s(case: Case, now: datetime) -> int:
    """How long the text must still be shown before an answer may go out; whole seconds, up."""
    left = (case.release_from - now).total_seconds() if case.release_from else 0.0
    return max(0, ceil(left))


def _queue_context(request: HttpRequest, case_id: UUID | None, now: datetime) -> dict[str, Any]:
    tab, filters = tab_of(request), _filters(request)
    numbers = queries.numbers(person=request.user, now=now)
    page = page_of(queries.listed(person=request.user, tab=tab, filters=filters, now=now), request)
    decides = may(request.user, "review.decide")
    return {
        "tab": tab,
        "tabs": [
            (label, getattr(numbers, slug), queue_url(request, tab=slug, due=None), slug == tab)
            for slug, label in queries.TABS.items()
            if decides or slug != "mine"
        ],
        "stats": _stats(numbers, decides=decides, now=now),
        "page": page,
        "rows": queries.rows(page.items, person=request.user, now=now),
        "chips": [
            (_CHIPS[name], value, queue_url(request, **{name: None}))
            for name, value in filters.items()
        ],
        "chosen": case_id,
        "pace": pace_of(request.user, now) if decides else None,
        "paused_people": len(open_pauses()) if may(request.user, "review.lead") else 0,
        "queue_url": queue_url(request),
        "tab_url": queue_url(request, **dict.fromkeys(_FILTERS)),
        "place": urlencode({"on": "queue", "tab": tab, **filters}),
        "row_query": urlencode({"tab": tab, **filters}),
    }


def _stats(numbers: queries.Numbers, *, decides: bool, now: datetime) -> list[dict[str, Any]]:
    from screens.templatetags.signalbox import duration_s, in_words

    base = reverse("review-queue")
    lease = numbers.lease_expires_at
    left_s = (lease - now).total_seconds() if lease else 0
    stats: list[dict[str, Any]] = [
        {"label": "Waiting", "value": numbers.all, "url": base},
        {"label": "Due within 15 min", "value": numbers.due_soon, "url": f"{base}?due=soon"},
    ]
    if decides:
        note = f"claim {in_words(left_s)} left" if left_s > 0 else ("claim over" if lease else "")
        stats.append(
            {
                "label": "Claimed by you",
                "value": numbers.mine,
                "url": f"{base}?tab=mine",
                "note": note,
            }
        )
    stats.append(
        {
            "label": "Median wait today",
            "value": duration_s(numbers.median_wait_s),
            "url": f"{base}?tab=done",
        }
    )
    return stats
