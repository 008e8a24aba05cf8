"""How times, ids, money, shares and states are written: the same on every screen."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final

from django import forms, template
from django.forms import BoundField
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

register = template.Library()

NOTHING: Final = "–"  # noqa: RUF001  an en dash is what stands in an empty cell

# Words that states, outcomes, results and message levels use, by how serious each is.
_WORDS_BY_TONE: Final = {
    "good": "active approved served healthy ok success pass passed resolved completed verified",
    "warn": "held pending warning draining cooling expiring in_review awaiting_second "
    "safe_default escalated inconclusive shadow open due scheduled",
    "bad": "failed refused error danger rejected unhealthy broken blocked revoked expired "
    "overdue aborted fail killed restricted",
    "accent": "info claimed matched chosen mine selected",
}
TONES: Final[dict[str, str]] = {
    word: tone for tone, words in _WORDS_BY_TONE.items() for word in words.split()
}

_STEPS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


@register.filter
def tone(state: object) -> str:
    """good, warn, bad, accent or neutral for a state; a word must always stand beside it."""
    return TONES.get(str(state).lower().replace("-", "_").replace(" ", "_"), "neutral")


@register.filter
def words(code: object) -> str:
    """`safe_default` as "safe default"."""
    return str(code).replace("_", " ")


def in_words(seconds: float) -> str:
    """A length of time with its two largest units: 1 d 4 h, 4 min 10 s, 12 s."""
    left = round(abs(seconds))
    parts: list[str] = []
    for size, unit in _STEPS:
        if left >= size or (unit == "s" and not parts):
            parts.append(f"{left // size}\u00a0{unit}")
            left %= size
        elif parts:
            break
        if len(parts) == 2:
            break
    return " ".join(part for index, part in enumerate(parts) if index == 0 or part[0] != "0")


@register.simple_tag
def ago(when: datetime | None, now: datetime | None = None) -> SafeString | str:
    """`3 min ago` or `in 4 min`, with the absolute UTC time on hover and in print."""
    if when is None:
        return NOTHING
    distance_s = ((now or timezone.now()) - when).total_seconds()
    if abs(distance_s) < 5:
        text = "just now"
    else:
        largest = in_words(distance_s).split(" ")[0]
        text = f"{largest} ago" if distance_s > 0 else f"in {largest}"
    return _time(when, text)


@register.simple_tag
def until(when: datetime | None, now: datetime | None = None) -> SafeString | str:
    """`4 min 10 s left` or `2 min over`, for deadlines."""
    if when is None:
        return NOTHING
    left_s = (when - (now or timezone.now())).total_seconds()
    return _time(when, f"{in_words(left_s)} {'left' if left_s >= 0 else 'over'}")


@register.simple_tag
def at(when: datetime | None) -> SafeString | str:
    """The absolute time, in UTC, for records and print."""
    return NOTHING if when is None else _time(when, absolute(when))


@register.filter
def absolute(when: datetime) -> str:
    """`2026-11-24 22:43:01 UTC`."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _time(when: datetime, text: str) -> SafeString:
    utc = when.astimezone(UTC)
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        utc.isoformat(timespec="milliseconds"),
        absolute(utc),
        text,
    )


@register.filter
def duration_s(seconds: object) -> str:
    """Seconds as `4 min 10 s`."""
    number = _decimal(seconds)
    return NOTHING if number is None else in_words(float(number))


@register.filter
def duration_ms(milliseconds: object) -> str:
    """Milliseconds as `0.4 ms`, `38 ms`, `1.24 s` or `4 min 10 s`."""
    number = _decimal(milliseconds)
    if number is None:
        return NOTHING
    if number >= 60_000:
        return in_words(float(number / 1000))
    if number >= 1000:
        return f"{number / 1000:.2f}\u00a0s"
    return f"{number:.0f}\u00a0ms" if number >= 10 else f"{number:.1f}\u00a0ms"


@register.filter
def usd(amount: object) -> str:
    """Dollars with as many places as the size needs: `$1,204.50`, `$0.0042`. None is not zero."""
    number = _decimal(amount)
    if number is None:
        return NOTHING
    if number != 0 and abs(number) < Decimal("0.01"):
        return f"${number:.6f}".rstrip("0")
    if abs(number) < 1:
        return f"${number:.4f}" if number else "$0.00"
    return f"${number.quantize(Decimal('0.01'), ROUND_HALF_UP):,}"


@register.filter
def percent(share: object, places: int = 0) -> str:
    """A share between 0 and 1 as `61 %`; tiny shares are not rounded down to nothing."""
    number = _decimal(share)
    if number is None:
        return NOTHING
    hundred = number * 100
    smallest = Decimal(1).scaleb(-places)
    if 0 < hundred < smallest:
        return f"<\u00a0{smallest.normalize():f}\u00a0%"
    return f"{hundred.quantize(smallest, ROUND_HALF_UP)}\u00a0%"


@register.filter
def count(number: object) -> str:
    """Thousands apart: `12,480`."""
    value = _decimal(number)
    return NOTHING if value is None else f"{value:,f}"


@register.filter
def digest(value: object, length: int = 8) -> str:
    """The first characters of `sha256:...`, the name of the hash left out."""
    return str(value or NOTHING).split(":")[-1][:length]


@register.filter
def half(number: float) -> float:
    """The middle of a picture."""
    return number / 2


@register.filter
def get(mapping: Any, key: object) -> Any:
    """A value by a key that is only known while rendering."""
    return mapping.get(key, "") if hasattr(mapping, "get") else ""


@register.simple_tag
def copyable(value: object, short: int = 0, label: str = "id") -> SafeString | str:
    """An id with a button that copies the whole of it, however short it is written."""
    if value is None or value == "":
        return NOTHING
    full = str(value)
    shown = digest(full, short) if short else full
    return format_html(
        '<span class="copyable"><code{}>{}</code><button type="button" class="icon-button" '
        'data-copy="{}" aria-label="Copy {} {}">{}</button></span>',
        format_html(' title="{}"', full) if shown != full else "",
        shown,
        full,
        label,
        shown,
        icon("copy"),
    )


@register.simple_tag
def icon(name: str) -> SafeString:
    """A symbol of static/icons.svg; decoration only, so a word always stands beside it."""
    return format_html(
        '<svg class="icon" aria-hidden="true" focusable="false"><use href="{}#{}"/></svg>',
        static("icons.svg"),
        name,
    )


def _decimal(value: object) -> Decimal | None:
    """A finite number, or None: what is not known is written as a dash, never as zero."""
    if value is None or value == "":
        return None
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


@register.filter
def control_kind(field: BoundField) -> str:
    """hidden, choices, check or plain: which markup components/field.html uses."""
    widget = field.field.widget
    if field.is_hidden:
        return "hidden"
    if isinstance(widget, forms.RadioSelect | forms.CheckboxSelectMultiple):
        return "choices"
    return "check" if isinstance(widget, forms.CheckboxInput) else "plain"


@register.filter
def control(field: BoundField) -> SafeString:
    """The control itself, told which texts describe it and whether it is wrong."""
    described = [
        f"{field.auto_id}_{part}"
        for part, is_there in (("error", field.errors), ("helptext", field.help_text))
        if is_there
    ]
    attrs: dict[str, str | bool] = {}
    if described:
        attrs["aria-describedby"] = " ".join(described)
    if field.errors:
        attrs["aria-invalid"] = "true"
    return field.as_widget(attrs=attrs)
