"""The named features of a user turn that a classifier weighs. Pure functions of the text.

Each is between 0 and 1, so that a weight reads as "at most so many quality points". Their order is
fixed: artefacts name them, and a feature that an artefact does not name weighs nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from routing.engine import lexicons as lists

_OPTION = re.compile(r"\n ?\(?[A-J][.):] ")
_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_FORMULA = re.compile(r"\\[a-z]{2,12}\b|\$[^$\n]{1,40}\$|[a-z0-9)] ?(?:\^|[=<>]) ?[-a-z0-9(]")
_CAPITALISED = re.compile(r"[A-Z][a-z]")
_DECIMAL = re.compile(r"\d\.\d")
_SAMPLED = 400

# (name, the words that people read)
FEATURES: tuple[tuple[str, str], ...] = (
    ("length", "length of the prompt"),
    ("few_words", "few words"),
    ("sentences", "number of sentences"),
    ("long_sentences", "long sentences"),
    ("long_words", "share of long words"),
    ("distinct_words", "share of different words"),
    ("capitals", "share of capital letters"),
    ("punctuation", "share of punctuation"),
    ("commas", "number of commas"),
    ("beyond_ascii", "share of letters beyond ASCII"),
    ("several_questions", "asks several questions"),
    ("ends_with_question", "ends with a question mark"),
    ("starts_with_question", "starts with a question word"),
    ("asks_which", "asks which"),
    ("asks_quantity", "asks how many or how much"),
    ("options", "answer options"),
    ("superlatives", "asks for the best or most likely"),
    ("statement_options", "options that judge statements"),
    ("numbers", "number of numbers"),
    ("decimals", "decimal numbers"),
    ("large_numbers", "size of the largest number"),
    ("number_words", "numbers in words"),
    ("fractions", "halves, thirds and other fractions"),
    ("money", "amounts of money"),
    ("formula", "formulas"),
    ("arithmetic", "words of reckoning"),
    ("quantities", "words of quantity"),
    ("code", "program text"),
    ("symbols", "brackets and operators"),
    ("negation", "negations"),
    ("conditions", "conditions"),
    ("steps", "steps in time"),
    ("connectives", "words of argument"),
    ("narrative", "a story about people"),
    ("names", "names"),
    ("quotes", "quotations"),
    ("first_person", "speaks of the writer"),
    ("second_person", "addresses the reader"),
    ("service_words", "everyday service words"),
    ("compose", "asks for a text"),
    ("explain", "asks for an explanation"),
    ("legal", "legal words"),
    ("medical", "medical words"),
    ("finance", "finance words"),
    ("account", "words of accounts and orders"),
    ("technical", "technical words"),
    ("math", "mathematical words"),
)
FEATURE_NAMES = tuple(name for name, _ in FEATURES)
FEATURE_WORDS = dict(FEATURES)

_PATTERNS = {
    # In ASCII text a range of characters is found three times faster than a category.
    True: (re.compile(r"[0-9][0-9,]*(?:\.[0-9]+)?"), re.compile(r"[0-9]\.[0-9]")),
    False: (_NUMBER, _DECIMAL),
}
_UPPER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_PUNCTUATION, _SYMBOLS = b',;:()"', b"{}[]();=<>"

# Lists of which the distinct words count, with how many of them are the most: in this order.
_LISTED: tuple[tuple[frozenset[str], float], ...] = (
    (lists.SUPERLATIVES, 3),
    (lists.ARITHMETIC, 6),
    (lists.QUANTITIES, 5),
    (lists.NEGATIONS, 3),
    (lists.CONDITIONALS, 3),
    (lists.CONNECTIVES, 2),
    (lists.NARRATIVE, 4),
    (lists.FIRST_PERSON, 2),
    (lists.SECOND_PERSON, 2),
    (lists.SERVICE_VERBS, 2),
    (lists.COMPOSE, 2),
    (lists.EXPLAIN, 2),
    (lists.LEGAL, 5),
    (lists.MEDICAL, 5),
    (lists.FINANCE, 4),
    (lists.ACCOUNT, 3),
    (lists.TECHNICAL, 4),
    (lists.MATH, 5),
)
_MOST = tuple(most for _, most in _LISTED)
# Lists of which every occurrence counts.
_REPEATED = (lists.NUMBER_WORDS, lists.FRACTIONS, lists.STEPS)


def _index(listed: Sequence[frozenset[str]]) -> dict[str, tuple[int, ...]]:
    """The lists that hold a word: one look-up a word instead of one for every list."""
    found: dict[str, tuple[int, ...]] = {}
    for place, words in enumerate(listed):
        for word in words:
            found[word] = (*found.get(word, ()), place)
    return found


_LISTS_OF = _index([listed for listed, _ in _LISTED])
_REPEATED_OF = _index(_REPEATED)


def features_of(text: str, words: Sequence[str]) -> list[float]:
    """The features in the order of FEATURES. `words` are the text's lower-case words."""
    distinct = set(words)
    counts = [0] * len(_LISTED)
    for places in filter(None, map(_LISTS_OF.get, distinct)):
        for place in places:
            counts[place] += 1
    repeated = [0, 0, 0]
    for places in filter(None, map(_REPEATED_OF.get, words)):
        for place in places:
            repeated[place] += 1
    shares = [
        1.0 if count >= most else count / most for count, most in zip(counts, _MOST, strict=True)
    ]
    ends = _sentences(text)
    return [
        *_structure(text, words, distinct, ends),
        *_question(text, words, distinct, shares[0]),
        *_numbers(text, repeated, shares[1:3]),
        *_wording(text, ends, repeated[2], shares[3:12]),
        *shares[12:],
    ]


def _up_to(value: float, most: float) -> float:
    return value / most if value < most else 1.0


def _sentences(text: str) -> int:
    ends = 1 + text.count(". ")
    if "?" in text:
        ends += text.count("? ") + text.count("?\n")
    if "!" in text:
        ends += text.count("! ")
    return ends + text.count(".\n") if "\n" in text else ends


def _of_these(text: str, characters: bytes) -> int:
    """How many of these ASCII characters there are."""
    raw = text.encode("utf-8", "replace")
    return len(raw) - len(raw.translate(None, characters))


def _structure(text: str, words: Sequence[str], distinct: set[str], ends: int) -> list[float]:
    count, size = len(words) or 1, len(text) or 1
    letters = len("".join(words))
    head = text[:_SAMPLED]
    capitals = _of_these(head, _UPPER) if head.isascii() else sum(map(str.isupper, head))
    return [
        _up_to(count, 250),
        1.0 - _up_to(count, 20),
        _up_to(ends - 1, 10),
        _up_to(count / ends, 40),
        _up_to(max(letters / count - 3.5, 0), 3),
        len(distinct) / count,
        _up_to(capitals / min(size, _SAMPLED), 0.2),
        _up_to(_of_these(text, _PUNCTUATION) / size, 0.06),
        _up_to(text.count(","), 8),
        0.0 if text.isascii() else _up_to(sum(c > "\x7f" for c in text) / size, 0.3),
    ]


def _question(
    text: str, words: Sequence[str], distinct: set[str], superlatives: float
) -> list[float]:
    marks = text.count("?")
    options = len(_OPTION.findall(text)) if "\n" in text else 0
    lower = text.lower()
    return [
        _up_to(max(marks - 1, 0), 3),
        float(text[-24:].rstrip().endswith("?")),
        float(bool(words) and words[0] in lists.QUESTION_WORDS),
        float("which" in distinct),
        float("how many" in lower or "how much" in lower),
        _up_to(options, 4),
        superlatives,
        float("true, true" in lower or ("statement" in distinct and options > 0)),
    ]


def _numbers(text: str, repeated: Sequence[int], shares: Sequence[float]) -> list[float]:
    number, decimal = _PATTERNS[text.isascii()]
    found = number.findall(text)
    largest = max((float(one.replace(",", "")) for one in found), default=0.0)
    formula = len(_FORMULA.findall(text)) if _of_these(text, b"^=<>\\$") else 0
    return [
        _up_to(len(found), 6),
        _up_to(len(decimal.findall(text)), 2) if found and "." in text else 0.0,
        _up_to(math.log10(1 + largest), 5),
        _up_to(repeated[0], 6),
        _up_to(repeated[1], 3),
        _up_to(sum(map(text.count, "$€£")), 3),
        _up_to(float(formula), 4),
        *shares,
    ]


def _wording(text: str, ends: int, steps: int, shares: Sequence[float]) -> list[float]:
    size = len(text) or 1
    negations, conditions, connectives, narrative, *rest = shares
    return [
        float("```" in text or "def " in text or "};" in text or "</" in text),
        _up_to(_of_these(text, _SYMBOLS) / size, 0.05),
        negations,
        conditions,
        _up_to(steps, 5),
        connectives,
        narrative,
        _up_to(max(len(_CAPITALISED.findall(text)) - ends, 0), 5),
        _up_to(text.count('"') + text.count("“"), 4),
        *rest,
    ]
