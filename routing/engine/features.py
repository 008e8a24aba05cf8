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

_FIRST_PERSON, _SECOND_PERSON = lists.FIRST_PERSON, lists.SECOND_PERSON


def features_of(text: str, words: Sequence[str]) -> list[float]:
    """The features in the order of FEATURES. `words` are the text's lower-case words."""
    distinct = set(words)
    return [
        *_structure(text, words, distinct),
        *_question(text, words, distinct),
        *_numbers(text, words, distinct),
        *_wording(text, words, distinct),
        *_domains(distinct),
    ]


def _up_to(value: float, most: float) -> float:
    return value / most if value < most else 1.0


def _hits(distinct: set[str], listed: frozenset[str], most: float) -> float:
    return _up_to(len(distinct & listed), most)


def _sentences(text: str) -> int:
    return 1 + sum(map(text.count, (". ", "? ", "! ", ".\n", "?\n")))


def _structure(text: str, words: Sequence[str], distinct: set[str]) -> list[float]:
    count, size = len(words) or 1, len(text) or 1
    ends = _sentences(text)
    letters = sum(map(len, words))
    return [
        _up_to(count, 250),
        1.0 - _up_to(count, 20),
        _up_to(ends - 1, 10),
        _up_to(count / ends, 40),
        _up_to(max(letters / count - 3.5, 0), 3),
        len(distinct) / count,
        _up_to(sum(map(str.isupper, text[:_SAMPLED])) / min(size, _SAMPLED), 0.2),
        _up_to(sum(map(text.count, ',;:()"')) / size, 0.06),
        _up_to(text.count(","), 8),
        0.0 if text.isascii() else _up_to(sum(c > "\x7f" for c in text) / size, 0.3),
    ]


def _question(text: str, words: Sequence[str], distinct: set[str]) -> list[float]:
    marks = text.count("?")
    options = len(_OPTION.findall(text))
    tail = text[-24:].rstrip().lower()
    return [
        _up_to(max(marks - 1, 0), 3),
        float(tail.endswith("?")),
        float(bool(words) and words[0] in lists.QUESTION_WORDS),
        float("which" in distinct),
        float("how many" in text.lower() or "how much" in text.lower()),
        _up_to(options, 4),
        _hits(distinct, lists.SUPERLATIVES, 3),
        float("true, true" in text.lower() or ("statement" in distinct and options > 0)),
    ]


def _numbers(text: str, words: Sequence[str], distinct: set[str]) -> list[float]:
    found = _NUMBER.findall(text)
    largest = max((float(number.replace(",", "")) for number in found), default=0.0)
    formula = any(sign in text for sign in "^=<>\\$") and len(_FORMULA.findall(text))
    return [
        _up_to(len(found), 6),
        _up_to(len(_DECIMAL.findall(text)), 2) if found else 0.0,
        _up_to(math.log10(1 + largest), 5),
        _up_to(sum(map(lists.NUMBER_WORDS.__contains__, words)), 6),
        _up_to(sum(map(lists.FRACTIONS.__contains__, words)), 3),
        _up_to(sum(map(text.count, "$€£")), 3),
        _up_to(float(formula), 4),
        _hits(distinct, lists.ARITHMETIC, 6),
        _hits(distinct, lists.QUANTITIES, 5),
    ]


def _wording(text: str, words: Sequence[str], distinct: set[str]) -> list[float]:
    size = len(text) or 1
    symbols = sum(map(text.count, "{}[]();=<>"))
    return [
        float("```" in text or "def " in text or "};" in text or "</" in text),
        _up_to(symbols / size, 0.05),
        _hits(distinct, lists.NEGATIONS, 3),
        _hits(distinct, lists.CONDITIONALS, 3),
        _up_to(sum(map(lists.STEPS.__contains__, words)), 5),
        _hits(distinct, lists.CONNECTIVES, 2),
        _hits(distinct, lists.NARRATIVE, 4),
        _up_to(max(len(_CAPITALISED.findall(text)) - _sentences(text), 0), 5),
        _up_to(text.count('"') + text.count("“"), 4),
        _hits(distinct, _FIRST_PERSON, 2),
        _hits(distinct, _SECOND_PERSON, 2),
        _hits(distinct, lists.SERVICE_VERBS, 2),
        _hits(distinct, lists.COMPOSE, 2),
        _hits(distinct, lists.EXPLAIN, 2),
    ]


def _domains(distinct: set[str]) -> list[float]:
    return [
        _hits(distinct, lists.LEGAL, 5),
        _hits(distinct, lists.MEDICAL, 5),
        _hits(distinct, lists.FINANCE, 4),
        _hits(distinct, lists.ACCOUNT, 3),
        _hits(distinct, lists.TECHNICAL, 4),
        _hits(distinct, lists.MATH, 5),
    ]
