"""Kinds of personal data and secrets in a text. Says which kinds, never what or where.

Numbers count only when their checksum or their numbering plan holds. Every pattern is anchored and
bounded, so the time grows with the text and with nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Callable

# A longer text is not searched at all: the signal is then unmeasured, which is the strict reading.
MAX_SEARCHED = 400_000

# Every number below has six such characters in a row; most texts have none.
_NUMBER_LIKE = re.compile(r"\d(?:[ ().\-/]{0,2}[\dA-Z]){5}")
# The same for ASCII text, where a range of characters is found faster than a category.
_NUMBER_LIKE_ASCII = re.compile(r"[0-9](?:[ ().\-/]{0,2}[0-9A-Z]){5}")
_EMAIL = re.compile(
    r"(?<=[A-Za-z0-9_%+-])@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,4}\.[A-Za-z]{2,24}\b"
)
_PHONES = (
    re.compile(r"(?<![\w+])\+\d{1,3}[ ./-]?\(?\d{1,4}\)?(?:[ ./-]?\d{2,4}){2,4}(?!\d)"),
    re.compile(r"(?<![\w+])(?<!\d )00[1-9]\d{0,2}[ ./-]\d{1,4}(?:[ ./-]?\d{2,4}){2,4}(?!\d)"),
    re.compile(r"(?<![\w.])(?:\([2-9]\d{2}\) ?|[2-9]\d{2}[-.])[2-9]\d{2}[-.]\d{4}(?!\d)"),
    re.compile(r"(?<![\w.])(?<!\d )0\d{2,4}[ /-]\d{3,4}[ -]?\d{3,5}(?!\d)"),
)
_CARD = re.compile(r"(?<![\d.,])[2-6]\d{3}(?:[ -]?\d){9,15}(?!\d)")
_IBAN = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?")
# A character and a marker that must be there are far cheaper to look for than the shape.
_SECRETS = (
    ("-", "sk-", re.compile(r"\bsk-[A-Za-z0-9_-]{20,200}")),
    ("K", "AKIA", re.compile(r"\bAKIA[0-9A-Z]{16}\b")),
    ("_", "ghp_", re.compile(r"\bghp_[A-Za-z0-9]{36}")),
    ("_", "gho_", re.compile(r"\bgho_[A-Za-z0-9]{36}")),
    ("_", "ghs_", re.compile(r"\bghs_[A-Za-z0-9]{36}")),
    ("_", "github_pat_", re.compile(r"\bgithub_pat_[A-Za-z0-9_]{40}")),
    ("-", "glpat-", re.compile(r"\bglpat-[A-Za-z0-9_-]{20}")),
    ("-", "xox", re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{10}")),
    ("I", "AIza", re.compile(r"\bAIza[A-Za-z0-9_-]{35}")),
    (
        ".",
        "eyJ",
        re.compile(r"\beyJ[A-Za-z0-9_-]{8,2000}\.eyJ[A-Za-z0-9_-]{8,4000}\.[A-Za-z0-9_-]{8}"),
    ),
    ("-", "PRIVATE KEY", re.compile(r"-----BEGIN (?:[A-Z]{2,10} ){0,2}PRIVATE KEY-----")),
)
_SECRET_WORDS = ("password", "passwort", "secret", "api_key", "api-key", "apikey", "token")
_ASSIGNED = re.compile(
    r"(?i)(?:password|passwort|secret|api[_-]?key|token)[\"']?[ \t]{0,3}[:=][ \t]{0,3}[\"']?"
    r"(?=[^\s\"']{0,40}\d)[^\s\"']{8}"
)

_IBAN_TABLE = """
AD:24 AE:23 AL:28 AT:20 AZ:28 BA:20 BE:16 BG:22 BH:22 BR:29 BY:28 CH:21 CR:22 CY:28 CZ:24
DE:22 DK:18 DO:28 EE:20 EG:29 ES:24 FI:18 FO:18 FR:27 GB:22 GE:22 GI:23 GL:18 GR:27 GT:28
HR:21 HU:28 IE:22 IL:23 IQ:23 IS:26 IT:27 JO:30 KW:30 KZ:20 LB:28 LC:32 LI:21 LT:20 LU:20
LV:21 LY:25 MC:27 MD:24 ME:22 MK:19 MR:27 MT:31 MU:30 NL:18 NO:15 PK:24 PL:28 PS:29 PT:25
QA:29 RO:24 RS:22 SA:24 SC:31 SE:24 SI:19 SK:24 SM:27 ST:25 SV:28 TL:23 TN:24 TR:26 UA:29
VA:22 VG:24 XK:20
"""
_IBAN_LENGTHS = {pair[:2]: int(pair[3:]) for pair in _IBAN_TABLE.split()}


def personal_tags(text: str) -> frozenset[str] | None:
    """The kinds that were found, or None where the text is too long to search."""
    if len(text) > MAX_SEARCHED:
        return None
    found: set[str] = set()
    if "@" in text and _EMAIL.search(text):
        found.add("email")
    if _has_secret(text):
        found.add("secret")
    number_like = _NUMBER_LIKE_ASCII if text.isascii() else _NUMBER_LIKE
    if number_like.search(text):
        _numbers(text, found)
    return frozenset(found)


def _numbers(text: str, found: set[str]) -> None:
    if any(_is_iban(match.group()) for match in _IBAN.finditer(text)):
        found.add("iban")
    if any(_is_card(match.group()) for match in _CARD.finditer(text)):
        found.add("payment_card")
    if any(
        any(is_one(match.group()) for match in pattern.finditer(text))
        for pattern, is_one in _NATIONAL
    ):
        found.add("national_id")
    if any(8 <= len(_digits(m.group())) <= 15 for p in _PHONES for m in p.finditer(text)):
        found.add("phone")


def _digits(text: str) -> str:
    return "".join(filter(str.isdigit, text))


def _has_secret(text: str) -> bool:
    for character, marker, pattern in _SECRETS:
        if character in text and marker in text and pattern.search(text):
            return True
    if ":" not in text and "=" not in text:
        return False  # Nothing is assigned.
    lower = text.lower()
    return any(word in lower for word in _SECRET_WORDS) and _ASSIGNED.search(text) is not None


def _is_iban(text: str) -> bool:
    joined = text.replace(" ", "")
    length = _IBAN_LENGTHS.get(joined[:2])
    if length is None or len(joined) < length:
        return False
    joined = joined[:length]
    moved = joined[4:] + joined[:4]
    return int("".join(str(int(c, 36)) for c in moved)) % 97 == 1


def _is_card(text: str) -> bool:
    number = _digits(text)
    return (
        13 <= len(number) <= 19 and _card_prefix(number) and _luhn(number) and len(set(number)) > 1
    )


def _card_prefix(number: str) -> bool:
    length, first, two, four = len(number), number[0], int(number[:2]), int(number[:4])
    if first == "4":
        return length in (13, 16, 19)
    if 51 <= two <= 55 or 2221 <= four <= 2720:
        return length == 16
    if two in (34, 37):
        return length == 15
    if two in (36, 38, 39) or 300 <= int(number[:3]) <= 305:
        return length == 14
    return (two in (35, 62, 64, 65) or four == 6011) and length >= 16


def _luhn(number: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(number)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _weighted(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(digit) * weight for digit, weight in zip(digits, weights, strict=False))


def _is_ssn(text: str) -> bool:
    area, group, serial = text.split("-")
    return area not in ("000", "666") and area < "900" and group != "00" and serial != "0000"


def _is_eleven(text: str) -> bool:
    """Eleven digits: a Polish PESEL, a German tax number or a Brazilian CPF."""
    return _is_pesel(text) or _is_german_tax_id(text) or _is_cpf(text)


def _is_pesel(text: str) -> bool:
    month, day = int(text[2:4]) % 20, int(text[4:6])
    if not (1 <= month <= 12 and 1 <= day <= 31):
        return False
    return _weighted(text, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1)) % 10 == 0


def _is_german_tax_id(text: str) -> bool:
    counts = sorted(text[:10].count(digit) for digit in set(text[:10]))
    if text[0] == "0" or counts[-1] not in (2, 3) or len(counts) not in (8, 9):
        return False
    product = 10
    for digit in text[:10]:
        total = (int(digit) + product) % 10 or 10
        product = total * 2 % 11
    return (11 - product) % 10 == int(text[10])


def _is_cpf(text: str) -> bool:
    if len(set(text)) == 1:
        return False
    for length in (9, 10):
        weights = tuple(range(length + 1, 1, -1))
        if _weighted(text[:length], weights) * 10 % 11 % 10 != int(text[length]):
            return False
    return True


def _is_formatted_cpf(text: str) -> bool:
    return _is_cpf(_digits(text))


def _is_dni(text: str) -> bool:
    number = text.upper().translate(str.maketrans("XYZ", "012", " -"))
    if text[0].isdigit():
        number = text.upper().replace("-", "")
    return number[-1] == "TRWAGMYFPDXBNJZSQVHLCKE"[int(number[:-1]) % 23]


def _is_french_id(text: str) -> bool:
    joined = text.replace(" ", "")
    if not 1 <= int(joined[3:5]) <= 12:
        return False
    body = joined[:13].replace("2A", "19").replace("2B", "18")
    return body.isdigit() and 97 - int(body) % 97 == int(joined[13:15])


_ODD = dict(
    zip(
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        (1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3)
        + (6, 8, 12, 14, 16, 10, 22, 25, 24, 23),
        strict=True,
    )
)


def _is_italian_code(text: str) -> bool:
    code = text.upper()
    even = sum(int(c) if c.isdigit() else ord(c) - 65 for c in code[1:15:2])
    return chr((sum(_ODD[c] for c in code[0:15:2]) + even) % 26 + 65) == code[15]


def _is_bsn(text: str) -> bool:
    number = _digits(text)[-9:]
    return _weighted(number, (9, 8, 7, 6, 5, 4, 3, 2, -1)) % 11 == 0 and int(number) > 0


def _is_nino(text: str) -> bool:
    return text[:2] not in ("BG", "GB", "NK", "KN", "TN", "NT", "ZZ")


_NATIONAL: tuple[tuple[re.Pattern[str], Callable[[str], bool]], ...] = (
    (re.compile(r"(?<![\d-])\d{3}-\d{2}-\d{4}(?![\d-])"), _is_ssn),
    (re.compile(r"(?<![\d.,+-])\d{11}(?![\d.,-]\d|\d)"), _is_eleven),
    (re.compile(r"(?<!\d)\d{3}\.\d{3}\.\d{3}-\d{2}(?!\d)"), _is_formatted_cpf),
    (re.compile(r"\b(?:\d{8}-?|[XYZ]-?\d{7}-?)[A-HJ-NP-TV-Z]\b"), _is_dni),
    (re.compile(r"(?<!\d)[12] ?\d\d ?\d\d ?\d[\dAB] ?\d{3} ?\d{3} ?\d\d(?!\d)"), _is_french_id),
    (re.compile(r"\b[A-Z]{6}\d\d[A-EHLMPR-T]\d\d[A-Z]\d{3}[A-Z]\b"), _is_italian_code),
    (re.compile(r"(?i)\b(?:bsn|burgerservicenummer)\D{0,12}\d{9}(?!\d)"), _is_bsn),
    (
        re.compile(r"\b[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d\d ?\d\d ?\d\d ?[A-D]\b"),
        _is_nino,
    ),
)
