"""Reads the sections of a document beside its rules: hops, session, limits, invariants, tests."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from routing.engine.clauses import ClauseReader
from routing.engine.policy import (
    Escalation,
    Example,
    Fallbacks,
    Invariant,
    Outcome,
    Session,
    Test,
)
from routing.engine.reading import at
from routing.engine.registry import BOUNDARIES, ENUM, OPEN_ENUM, TIERS, Registry, Signal
from routing.engine.types import CAUSES, Limits, SafeDefault

MAX_TESTS, MAX_INVARIANTS = 500, 50
MAX_HOPS = 3

STANDING_SAFE_DEFAULT = SafeDefault(text="This request cannot be answered right now.")
CONFIDENCE_SIGNALS = (
    "token_logprob_q10",
    "token_logprob_mean",
    "label_margin",
    "json_field_min",
    "agreement",
    "verifier",
)
# What `accept` of an uncertain answer means is only known here, after an answer.
_UNSURE = ("escalate", "hold", "safe_default", "accept")
_OUTCOMES = ("route", "escalate", "hold", "safe_default", "refuse")
_EXPECTED = ("rule", "outcome", "tier", "backend", "cause", "queue")


def _property(name: str, kind: str, values: tuple[str, ...] = ()) -> Signal:
    return Signal(name=name, kind=kind, stage="request", sentence="", words=name, values=values)


# What an invariant may say of the backend that a request must not meet.
BACKEND_PROPERTIES = {
    "boundary": _property("boundary", ENUM, BOUNDARIES),
    "tier": _property("tier", ENUM, TIERS),
    "backend": _property("backend", OPEN_ENUM),
    "region": _property("region", OPEN_ENUM),
}


class SectionReader(ClauseReader):
    def _fallbacks(self, value: object) -> Fallbacks:
        fields = self.mapping(
            value, "fallbacks", known=("failure", "context_window", "content_policy")
        )
        chains: dict[str, tuple[str, ...]] = {}
        failure = (fields or {}).get("failure", {})
        if isinstance(failure, Mapping):
            for name, chain in failure.items():
                place = at("fallbacks.failure", str(name)[:60])
                self.backend(name, place)
                chains[str(name)] = self.backends(chain, place, most=MAX_HOPS)
        else:
            self.note("fallbacks.failure", "must be a mapping of a backend to its chain")
        lists = {
            name: self.backends(fields[name], at("fallbacks", name), most=MAX_HOPS)
            for name in ("context_window", "content_policy")
            if fields and name in fields
        }
        return Fallbacks(failure=chains, **lists)

    def _escalation(self, value: object) -> dict[str, Escalation]:
        fields = self.mapping(value, "escalation", known=TIERS)
        found: dict[str, Escalation] = {}
        for tier, item in (fields or {}).items():
            one = self._escalation_of(item, at("escalation", tier))
            if one is not None:
                found[tier] = one
        return found

    def _escalation_of(self, value: object, path: str) -> Escalation | None:
        known = ("confidence", "on_uncertain", "to", "then", "cross_boundary")
        fields = self.mapping(value, path, known=known, required=("confidence", "on_uncertain"))
        if fields is None or not {"confidence", "on_uncertain"} <= fields.keys():
            return None
        before = len(self.findings)
        keys = ("signal", "accept_gte")
        measured = self.mapping(
            fields["confidence"], at(path, "confidence"), known=keys, required=keys
        )
        signal = accept = None
        if measured is not None and len(self.findings) == before:
            place = at(path, "confidence")
            signal = self.choice(measured["signal"], at(place, "signal"), CONFIDENCE_SIGNALS)
            accept = self.number(
                measured["accept_gte"], at(place, "accept_gte"), Decimal(0), Decimal(1)
            )
        unsure = self._unsure(fields["on_uncertain"], at(path, "on_uncertain"), _UNSURE)
        to = self.backends(fields.get("to", []), at(path, "to"), most=MAX_HOPS)
        if unsure is not None and unsure.action == "escalate" and not to:
            self.note(at(path, "to"), "is missing: escalate needs a backend to go to", "missing")
        then = self._unsure(fields.get("then", "safe_default"), at(path, "then"), _UNSURE[1:])
        cross = self.truth(fields.get("cross_boundary", False), at(path, "cross_boundary"))
        if len(self.findings) > before or not (signal and unsure and then) or accept is None:
            return None
        return Escalation(
            signal=signal,
            accept_gte=accept,
            on_uncertain=unsure,
            to=to,
            then=then,
            cross_boundary=bool(cross),
        )

    def _unsure(self, value: object, path: str, among: tuple[str, ...]) -> Outcome | None:
        return self.instead(value, path, among=among)

    # the rest

    def _standing_answer(self, fields: dict[str, Any]) -> SafeDefault:
        if "safe_default" not in fields:
            return STANDING_SAFE_DEFAULT
        return self.safe_answer(fields["safe_default"], "safe_default") or STANDING_SAFE_DEFAULT

    def _session(self, value: object) -> Session:
        known = ("sticky", "ttl_s", "may_rise", "may_fall")
        fields = self.mapping(value, "session", known=known) or {}
        read: dict[str, Any] = {
            key: self.truth(item, at("session", key))
            for key, item in fields.items()
            if key != "ttl_s"
        }
        if "ttl_s" in fields:
            read["ttl_s"] = self.whole(fields["ttl_s"], "session.ttl_s", 1, 14_400)
        return Session(**read)

    def _limits(self, value: object) -> Limits:
        known = ("deadline_ms", "first_token_ms", "stream_idle_ms", "attempts")
        fields = self.mapping(value, "limits", known=known) or {}
        read: dict[str, Any] = {}
        for key, item in fields.items():
            low, high = (1, MAX_HOPS + 1) if key == "attempts" else (100, 600_000)
            read[key] = self.whole(item, at("limits", key), low, high)
        return Limits(**read)

    def _invariants(self, value: object) -> tuple[Invariant, ...]:
        found: list[Invariant] = []
        for path, item in self.items(value, "invariants", most=MAX_INVARIANTS):
            fields = self.mapping(item, path, known=("forbid",), required=("forbid",))
            if fields is None or "forbid" not in fields:
                continue
            one = self._forbidden(fields["forbid"], at(path, "forbid"))
            if one is not None:
                found.append(one)
        return tuple(found)

    def _forbidden(self, value: object, path: str) -> Invariant | None:
        if not isinstance(value, Mapping) or not value:
            self.note(path, "must be a mapping of signals and of boundary, tier, backend or region")
            return None
        signals: list[Test] = []
        backend: list[Test] = []
        rules_registry = self.registry
        for name, comparison in value.items():
            of_backend = name in BACKEND_PROPERTIES
            if of_backend:
                self.registry = Registry(BACKEND_PROPERTIES, rules_registry.data_classes)
            test = self.test(str(name), comparison, at(path, str(name)[:60]))
            self.registry = rules_registry
            if test is not None:
                (backend if of_backend else signals).append(test)
        if not backend:
            self.note(path, "must name a boundary, tier, backend or region that is forbidden")
        return Invariant(signals=tuple(signals), backend=tuple(backend))

    def _tests(self, value: object) -> tuple[Example, ...]:
        found: list[Example] = []
        for path, item in self.items(value, "tests", most=MAX_TESTS):
            fields = self.mapping(
                item, path, known=("name", "given", "expect"), required=("given", "expect")
            )
            if fields is None or not {"given", "expect"} <= fields.keys():
                continue
            one = self._example(fields, path, len(found) + 1)
            if one is not None:
                found.append(one)
        return tuple(found)

    def _example(self, fields: dict[str, Any], path: str, number: int) -> Example | None:
        before = len(self.findings)
        known = (*self.registry.signals, "classifier_failed")
        given = self.mapping(fields["given"], at(path, "given"), known=known) or {}
        failed = given.pop("classifier_failed", False)
        self.truth(failed, at(path, "given.classifier_failed"))
        admitted = self.registry.admit(given)
        for name in given.keys() - admitted.keys():
            signal = self.registry.signals[name]
            self.note(at(path, f"given.{name}"), f"is no value of {signal.words} ({signal.kind})")
        expect = self.mapping(fields["expect"], at(path, "expect"), known=_EXPECTED) or {}
        if not expect:
            self.note(at(path, "expect"), "must expect something")
        for name, item in expect.items():
            place = at(path, f"expect.{name}")
            if name == "outcome":
                self.choice(item, place, _OUTCOMES)
            elif name == "cause":
                self.choice(item, place, CAUSES)
            else:
                self.text(item, place)
        title = self.text(fields.get("name", f"test {number}"), at(path, "name"))
        if len(self.findings) > before or title is None:
            return None
        return Example(name=title, given=admitted, classifier_failed=failed, expect=expect)
