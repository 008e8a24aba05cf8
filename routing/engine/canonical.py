"""The one byte form of a document, and its digest (RFC 8785, numbers in plain decimal).

The documents admit only numbers on which plain decimals and the number form of RFC 8785 agree, so
that YAML and JSON, floats and decimals of the same value give the same digest.
"""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any

MAX_DEPTH = 32
MAX_DIGITS = 15
_SMALLEST = Decimal("0.000001")
_BEYOND = Decimal(10) ** 15


class NotCanonical(ValueError):
    """The value has no canonical form; `path` says where."""

    def __init__(self, path: str, message: str) -> None:
        self.path, self.message = path, message
        super().__init__(f"{path or 'document'}: {message}")


def exact(value: int | float | Decimal) -> Decimal:
    """A finite number as the decimal that people wrote. Raises ValueError for NaN and infinity."""
    number = value if isinstance(value, Decimal) else Decimal(repr(value))
    if not number.is_finite():
        raise ValueError("must be a finite number")
    return number


def is_plain(number: Decimal) -> bool:
    """Whether every reader of JSON sees this number as the same value."""
    if number == 0:
        return True
    significant = "".join(map(str, number.as_tuple().digits)).strip("0")
    return len(significant) <= MAX_DIGITS and _SMALLEST <= abs(number) < _BEYOND


def number_text(value: int | float | Decimal) -> str:
    number = exact(value)
    if number == 0:
        return "0"
    text = format(number, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def encode(document: Any) -> bytes:
    """The canonical bytes. Raises NotCanonical for what is no JSON or is too deep."""
    parts: list[str] = []
    _write(document, "", parts, 0)
    return "".join(parts).encode("utf-8")


def digest(document: Any) -> str:
    """`sha256:` and the hex digest of the canonical bytes."""
    return "sha256:" + hashlib.sha256(encode(document)).hexdigest()


def _write(value: Any, path: str, parts: list[str], depth: int) -> None:
    if depth > MAX_DEPTH:
        raise NotCanonical(path, f"is nested deeper than {MAX_DEPTH}")
    if value is None:
        parts.append("null")
    elif isinstance(value, bool):
        parts.append("true" if value else "false")
    elif isinstance(value, str):
        parts.append(_text(value, path))
    elif isinstance(value, (int, float, Decimal)):
        parts.append(_number(value, path))
    elif isinstance(value, dict):
        _write_object(value, path, parts, depth)
    elif isinstance(value, (list, tuple)):
        parts.append("[")
        for place, item in enumerate(value):
            if place:
                parts.append(",")
            _write(item, f"{path}[{place}]", parts, depth + 1)
        parts.append("]")
    else:
        raise NotCanonical(path, f"holds a {type(value).__name__}, which is not JSON")


def _write_object(value: dict[Any, Any], path: str, parts: list[str], depth: int) -> None:
    for key in value:
        if not isinstance(key, str):
            raise NotCanonical(path, f"has the key {key!r}; keys are strings")
    written = {key: _text(key, path) for key in value}
    parts.append("{")
    # RFC 8785 sorts by UTF-16 code units, which differs from code points beyond the BMP.
    for place, key in enumerate(sorted(value, key=lambda name: name.encode("utf-16-be"))):
        if place:
            parts.append(",")
        parts.append(written[key] + ":")
        _write(value[key], f"{path}.{key}" if path else key, parts, depth + 1)
    parts.append("}")


def _text(value: str, path: str) -> str:
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise NotCanonical(path, "holds half of a surrogate pair") from error
    return json.dumps(value, ensure_ascii=False)


def _number(value: int | float | Decimal, path: str) -> str:
    try:
        if isinstance(value, int) and abs(value) >= 10**MAX_DIGITS:
            raise ValueError(f"must have at most {MAX_DIGITS} digits")
        number = exact(value)
        if not is_plain(number):
            raise ValueError(f"must have at most {MAX_DIGITS} digits and at least 0.000001")
    except ValueError as error:
        raise NotCanonical(path, str(error)) from error
    return number_text(number)
