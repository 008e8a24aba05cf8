"""The conditions of one rule as rows of a form. A row keeps its signal; only the rest is chosen.

A condition that rows cannot show (a group inside the group) is kept exactly as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

from django import forms
from django.http import QueryDict

from routing.engine.clauses import MAX_LEAVES, OPERATORS_OF
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
_KIND_HELP = {
    INT: "A whole number; for “between” two with a space, for “one of” several with commas.",
    NUMBER: "A number; for “between” two with a space, for “one of” several with commas.",
    OPEN_ENUM: "A word; for “one of” several with commas.",
    TAGS: "One or more words with commas.",
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


def is_shown_as_row(item: Any, registry: Registry) -> bool:
    """Whether a row of the form can show this item of a group without losing anything."""
    if not isinstance(item, dict) or len(item) != 1:
        return False
    ((name, comparison),) = item.items()
    signal = registry.get(name)
    if signal is None or not isinstance(comparison, dict) or len(comparison) != 1:
        return False
    ((operator, constant),) = comparison.items()
    if operator not in OPERATORS_OF[signal.kind]:
        return False
    several = constant if isinstance(constant, list) else [constant]
    return not any(isinstance(one, str) and ("," in one or one != one.strip()) for one in several)


def parts_of(when: Any) -> tuple[str, list[Any]]:
    """`all` or `any`, and the items of the outermost group; one comparison is a group of one."""
    if not isinstance(when, dict) or not when:
        return "all", []
    for kind in ("all", "any"):
        if set(when) == {kind} and isinstance(when[kind], list):
            return kind, when[kind]
    return "all", [when]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One condition as it was shown: `origin` is its place in the stored rule, if it was stored."""

    signal: Signal | None
    origin: int | None
    initial: Mapping[str, Any] = field(default_factory=dict)


class ConditionForm(forms.Form):
    """Operator and value of one signal; the controls follow the signal's type."""

    operator = forms.ChoiceField(label="How it compares")

    def __init__(self, *args: Any, signal: Signal, shown_operator: str = "", **kwargs: Any) -> None:
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
        operator.widget.attrs["aria-label"] = f"How {signal.words} compares"
        self.fields["value"] = self._value_field(shown_operator)
        self.fields["value"].widget.attrs.setdefault("aria-label", f"Value of {signal.words}")

    def _value_field(self, shown_operator: str) -> forms.Field:
        signal = self.signal
        if signal.kind == BOOL:
            choices = [("true", "true"), ("false", "false")]
            return forms.ChoiceField(label="Value", choices=choices, required=False)
        if signal.values and signal.kind in (ENUM, TAGS) and shown_operator != "starts_with":
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
            max_length=2000,
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
            words = [word.strip() for word in text.split(",") if word.strip()]
            return [number_of(word) for word in words] if is_number else words
        return number_of(text) if is_number else text.strip()

    def leaf(self) -> dict[str, Any]:
        cleaned = self.cleaned_data
        return {self.signal.name: {cleaned["operator"]: cleaned["constant"]}}


def initial_of(leaf: Mapping[str, Any]) -> dict[str, Any]:
    """What a row shows for a stored comparison."""
    ((_, comparison),) = leaf.items()
    ((operator, constant),) = comparison.items()
    if operator in WITHOUT_VALUE:
        shown: Any = ""
    elif isinstance(constant, bool):
        shown = "true" if constant else "false"
    elif isinstance(constant, list):
        shown = [_text(one) for one in constant]
    else:
        shown = _text(constant)
    return {"operator": operator, "value": shown}


def _text(constant: Any) -> str:
    if isinstance(constant, float):
        text = format(Decimal(repr(constant)), "f")
        return text.rstrip("0").rstrip(".") if "." in text else text
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


class Conditions:
    """All rows of one rule: read from the stored rule, or from what was sent."""

    def __init__(self, registry: Registry, when: Any, sent: QueryDict | None = None) -> None:
        self.registry = registry
        self.when = when
        self.kind, self.stored = parts_of(when)
        self.rows = self._from_rule() if sent is None else self._from_sent(sent)
        self.error = ""
        self._is_bound = False
        self.sent = sent
        self.forms: list[ConditionForm | None] = self._make()

    def _from_rule(self) -> list[Row]:
        rows = []
        for place, item in enumerate(self.stored):
            if is_shown_as_row(item, self.registry):
                ((name, _),) = item.items()
                rows.append(
                    Row(signal=self.registry.get(name), origin=place, initial=initial_of(item))
                )
            else:
                rows.append(Row(signal=None, origin=place))
        return rows

    def _from_sent(self, sent: QueryDict) -> list[Row]:
        rows = []
        self.kind = sent.get("match") if sent.get("match") in ("all", "any") else self.kind
        total = sent.get("c-total", "0")
        for number in range(min(int(total) if total.isdigit() else 0, MAX_LEAVES)):
            origin_text = sent.get(f"c-{number}-origin", "")
            origin = int(origin_text) if origin_text.isdigit() else None
            if origin is not None and origin >= len(self.stored):
                origin = None
            name = sent.get(f"c-{number}-signal", "")
            signal = self.registry.get(name)
            if signal is None and origin is None:
                continue
            values = sent.getlist(f"c-{number}-value")
            initial = {
                "operator": sent.get(f"c-{number}-operator", ""),
                "value": values if len(values) != 1 else values[0],
            }
            rows.append(Row(signal=signal, origin=origin, initial=initial))
        return rows

    def _make(self) -> list[ConditionForm | None]:
        return [self._form(number, row) for number, row in enumerate(self.rows)]

    def _form(self, number: int, row: Row) -> ConditionForm | None:
        if row.signal is None:
            return None
        initial = dict(row.initial)
        operator = str(initial.get("operator", ""))
        form = ConditionForm(
            self._bound_values(number, initial) if self._is_bound else None,
            initial=initial,
            signal=row.signal,
            shown_operator=operator,
            prefix=f"c-{number}",
        )
        if form.has_checkboxes:
            value = initial.get("value") or []
            form.initial["value"] = value if isinstance(value, list) else [value]
        elif isinstance(initial.get("value"), list):
            joint = " " if operator == "between" else ", "
            form.initial["value"] = joint.join(map(str, initial["value"]))
        return form

    def _bound_values(self, number: int, initial: Mapping[str, Any]) -> QueryDict:
        # Rows are numbered anew after one was dropped, so the sent names cannot be used.
        values = QueryDict(mutable=True)
        values[f"c-{number}-operator"] = initial["operator"]
        value = initial["value"]
        values.setlist(f"c-{number}-value", value if isinstance(value, list) else [value])
        return values

    def add(self, name: str) -> bool:
        """One more row for a signal; false when there is none of that name or no room."""
        signal = self.registry.get(name)
        if signal is None or signal.stage == "answer" or len(self.rows) >= MAX_LEAVES:
            self.error = "Choose a signal first."
            return False
        first = OPERATORS_OF[signal.kind][0]
        usual = {ENUM: "in", OPEN_ENUM: "in", INT: "lte", NUMBER: "lte"}.get(signal.kind, first)
        self.rows.append(Row(signal=signal, origin=None, initial={"operator": usual, "value": ""}))
        self.forms = self._make()
        return True

    def drop(self, number: int) -> None:
        if 0 <= number < len(self.rows):
            del self.rows[number]
        self.forms = self._make()

    def is_valid(self) -> bool:
        self._is_bound = True
        self.forms = self._make()
        results = [form.is_valid() for form in self.forms if form is not None]
        if not self.rows:
            self.error = "A rule needs at least one condition; only the default has none."
            return False
        return all(results)

    def built(self) -> Any:
        """The `when` of the rule. What means the same as before stays as it was written."""
        items = [self._item(form, row) for form, row in zip(self.forms, self.rows, strict=True)]
        stored_kind, stored = parts_of(self.when)
        if items == stored and (self.kind == stored_kind or len(items) == 1):
            return self.when
        return {self.kind: items}

    def _item(self, form: ConditionForm | None, row: Row) -> Any:
        before = None if row.origin is None else self.stored[row.origin]
        if form is None:
            return before
        leaf = form.leaf()
        return before if before is not None and same_leaf(before, leaf) else leaf
