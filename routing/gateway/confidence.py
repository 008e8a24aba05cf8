"""Measures how sure a model was of its own answer, from the probabilities of its tokens.

Everything is between 0 and 1 and None where nothing could be measured, which counts as uncertain.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any, NamedTuple

from routing.gateway.shapes import fits

# The first tokens say how an answer begins, not whether it is right.
_SKIPPED, _FEWEST_LEFT = 5, 5
_LOWEST = Decimal("0.10")
_LONGEST_LABEL = 8
_PLACES = Decimal("0.0001")
_CHOICE = re.compile(
    r"(?:answer|choice|option)\s*(?:is|:)?\s*\(?([A-Ja-j])\b\)?|^\s*\(?([A-J])(?:[\).:]|\s*$)", re.I
)
_NUMBER = re.compile(r"-?\d[\d,]*(?:\.\d+)?")
_SCALAR = re.compile(r"-?\d[^,\]}\s]*|true|false|null")


class Token(NamedTuple):
    """``others`` are the alternatives that the backend reported, the chosen one among them."""

    text: str
    logprob: float
    others: tuple[tuple[str, float], ...]
    raw: bytes


def tokens_of(logprobs: Any) -> list[Token]:
    """The tokens of one choice's ``logprobs``; empty where the backend reports none."""
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    found = []
    for item in content if isinstance(content, list) else ():
        token = _token(item)
        if token is None:
            # Half of a report is none: what is missing could be the doubtful part.
            return []
        found.append(token)
    return found


def _token(item: Any) -> Token | None:
    if not isinstance(item, dict) or not _is_logprob(item.get("logprob")):
        return None
    others = tuple(
        (str(one.get("token", "")), float(one["logprob"]))
        for one in item.get("top_logprobs") or ()
        if isinstance(one, dict) and _is_logprob(one.get("logprob"))
    )
    text, parts = str(item.get("token", "")), item.get("bytes")
    # Half of a character has no text of its own; the bytes say what it was.
    is_whole = isinstance(parts, list) and all(
        isinstance(one, int) and 0 <= one < 256 for one in parts
    )
    raw = bytes(parts) if is_whole and isinstance(parts, list) else text.encode()
    return Token(text, float(item["logprob"]), others, raw)


def _is_logprob(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and value <= 1e-6


def _decimal(value: float) -> Decimal:
    return Decimal(min(1.0, max(0.0, value))).quantize(_PLACES)


def _tail(tokens: Sequence[Token]) -> Sequence[Token]:
    return tokens[_SKIPPED:] if len(tokens) >= _SKIPPED + _FEWEST_LEFT else tokens


def token_q10(tokens: Sequence[Token]) -> Decimal | None:
    """The probability below which a tenth of the answer's tokens lie."""
    if not tokens:
        return None
    ordered = sorted(token.logprob for token in _tail(tokens))
    return _decimal(math.exp(ordered[int(_LOWEST * len(ordered))]))


def token_mean(tokens: Sequence[Token]) -> Decimal | None:
    """The geometric mean of the tokens' probabilities."""
    if not tokens:
        return None
    tail = _tail(tokens)
    return _decimal(math.exp(sum(token.logprob for token in tail) / len(tail)))


def label_margin(tokens: Sequence[Token]) -> Decimal | None:
    """How far the label is ahead of the next best one, at its most doubtful token."""
    said = [token for token in tokens if token.text.strip()]
    if not said or len(said) > _LONGEST_LABEL or not all(token.others for token in said):
        return None
    return _decimal(min(_margin(token) for token in said))


def _margin(token: Token) -> float:
    shares: dict[str, float] = {}
    for text, logprob in token.others:
        # " Yes" and "yes" are one label.
        name = text.strip().lower()
        shares[name] = shares.get(name, 0.0) + math.exp(logprob)
    total = sum(shares.values())
    own = shares.pop(token.text.strip().lower(), 0.0)
    return (own - max(shares.values(), default=0.0)) / total if total else 0.0


def share_of_yes(tokens: Sequence[Token]) -> Decimal | None:
    """The share of yes among yes and no at the first word, for a verifier's verdict."""
    first = next((token for token in tokens if token.text.strip()), None)
    if first is None:
        return None
    shares = {"yes": 0.0, "no": 0.0}
    for text, logprob in first.others or ((first.text, first.logprob),):
        name = text.strip().lower()
        if name in shares:
            shares[name] += math.exp(logprob)
    total = sum(shares.values())
    return _decimal(shares["yes"] / total) if total else Decimal(0)


def json_field_min(text: str, tokens: Sequence[Token], schema: Any = None) -> Decimal | None:
    """The doubt of the most doubtful field; an answer that breaks its schema is worth nothing."""
    try:
        value = json.loads(text)
    except ValueError:
        return Decimal(0)
    if isinstance(schema, Mapping) and not fits(value, schema):
        return Decimal(0)
    starts = b"".join(token.raw for token in tokens).find(text.encode()) if tokens else -1
    if starts < 0:
        return None
    spans = ((len(text[:at].encode()), len(text[:end].encode())) for at, end in _leaves(text))
    found = [_q10_between(tokens, starts + at, starts + end) for at, end in spans]
    fields = [one for one in found if one is not None]
    return min(fields) if fields else token_q10(tokens)


def _q10_between(tokens: Sequence[Token], start: int, end: int) -> Decimal | None:
    at, inside = 0, []
    for token in tokens:
        if at < end and at + len(token.raw) > start:
            inside.append(token.logprob)
        at += len(token.raw)
    if not inside:
        return None
    inside.sort()
    return _decimal(math.exp(inside[int(_LOWEST * len(inside))]))


def _leaves(text: str) -> Iterator[tuple[int, int]]:
    """Where the values that are no object or list stand in a valid JSON text."""
    at = 0
    while at < len(text):
        if text[at] == '"':
            end = scanstring(text, at + 1, True)[1]
            if not text[end:].lstrip().startswith(":"):
                yield at, end
            at = end
        elif match := _SCALAR.match(text, at):
            yield at, match.end()
            at = match.end()
        else:
            at += 1


def label_of(text: str) -> str:
    """What a closed answer says: the letter of a choice, its last number, or its only line."""
    choices = [one or other for one, other in _CHOICE.findall(text)]
    if choices:
        return str(choices[-1]).upper()
    numbers = _NUMBER.findall(text)
    if numbers:
        return format(Decimal(numbers[-1].replace(",", "")).normalize(), "f")
    return " ".join(text.casefold().split()).strip(" .!\"'")


def agreement(one: str, other: str | None) -> Decimal | None:
    """1 where two models say the same, 0 where they do not; None where one said nothing."""
    if other is None or not one.strip() or not other.strip():
        return None
    return Decimal(1) if label_of(one) == label_of(other) else Decimal(0)
