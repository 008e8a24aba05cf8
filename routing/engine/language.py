"""The language of a text by script and by its commonest words; None when it is not clear."""

from __future__ import annotations

import re
from collections.abc import Sequence

from routing.engine.lexicons import STOP_WORDS

_SCRIPTS = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7af\u1100-\u11ff]")),
    ("zh", re.compile("[\u4e00-\u9fff]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
)
# Whatever is neither Latin nor punctuation.
_OTHER_SCRIPT = re.compile("[\u0400-\u1fff\u3040-\uffdf]")
# Japanese is written with Chinese characters too: a few kana decide for it.
_KANA_SHARE, _SCRIPT_SHARE = 0.05, 0.3
_LOOKED_AT, _WORDS_COUNTED = 2_000, 120
_FEWEST_HITS, _LEAST_SHARE = 2, 0.12


def language_of(text: str, words: Sequence[str]) -> str | None:
    """A two-letter code. `words` are the text's lower-case words."""
    if not text.isascii():
        by_script = _by_script(text[:_LOOKED_AT])
        if by_script is not None:
            return by_script
    return _by_words(words[:_WORDS_COUNTED])


def _by_script(text: str) -> str | None:
    other = "".join(_OTHER_SCRIPT.findall(text))
    if not other:
        return None
    letters = len(text) - sum(map(text.count, " \n.,0123456789"))
    for code, pattern in _SCRIPTS:
        share = len(pattern.findall(other)) / max(letters, 1)
        if share > (_KANA_SHARE if code == "ja" else _SCRIPT_SHARE):
            return code
    return None


def _by_words(words: Sequence[str]) -> str | None:
    distinct = set(words)
    if not distinct:
        return None
    hits = sorted(((len(distinct & stop), code) for code, stop in STOP_WORDS.items()), reverse=True)
    (most, code), (second, _) = hits[0], hits[1]
    enough = most >= _FEWEST_HITS and most / len(distinct) >= _LEAST_SHARE
    return code if enough and most > second else None
