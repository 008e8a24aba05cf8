"""Budgets for the screens: each limit with what was used of it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Sum
from django.utils import timezone

from routing.models import Budget, Spend
from routing.models.budgets import COUNTED, PERIODS, RATES
from routing.services.budgets import line_of, lines

_WORDS = {
    "requests": "Requests",
    "tokens": "Tokens",
    "usd": "Cost",
    "day": "today",
    "month": "this month",
    "requests_per_minute": "Requests a minute",
    "tokens_per_minute": "Tokens a minute",
}
_NEARLY = Decimal("0.8")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One limit; ``limit`` is None where there is none, ``share`` is of the limit."""

    words: str
    is_money: bool
    used: Decimal
    limit: Decimal | None
    share: Decimal | None

    @property
    def tone(self) -> str:
        if self.share is None or self.share < _NEARLY:
            return "good"
        return "bad" if self.share >= 1 else "warn"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """Where a key or a route stands: uses by day and month (UTC), and its limits by the minute."""

    budget: Budget | None
    lines: tuple[Line, ...]
    rates: tuple[tuple[str, int], ...]


def standing_of_route(slug: str) -> Standing:
    return _standing(Budget.objects.filter(scope="route", target=slug).first(), {"route": slug})


def standing_of_key(public_id: str) -> Standing:
    first = line_of(public_id)[0]
    clients = [client for client, line in lines().items() if line == first]
    budget = Budget.objects.filter(scope="key", target=first).first()
    return _standing(budget, {"client_id__in": clients})


def _standing(budget: Budget | None, whose: dict[str, object]) -> Standing:
    today = timezone.now().date()
    starts = {"day": today, "month": today.replace(day=1)}
    found: list[Line] = []
    for period in PERIODS:
        sums = Spend.objects.filter(**whose, day__gte=starts[period]).aggregate(
            **{what: Sum(what) for what in COUNTED}
        )
        for what in COUNTED:
            limit = getattr(budget, f"{what}_{period}", None)
            found.append(_line(what, period, Decimal(sums[what] or 0), limit))
    rates = [(_WORDS[name], getattr(budget, name, None)) for name in RATES]
    return Standing(
        budget=budget,
        lines=tuple(found),
        rates=tuple((words, limit) for words, limit in rates if limit is not None),
    )


def _line(what: str, period: str, used: Decimal, limit: Decimal | int | None) -> Line:
    most = None if limit is None else Decimal(limit)
    share = None if most is None else (used / most if most else Decimal(1))
    words = f"{_WORDS[what]} {_WORDS[period]}"
    return Line(words=words, is_money=what == "usd", used=used, limit=most, share=share)
