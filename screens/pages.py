"""Decides page or fragment, how a change answers, and how lists are cut into pages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.shortcuts import resolve_url
from django.template.loader import render_to_string
from django.utils.cache import patch_vary_headers
from django.utils.safestring import SafeString

T = TypeVar("T")

# Counting stops here: a list stays fast at a million rows, and nobody pages that far.
COUNT_UP_TO = 10_000


def wants_fragment(request: HttpRequest) -> bool:
    """Whether htmx asked for a part of the page. Boosted links and history need the whole page."""
    headers = request.headers
    return (
        headers.get("HX-Request") == "true"
        and headers.get("HX-Boosted") != "true"
        and headers.get("HX-History-Restore-Request") != "true"
    )


def render_screen(
    request: HttpRequest,
    template: str,
    context: Mapping[str, Any] | None = None,
    *,
    partial: str | None = None,
    status: int = 200,
) -> HttpResponse:
    """The whole page, or `template#partial` when htmx asked for it, with any waiting messages."""
    values = dict(context or {})
    if partial and wants_fragment(request):
        body = render_to_string(f"{template}#{partial}", values, request)
        body += _waiting_messages(request)
    else:
        body = render_to_string(template, values, request)
    answer = HttpResponse(body, status=status)
    patch_vary_headers(answer, ["HX-Request"])
    return answer


def redirect_303(
    request: HttpRequest, to: Any, message: str | None = None, *, level: int = messages.SUCCESS
) -> HttpResponse:
    """After a change: go and GET `to` (URL, URL name or model), with a message waiting there."""
    if message:
        messages.add_message(request, level, message)
    url = resolve_url(to)
    if request.headers.get("HX-Request") == "true":
        # The browser would follow a 303 unseen and swap a whole page into one element.
        return HttpResponse(headers={"HX-Redirect": url})
    return HttpResponseRedirect(url, status=303)


def _waiting_messages(request: HttpRequest) -> SafeString:
    waiting = list(messages.get_messages(request))
    if not waiting:
        return SafeString("")
    return render_to_string(
        "components/toasts.html", {"messages": waiting, "out_of_band": True}, request
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class PageOf(Generic[T]):
    """One page of a list. `total` stops at COUNT_UP_TO, `total_is_capped` says so."""

    items: Sequence[T]
    number: int
    per_page: int
    total: int
    total_is_capped: bool
    previous_url: str | None
    next_url: str | None

    @property
    def first(self) -> int:
        return (self.number - 1) * self.per_page + 1 if self.items else 0

    @property
    def last(self) -> int:
        return self.first + len(self.items) - 1 if self.items else 0

    def __iter__(self) -> Any:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)


def page_of(queryset: Any, request: HttpRequest, per_page: int = 50) -> PageOf[Any]:
    """Cut an ordered queryset or list at `?page=`; a page that is not there becomes the nearest."""
    counted = _count_up_to(queryset, COUNT_UP_TO + 1)
    total = min(counted, COUNT_UP_TO)
    pages = max(1, -(-total // per_page))
    number = min(max(1, _page_number(request.GET)), pages)
    start = (number - 1) * per_page
    return PageOf(
        items=list(queryset[start : start + per_page]),
        number=number,
        per_page=per_page,
        total=total,
        total_is_capped=counted > COUNT_UP_TO,
        previous_url=_page_url(request, number - 1) if number > 1 else None,
        next_url=_page_url(request, number + 1) if number < pages else None,
    )


def _count_up_to(queryset: Any, limit: int) -> int:
    head = queryset[:limit]
    return len(head) if isinstance(head, Sequence) else int(head.count())


def _page_number(query: QueryDict) -> int:
    text = query.get("page", "1")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 8 else 1


def _page_url(request: HttpRequest, number: int) -> str:
    query = request.GET.copy()
    query["page"] = str(number)
    return f"{request.path}?{query.urlencode()}"
