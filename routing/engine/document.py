"""Reads a whole policy document; what is wrong is named by exact path, and nothing crashes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from routing.engine import canonical
from routing.engine.clauses import STANDING_HOLD
from routing.engine.policy import (
    RESERVED_IDS,
    SCHEMA,
    Outcome,
    Policy,
    Rule,
)
from routing.engine.reading import Reader, at
from routing.engine.registry import (
    BOOL,
    DATA_CLASSES,
    ENUM,
    FIRST_REGISTRY,
    INT,
    KINDS,
    MAX_TAGS,
    NUMBER,
    OPEN_ENUM,
    Signal,
    registry_of,
)
from routing.engine.sections import SectionReader
from routing.engine.types import Finding, PolicyError

MAX_RULES = 200
MAX_FINDINGS = 50

_KNOWN = (
    "schema",
    "route",
    "owner",
    "classifier",
    "signals",
    "rules",
    "default",
    "hold",
    "fallbacks",
    "escalation",
    "safe_default",
    "session",
    "limits",
    "on_classifier_failure",
    "invariants",
    "tests",
)
_CLASSIFIER = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}@[1-9][0-9]{0,5}\Z")
_METADATA = re.compile(r"metadata\.[a-z0-9_]{1,40}\Z")


def parse_policy(document: object, *, data_classes: tuple[str, ...] = DATA_CLASSES) -> Policy:
    """The policy that the document states. Raises PolicyError with every finding."""
    try:
        canonical.encode(document)
    except canonical.NotCanonical as error:
        finding = Finding(code="schema", path=error.path, message=error.message)
        raise PolicyError([finding]) from error
    reader = _DocumentReader(registry_of(data_classes=data_classes))
    policy = reader.policy(document)
    if reader.findings or policy is None:
        raise PolicyError(reader.findings[:MAX_FINDINGS])
    return policy


def _declared_signal(reader: Reader, name: str, value: object, path: str) -> Signal | None:
    """A `metadata.*` signal: its kind, and what closes it. Personal unless it says otherwise."""
    known = ("type", "values", "min", "max", "personal", "sentence")
    fields = reader.mapping(value, path, known=known, required=("type",))
    if fields is None or "type" not in fields:
        return None
    before = len(reader.findings)
    kind = reader.choice(fields["type"], at(path, "type"), KINDS)
    values: tuple[str, ...] = ()
    if "values" in fields:
        values = reader.distinct(fields["values"], at(path, "values"), reader.text, most=MAX_TAGS)
    if kind == ENUM and not values:
        reader.note(at(path, "values"), "is missing: an enum lists its values", "missing")
    if values and kind in (BOOL, INT, NUMBER, OPEN_ENUM):
        reader.note(at(path, "values"), f"does not apply to type {kind}")
    bounds = {}
    for key, default in (("min", -(10**9)), ("max", 10**9)):
        bounds[key] = reader.number(fields.get(key, default), at(path, key))
        if key in fields and kind not in (INT, NUMBER):
            reader.note(at(path, key), f"does not apply to type {kind}")
    personal = reader.truth(fields.get("personal", True), at(path, "personal"))
    sentence = reader.text(
        fields.get("sentence", "Given by the caller in metadata."), at(path, "sentence")
    )
    low, high = bounds["min"], bounds["max"]
    if low is not None and high is not None and low > high:
        reader.note(at(path, "min"), "must not be above max")
    if len(reader.findings) > before or not kind or not sentence or personal is None:
        return None
    numeric = kind in (INT, NUMBER)
    return Signal(
        name=name,
        kind=kind,
        stage="request",
        sentence=sentence,
        words=name,
        values=values,
        low=low if numeric else None,
        high=high if numeric else None,
        is_personal=personal,
    )


class _DocumentReader(SectionReader):
    def policy(self, document: object) -> Policy | None:
        fields = self.mapping(
            document, "", known=_KNOWN, required=("schema", "route", "owner", "rules", "default")
        )
        if fields is None:
            return None
        if "schema" in fields and fields["schema"] != SCHEMA:
            self.note("schema", f"must be {SCHEMA!r}")
        timeouts = self._signals(fields.get("signals", {}))
        if "hold" in fields:
            self.standing_hold = self.hold_terms(fields["hold"], "hold") or STANDING_HOLD
        parts: dict[str, Any] = {
            "route": self.identifier(fields["route"], "route") if "route" in fields else None,
            "owner": self.text(fields["owner"], "owner") if "owner" in fields else None,
            "classifier": self._classifier(fields.get("classifier")),
            "rules": self._rules(fields.get("rules", [])),
            "default": self._default(fields["default"]) if "default" in fields else None,
            "fallbacks": self._fallbacks(fields.get("fallbacks", {})),
            "escalation": self._escalation(fields.get("escalation", {})),
            "safe_default": self._standing_answer(fields),
            "session": self._session(fields.get("session", {})),
            "limits": self._limits(fields.get("limits", {})),
            "on_classifier_failure": {},
            "invariants": self._invariants(fields.get("invariants", [])),
            "tests": self._tests(fields.get("tests", [])),
        }
        if "on_classifier_failure" in fields:
            parts["on_classifier_failure"] = self._on_failure(
                fields["on_classifier_failure"], parts["default"]
            )
        if self.findings:
            return None
        return Policy(registry=self.registry, timeouts_ms=timeouts, **parts)

    def _classifier(self, value: object) -> str | None:
        if value is None:
            return None
        text = self.text(value, "classifier")
        if text is not None and not _CLASSIFIER.match(text):
            self.note("classifier", "must be a name and a version, such as support-triage@3")
        return text

    def _signals(self, value: object) -> dict[str, int]:
        """Settings of known signals, and the declarations of `metadata.*`, which are kept."""
        timeouts: dict[str, int] = {}
        declared: list[Signal] = []
        if not isinstance(value, Mapping):
            self.note("signals", "must be a mapping of signal names")
            return timeouts
        for name, settings in value.items():
            path = at("signals", str(name)[:60])
            if isinstance(name, str) and _METADATA.match(name):
                signal = _declared_signal(self, name, settings, path)
                declared += [signal] if signal else []
            elif FIRST_REGISTRY.get(str(name)) is None:
                self.note(path, "is no signal; own ones are named metadata.*", "unknown_signal")
            else:
                fields = self.mapping(settings, path, known=("timeout_ms",))
                if fields and "timeout_ms" in fields:
                    read = self.whole(fields["timeout_ms"], at(path, "timeout_ms"), 1, 10_000)
                    timeouts[name] = read or 0
        self.registry = registry_of(declared, self.registry.data_classes)
        return timeouts

    # rules

    def _rules(self, value: object) -> tuple[Rule, ...]:
        rules: list[Rule] = []
        seen: dict[str, str] = {}
        for path, item in self.items(value, "rules", most=MAX_RULES):
            rule = self._rule(item, path)
            if rule is None:
                continue
            if rule.id in seen:
                self.note(at(path, "id"), f"{rule.id!r} is already the id of {seen[rule.id]}")
            seen.setdefault(rule.id, path)
            rules.append(rule)
        return tuple(rules)

    def _rule(self, value: object, path: str) -> Rule | None:
        known = ("id", "name", "owner", "note", "enabled", "when", "then")
        fields = self.mapping(value, path, known=known, required=("id", "when", "then"))
        if fields is None or not {"id", "when", "then"} <= fields.keys():
            return None
        rule_id = self.identifier(fields["id"], at(path, "id"))
        if rule_id in RESERVED_IDS:
            self.note(at(path, "id"), f"{rule_id!r} is reserved")
        when = self.condition(fields["when"], at(path, "when"))
        then = self.outcome(fields["then"], at(path, "then"))
        words = {
            key: self.text(fields[key], at(path, key), most=most)
            for key, most in (("name", 120), ("owner", 200), ("note", 2000))
            if key in fields
        }
        enabled = self.truth(fields.get("enabled", True), at(path, "enabled"))
        if rule_id is None or when is None or then is None:
            return None
        return Rule(
            id=rule_id,
            name=words.get("name") or rule_id.replace("-", " ").capitalize(),
            owner=words.get("owner") or "",
            note=words.get("note") or "",
            is_enabled=bool(enabled),
            when=when,
            then=then,
        )

    def _default(self, value: object) -> Outcome | None:
        fields = self.mapping(value, "default", known=("then",), required=("then",))
        if fields is None or "then" not in fields:
            return None
        found = self.outcome(fields["then"], "default.then")
        if found and found.on_no_target and found.on_no_target.action == "next":
            self.note("default.then.on_no_target", "nothing comes after the default")
        return found

    def _on_failure(self, value: object, default: Outcome | None) -> dict[str, Outcome]:
        path = "on_classifier_failure"
        fields = self.mapping(value, path, known=(*self.registry.data_classes, "default"))
        found: dict[str, Outcome] = {}
        for name, item in (fields or {}).items():
            place = at(path, name)
            outcome: Outcome | None
            if item == "default":
                outcome = default
            elif isinstance(item, str):
                outcome = self.instead(item, place, among=("hold", "refuse", "safe_default"))
            else:
                outcome = self.outcome(item, place)
            if outcome is not None:
                found[name] = outcome
        return found
