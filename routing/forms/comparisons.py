"""One condition as a form: it keeps its signal, and the operator and the value are chosen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms

from routing.engine.clauses import OPERATORS_OF
from routing.engine.registry import BOOL, ENUM, INT, NUMBER, OPEN_ENUM, TAGS, Registry, Signal
from routing.services.documents import plain_number

OPERATOR_WORDS = {
    "eq": "is",
    "ne": "is not",
    "in": "is one of",
    "not_in": "is none of",
    "lt": "is below",
    "lte": "is at most",
    "gt": "is above",
    "gte": "is at least",
    "between": "is between",
    "present": "is known",
    "absent": "is not known",
    "contains_any": "includes one of",
    "contains_all": "includes all of",
    "contains_none": "includes none of",
    "starts_with": "starts with",
}
SEVERAL = frozenset({"in", "not_in", "contains_any", "contains_all", "contains_none"})
WITHOUT_VALUE = frozenset({"present", "absent"})
# As many words as a condition may name, each as long as it may be, in quotes.
MAX_TYPED = 25_000
_KIND_HELP = {
    INT: "A whole number; for “between” two with a space, for “one of” several with commas.",
    NUMBER: "A number; for “between” two with a space, for “one of” several with commas.",
    OPEN_ENUM: "A word; for “one of” several with commas, and quotes around one that has a comma.",
    TAGS: "One or more words with commas, and quotes around one that has a comma.",
}


def number_of(text: str) -> int | float:
    """The number that a person typed. Raises ValueError for what is no finite number."""
    try:
        number = Decimal(text.strip().replace("\u2212", "-"))
    except InvalidOperation:
        raise ValueError(f"{text.strip()[:40]!r} is no number") from None
    if not number.is_finite():
        raise ValueError(f"{text.strip()[:40]!r} is no number")
    return plain_number(number)


def can_show(item: Any, registry: Registry) -> bool:
    """Whether the form of one condition can show this item without losing anything."""
    if not isinstance(item, dict) or len(item) != 1:
        return False
    ((name, comparison),) = item.items()
    signal = registry.get(name)
    if signal is None or not isinstance(comparison, dict) or len(comparison) != 1:
        return False
    ((operator, constant),) = comparison.items()
    if operator not in OPERATORS_OF[signal.kind]:
        return False
    if operator in WITHOUT_VALUE:
        return constant is True
    if isinstance(constant, list) != (operator in SEVERAL or operator == "between"):
        return False
    several = constant if isinstance(constant, list) else [constant]
    return all(_fits(one, signal, operator) for one in several)


def _fits(one: Any, signal: Signal, operator: str) -> bool:
    if signal.kind in (BOOL, INT, NUMBER):
        return isinstance(one, (int, float)) and isinstance(one, bool) == (signal.kind == BOOL)
    # A field of one line would drop the line break.
    if not isinstance(one, str) or not one.strip() or "\n" in one or "\r" in one:
        return False
    return not signal.values or operator == "starts_with" or one in signal.values


_QUOTED = re.compile(r'\s*"((?:[^"]|"")*)"\s*\Z')
_WORD = re.compile(r'\s*(?:"((?:[^"]|"")*)"|([^,]*?))\s*(?:,|\Z)')


def word_of(text: str) -> str:
    """One word as it was typed; quotes keep the spaces at its ends."""
    quoted = _QUOTED.match(text)
    return quoted[1].replace('""', '"') if quoted else text.strip()


def words_of(text: str) -> list[str]:
    """Several words with commas between them; a word in quotes may hold a comma itself."""
    found = [
        quoted.replace('""', '"') if quoted else plain for quoted, plain in _WORD.findall(text)
    ]
    return [word for word in found if word]


def shown_word(word: str, *, among_others: bool) -> str:
    """The word so that `word_of` and `words_of` read it back unchanged."""
    if word != word.strip() or word.startswith('"') or (among_others and "," in word):
        return '"' + word.replace('"', '""') + '"'
    return word


def has_checkboxes(signal: Signal, operator: str) -> bool:
    return bool(signal.values) and signal.kind in (ENUM, TAGS) and operator != "starts_with"


class ConditionForm(forms.Form):
    """Operator and value of one signal; the controls follow the signal's type."""

    operator = forms.ChoiceField(label="How it compares")

    def __init__(
        self,
        *args: Any,
        signal: Signal,
        shown_operator: str = "",
        place: str = "",
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.signal = signal
        allowed = [
            name
            for name in OPERATORS_OF[signal.kind]
            # A closed list needs no prefix; one that was written elsewhere stays possible.
            if name != "starts_with" or not signal.values or shown_operator == name
        ]
        operator = self.fields["operator"]
        operator.choices = [(name, OPERATOR_WORDS[name]) for name in allowed]
        # A signal may be tested twice, so its words alone would not tell the fields apart.
        where = f", condition {place}" if place else ""
        operator.widget.attrs["aria-label"] = f"How {signal.words} compares{where}"
        self.fields["value"] = self._value_field(shown_operator)
        label = f"Value of {signal.words}{where}"
        if self.has_checkboxes:
            # Each box has a name of its own, which a label for all would hide.
            self.fields["value"].label = f"Value of {signal.words}"
        else:
            self.fields["value"].widget.attrs.setdefault("aria-label", label)

    def _value_field(self, shown_operator: str) -> forms.Field:
        signal = self.signal
        if signal.kind == BOOL:
            choices = [("true", "true"), ("false", "false")]
            return forms.ChoiceField(label="Value", choices=choices, required=False)
        if has_checkboxes(signal, shown_operator):
            return forms.MultipleChoiceField(
                label="Value",
                choices=[(value, value.replace("_", " ")) for value in signal.values],
                widget=forms.CheckboxSelectMultiple,
                required=False,
            )
        widget = forms.TextInput(
            attrs={"inputmode": "decimal" if signal.kind in (INT, NUMBER) else "text"}
        )
        return forms.CharField(
            label="Value",
            widget=widget,
            required=False,
            max_length=MAX_TYPED,
            strip=False,
            help_text=_KIND_HELP.get(signal.kind, ""),
        )

    @property
    def has_checkboxes(self) -> bool:
        return isinstance(self.fields["value"], forms.MultipleChoiceField)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        operator = cleaned.get("operator")
        if operator and "value" in cleaned:
            try:
                cleaned["constant"] = self._constant(operator, cleaned["value"])
            except ValueError as error:
                self.add_error("value", str(error))
        return cleaned

    def _constant(self, operator: str, value: Any) -> Any:
        if operator in WITHOUT_VALUE:
            return True
        if self.signal.kind == BOOL:
            if value not in ("true", "false"):
                raise ValueError("Choose true or false.")
            return value == "true"
        if self.has_checkboxes:
            if operator in SEVERAL:
                if not value:
                    raise ValueError("Tick at least one.")
                return list(value)
            if len(value) != 1:
                raise ValueError(f"Tick exactly one, or choose “{OPERATOR_WORDS['in']}”.")
            return value[0]
        if not value.strip():
            raise ValueError("Give a value.")
        return self._typed(operator, value)

    def _typed(self, operator: str, text: str) -> Any:
        is_number = self.signal.kind in (INT, NUMBER)
        if operator == "between":
            ends = text.replace(",", " ").replace(" and ", " ").split()
            if len(ends) != 2:
                raise ValueError("Give two numbers with a space between: the lower one first.")
            return [number_of(end) for end in ends]
        if operator in SEVERAL:
            words = words_of(text)
            return [number_of(word) for word in words] if is_number else words
        return number_of(text) if is_number else word_of(text)

    def leaf(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        return {self.signal.name: {cleaned["operator"]: cleaned["constant"]}}


def initial_of(leaf: Mapping[str, Any], *, has_checkboxes: bool) -> dict[str, Any]:
    """What the form shows for a stored comparison."""
    ((_, comparison),) = leaf.items()
    ((operator, constant),) = comparison.items()
    shown: Any
    if operator in WITHOUT_VALUE:
        shown = [] if has_checkboxes else ""
    elif isinstance(constant, bool):
        shown = "true" if constant else "false"
    elif has_checkboxes:
        shown = constant if isinstance(constant, list) else [constant]
    elif isinstance(constant, list):
        joint = " " if operator == "between" else ", "
        shown = joint.join(_text(one, among_others=True) for one in constant)
    else:
        shown = _text(constant, among_others=False)
    return {"operator": operator, "value": shown}


def _text(constant: Any, *, among_others: bool) -> str:
    if isinstance(constant, float):
        text = format(Decimal(repr(constant)), "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
    if isinstance(constant, str):
        return shown_word(constant, among_others=among_others)
    return str(constant)


def same_leaf(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two comparisons mean the same; the order of a list of values means nothing."""
    if one == other:
        return True
    try:
        ((signal, ours),) = one.items()
        ((other_signal, theirs),) = other.items()
        ((operator, mine),) = ours.items()
        ((other_operator, other_mine),) = theirs.items()
    except (ValueError, AttributeError):
        return False
    if signal != other_signal or operator != other_operator or operator not in SEVERAL:
        return False
    return sorted(map(str, mine)) == sorted(map(str, other_mine))
