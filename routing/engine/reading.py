"""Reads untrusted values of a document and collects what is wrong, with the exact path.

Every method returns None where the value is bad and notes why; nothing here raises.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Mapping
from decimal import Decimal
from typing import Any, TypeVar

from routing.engine import canonical
from routing.engine.registry import shown_number
from routing.engine.types import Finding

T = TypeVar("T")

_ID = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}\Z")
_BACKEND = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}\Z")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")


def kind_of(value: object) -> str:
    """The kind of a value in a person's words."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal)):
        return "a number"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    if isinstance(value, (list, tuple)):
        return "a list"
    return "a mapping" if isinstance(value, Mapping) else f"a {type(value).__name__}"


class Reader:
    """Collects findings while the parts of one document are read."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []

    def note(self, path: str, message: str, code: str = "schema") -> None:
        self.findings.append(Finding(code=code, path=path, message=message))

    def mapping(
        self, value: object, path: str, *, known: Collection[str], required: Collection[str] = ()
    ) -> dict[str, Any] | None:
        """The mapping with only known keys; unknown and missing ones are noted."""
        if not isinstance(value, Mapping):
            self.note(path, f"must be a mapping, not {kind_of(value)}")
            return None
        read: dict[str, Any] = {}
        for key, item in value.items():
            if key in known:
                read[key] = item
            else:
                near = difflib.get_close_matches(str(key), list(known), n=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                self.note(at(path, str(key)[:60]), f"is not known here{hint}", "unknown_key")
        for key in required:
            if key not in read:
                self.note(at(path, key), "is missing", "missing")
        return read

    def items(
        self, value: object, path: str, *, most: int, least: int = 0
    ) -> list[tuple[str, Any]]:
        """The list's items with their paths."""
        if not isinstance(value, (list, tuple)):
            self.note(path, f"must be a list, not {kind_of(value)}")
            return []
        if not least <= len(value) <= most:
            bound = f"at least {least}" if len(value) < least else f"at most {most}"
            self.note(path, f"must have {bound} items, and has {len(value)}")
            return []
        return [(f"{path}[{place}]", item) for place, item in enumerate(value)]

    def text(self, value: object, path: str, *, most: int = 200) -> str | None:
        if not isinstance(value, str):
            self.note(path, f"must be text, not {kind_of(value)}")
        elif not value.strip():
            self.note(path, "must not be empty")
        elif len(value) > most:
            self.note(path, f"must have at most {most} characters, and has {len(value)}")
        elif _CONTROL.search(value):
            self.note(path, "must not hold control characters")
        else:
            return value
        return None

    def identifier(self, value: object, path: str) -> str | None:
        return self._shaped(value, path, _ID, "lower-case letters, digits, '-' and '_'")

    def backend(self, value: object, path: str) -> str | None:
        return self._shaped(value, path, _BACKEND, "letters, digits and '-._:/'")

    def _shaped(self, value: object, path: str, shape: re.Pattern[str], words: str) -> str | None:
        text = self.text(value, path)
        if text is not None and not shape.match(text):
            self.note(path, f"{text[:40]!r} must be a name of {words}")
            return None
        return text

    def backends(
        self, value: object, path: str, *, most: int = 20, least: int = 0
    ) -> tuple[str, ...]:
        return self.distinct(value, path, self.backend, most=most, least=least)

    def distinct(
        self,
        value: object,
        path: str,
        read: Callable[[Any, str], T | None],
        *,
        most: int,
        least: int = 1,
    ) -> tuple[T, ...]:
        """A list without repeats, each item read by `read`."""
        found: list[T] = []
        for place, item in self.items(value, path, most=most, least=least):
            one = read(item, place)
            if one is None:
                continue
            if one in found:
                self.note(place, f"{item!r} is listed twice")
            else:
                found.append(one)
        return tuple(found)

    def choice(self, value: object, path: str, among: Collection[str]) -> str | None:
        if isinstance(value, str) and value in among:
            return value
        self.note(path, f"must be one of {', '.join(among)}, not {kind_of(value)}")
        return None

    def truth(self, value: object, path: str) -> bool | None:
        if isinstance(value, bool):
            return value
        self.note(path, f"must be true or false, not {kind_of(value)}")
        return None

    def number(
        self, value: object, path: str, low: Decimal | None = None, high: Decimal | None = None
    ) -> Decimal | None:
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
            self.note(path, f"must be a number, not {kind_of(value)}")
            return None
        if isinstance(value, int) and abs(value) >= 10**canonical.MAX_DIGITS:
            self.note(path, f"must have at most {canonical.MAX_DIGITS} digits")
            return None
        try:
            number = canonical.exact(value)
        except ValueError as error:
            self.note(path, str(error))
            return None
        if not canonical.is_plain(number):
            self.note(path, f"must have at most {canonical.MAX_DIGITS} digits and six decimals")
            return None
        if (low is not None and number < low) or (high is not None and number > high):
            self.note(path, f"must be {_span(low, high)}, not {shown_number(number)}")
            return None
        return number

    def whole(self, value: object, path: str, low: int, high: int) -> int | None:
        number = self.number(value, path, Decimal(low), Decimal(high))
        if number is None:
            return None
        if number != number.to_integral_value():
            self.note(path, f"must be a whole number, not {shown_number(number)}")
            return None
        return int(number)


def _span(low: Decimal | None, high: Decimal | None) -> str:
    if low is None:
        return f"at most {shown_number(high)}"
    if high is None:
        return f"at least {shown_number(low)}"
    return f"between {shown_number(low)} and {shown_number(high)}"


def at(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
