"""The signals a rule may test: their type, when they exist, and what their absence means."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import Any

from routing.engine.types import SignalValue

REGISTRY_VERSION = 1

# From the least to the most sensitive; nothing may lower a request's class.
DATA_CLASSES = ("public", "internal", "confidential", "restricted")
TIERS = ("slm", "llm")
BOUNDARIES = ("private", "public")

# A later stage knows more; rules are evaluated at `runtime`, so `answer` is too late for them.
STAGES = ("request", "classify", "runtime", "answer")
CLASSIFIER_SIGNALS = frozenset({"gain", "score", "unfamiliar"})

TOPICS = ("account", "finance", "legal", "math", "medical", "technical", "other")
PERSONAL_TAGS = (
    "email",
    "iban",
    "national_id",
    "payment_card",
    "phone",
    "secret",
)
HEALTH_STATES = ("good", "degraded", "down")

ENUM, OPEN_ENUM, BOOL, INT, NUMBER, TAGS = "enum", "text", "bool", "int", "number", "tags"
KINDS = (ENUM, OPEN_ENUM, BOOL, INT, NUMBER, TAGS)

MAX_TEXT = 200
MAX_TAGS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One measurable fact. `values` closes an enum or tag set; `low` and `high` bound a number."""

    name: str
    kind: str
    stage: str
    sentence: str
    words: str
    values: tuple[str, ...] = ()
    low: Decimal | None = None
    high: Decimal | None = None
    absent_as: SignalValue | None = None
    is_personal: bool = False

    def admit(self, value: object) -> SignalValue | None:
        """The value in this signal's type, or None where it is not one (NaN, wrong type)."""
        if self.kind == BOOL:
            return value if isinstance(value, bool) else None
        if self.kind in (INT, NUMBER):
            return self._number(value)
        if self.kind == TAGS:
            return self._tags(value)
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            return None
        return value if self.kind == OPEN_ENUM or value in self.values else None

    def _number(self, value: object) -> int | Decimal | None:
        if type(value) is int and self.kind == INT:
            is_low = self.low is not None and value < self.low
            is_high = self.high is not None and value > self.high
            return None if is_low or is_high else value
        if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
            return None
        try:
            exact = value if isinstance(value, Decimal) else Decimal(str(value))
        except (InvalidOperation, ValueError):
            return None
        if not exact.is_finite() or (self.kind == INT and exact != exact.to_integral_value()):
            return None
        if (self.low is not None and exact < self.low) or (
            self.high is not None and exact > self.high
        ):
            return None
        return int(exact) if self.kind == INT else exact

    def _tags(self, value: object) -> frozenset[str] | None:
        if not isinstance(value, (list, tuple, set, frozenset)) or len(value) > MAX_TAGS:
            return None
        if not all(isinstance(tag, str) and 0 < len(tag) <= MAX_TEXT for tag in value):
            return None
        if self.values and not set(value) <= set(self.values):
            return None
        return frozenset(value)


def _first(classes: tuple[str, ...]) -> tuple[Signal, ...]:
    zero, one, many = Decimal(0), Decimal(1), Decimal(10**9)
    return (
        Signal(
            name="data_class",
            kind=ENUM,
            stage="request",
            words="data class",
            values=classes,
            absent_as=classes[-1],
            sentence="How sensitive the request is; a caller or a rule may raise it.",
        ),
        Signal(
            name="topic",
            kind=ENUM,
            stage="request",
            words="topic",
            values=TOPICS,
            sentence="The subject of the last user turn by published word lists.",
        ),
        Signal(
            name="gain",
            kind=NUMBER,
            stage="classify",
            words="gain",
            low=-one,
            high=one,
            sentence="Quality points (0 to 1) that the larger model is expected to add.",
        ),
        Signal(
            name="score",
            kind=NUMBER,
            stage="classify",
            words="score",
            low=zero,
            high=one,
            sentence="Probability that the small model's answer is good enough.",
        ),
        Signal(
            name="unfamiliar",
            kind=BOOL,
            stage="classify",
            words="unfamiliar",
            sentence="The request is unlike those that the classifier knows.",
        ),
        Signal(
            name="prompt_tokens",
            kind=INT,
            stage="request",
            words="prompt tokens",
            low=zero,
            high=many,
            sentence="Estimated tokens of everything that is sent to the model.",
        ),
        Signal(
            name="turns",
            kind=INT,
            stage="request",
            words="user turns",
            low=zero,
            high=many,
            sentence="How many user turns the conversation has.",
        ),
        Signal(
            name="language",
            kind=OPEN_ENUM,
            stage="request",
            words="language",
            sentence="Language of the last user turn as a two-letter code; absent when unsure.",
        ),
        Signal(
            name="has_code",
            kind=BOOL,
            stage="request",
            words="has code",
            sentence="The last user turn holds program text.",
        ),
        Signal(
            name="has_tools",
            kind=BOOL,
            stage="request",
            words="has tools",
            sentence="The caller offers tools to the model.",
        ),
        Signal(
            name="has_images",
            kind=BOOL,
            stage="request",
            words="has images",
            sentence="The request carries an image.",
        ),
        Signal(
            name="wants_json",
            kind=BOOL,
            stage="request",
            words="wants JSON",
            sentence="The caller asks for a JSON answer by response format.",
        ),
        Signal(
            name="personal_data",
            kind=TAGS,
            stage="request",
            words="personal data",
            values=PERSONAL_TAGS,
            sentence="Kinds of personal data and secrets that the detectors found; never the data.",
        ),
        Signal(
            name="step",
            kind=OPEN_ENUM,
            stage="request",
            words="step",
            sentence="The workflow step that the caller names in x-signalbox-step.",
        ),
        Signal(
            name="client",
            kind=OPEN_ENUM,
            stage="request",
            words="client",
            sentence="The calling application, by the name of its key.",
        ),
        Signal(
            name="hour",
            kind=INT,
            stage="request",
            words="hour",
            low=zero,
            high=Decimal(23),
            sentence="Hour of the day in UTC, 0 to 23.",
        ),
        Signal(
            name="budget_left_pct",
            kind=NUMBER,
            stage="runtime",
            words="budget left",
            low=zero,
            high=Decimal(100),
            sentence="Share of the route's budget for this period that is left, in percent.",
        ),
        Signal(
            name="backend_health",
            kind=ENUM,
            stage="runtime",
            words="backend health",
            values=HEALTH_STATES,
            sentence="good: every backend takes requests; degraded: some; down: none.",
        ),
        Signal(
            name="confidence",
            kind=NUMBER,
            stage="answer",
            words="confidence",
            low=zero,
            high=one,
            absent_as=zero,
            sentence="Measured on the small model's own answer after it is generated.",
        ),
    )


@dataclass(frozen=True)
class Registry:
    """The signals of one policy: the first signals and its route's declared metadata."""

    signals: Mapping[str, Signal]
    data_classes: tuple[str, ...]

    def get(self, name: str) -> Signal | None:
        return self.signals.get(name)

    @cached_property
    def personal(self) -> frozenset[str]:
        return frozenset(name for name, signal in self.signals.items() if signal.is_personal)

    def admit(self, values: Mapping[str, object]) -> dict[str, SignalValue]:
        """Only what the registry knows, in its type; what does not fit is absent."""
        admitted: dict[str, SignalValue] = {}
        for name, value in values.items():
            signal = self.signals.get(name)
            fitting = signal.admit(value) if signal else None
            if fitting is not None:
                admitted[name] = fitting
        return admitted

    def rank(self, data_class: str) -> int:
        """The place of a class in the order; an unknown one counts as the strictest."""
        try:
            return self.data_classes.index(data_class)
        except ValueError:
            return len(self.data_classes) - 1

    def stricter(self, one: str, other: str | None) -> str:
        return one if other is None or self.rank(one) >= self.rank(other) else other


def registry_of(
    declared: Iterable[Signal] = (), data_classes: tuple[str, ...] = DATA_CLASSES
) -> Registry:
    signals = {signal.name: signal for signal in _first(data_classes)}
    signals.update({signal.name: signal for signal in declared})
    return Registry(signals=signals, data_classes=data_classes)


FIRST_REGISTRY = registry_of()


def shown_number(value: Any) -> str:
    """A number as people read it: no exponent, no trailing zeros, thousands apart."""
    if isinstance(value, int):
        return f"{value:,}"
    text = f"{value:,f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
