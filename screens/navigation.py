"""What the navigation shows: a fixed map of screens, cut down to what a person may open."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.urls import NoReverseMatch, reverse

from screens.access import may

Count = Callable[[Any], int | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    label: str
    url_name: str
    permission: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    label: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """An entry as one person sees it on one page."""

    label: str
    url: str
    is_current: bool
    count: int | None
    count_label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkGroup:
    label: str
    links: tuple[Link, ...]


GROUPS: tuple[Group, ...] = (
    Group(
        label="Operate",
        entries=(
            Entry(label="Overview", url_name="overview", permission="routing.view"),
            Entry(label="Decisions", url_name="decisions", permission="routing.view"),
            Entry(label="Review", url_name="review-queue", permission="review.view"),
        ),
    ),
    Group(
        label="Change",
        entries=(
            Entry(label="Routes and policies", url_name="routes", permission="routing.view"),
            Entry(label="Backends", url_name="backends", permission="routing.view"),
            Entry(label="Classifiers", url_name="classifiers", permission="routing.view"),
            Entry(label="Sign-offs", url_name="sign-offs", permission="routing.view"),
        ),
    ),
    Group(
        label="Prove",
        entries=(
            Entry(label="Audit trail", url_name="audit-trail", permission="audit.view"),
            Entry(label="Reports", url_name="reports", permission="audit.view"),
            Entry(label="Data flow", url_name="data-flow", permission="routing.view"),
            Entry(label="Integrity", url_name="audit-health", permission="audit.view"),
        ),
    ),
    Group(
        label="Settings",
        entries=(
            Entry(label="API keys", url_name="keys", permission="accounts.view"),
            Entry(label="Webhooks", url_name="webhooks", permission="routing.operate"),
            Entry(label="People", url_name="people", permission="accounts.view"),
            Entry(label="System", url_name="system", permission="routing.operate"),
        ),
    ),
)

_badges: dict[str, tuple[Count, str]] = {}


def badge(url_name: str, count_label: str = "waiting") -> Callable[[Count], Count]:
    """Register the count beside an entry: a callable of the user, None for no count.

    It runs on every page, so it must be one cheap query. `count_label` is read out after the
    number: "7 waiting".
    """

    def register(count: Count) -> Count:
        _badges[url_name] = (count, count_label)
        return count

    return register


def links_for(user: Any, path: str) -> tuple[LinkGroup, ...]:
    """The groups this person sees on the page at `path`, empty groups left out."""
    shown = [(group, _open_entries(user, group)) for group in GROUPS]
    current = _current_url(path, [url for _, entries in shown for _, url in entries])
    return tuple(
        LinkGroup(
            label=group.label,
            links=tuple(
                _link(user, entry, url, is_current=url == current) for entry, url in entries
            ),
        )
        for group, entries in shown
        if entries
    )


def _open_entries(user: Any, group: Group) -> list[tuple[Entry, str]]:
    return [
        (entry, url)
        for entry in group.entries
        if may(user, entry.permission) and (url := _url_of(entry.url_name)) is not None
    ]


def _url_of(url_name: str) -> str | None:
    try:
        return reverse(url_name)
    except NoReverseMatch:
        # A process that serves only some of the screens has no such address.
        return None


def _current_url(path: str, urls: list[str]) -> str | None:
    """The longest address that the path lies under, so /audit/health/ is not also /audit/."""
    around = [url for url in urls if path == url or (url != "/" and path.startswith(url))]
    return max(around, key=len, default=None)


def _link(user: Any, entry: Entry, url: str, *, is_current: bool) -> Link:
    count, count_label = _badges.get(entry.url_name, (None, ""))
    return Link(
        label=entry.label,
        url=url,
        is_current=is_current,
        count=count(user) if count else None,
        count_label=count_label,
    )
