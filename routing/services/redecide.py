"""Decides recorded requests again, one after another, each version read and compiled once.

Facts and backends are those of the entry. What the record cannot answer for is said, not guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
from django.db import connection

from routing.engine.changes import signals_of
from routing.engine.compiled import CompiledPolicy
from routing.engine.decide import compile_policy, decide
from routing.engine.document import parse_policy
from routing.engine.registry import CLASSIFIER_SIGNALS
from routing.engine.types import WITHHELD, BackendFacts, Decision, Facts, PolicyError
from routing.models import PolicyVersion
from routing.services.analysis import registry_facts
from routing.services.replay import backends_of, facts_of, version_of
from screens.errors import Invalid, NotFound

BATCH = 250

_NEWEST = """
    SELECT id, body FROM audit.event
    WHERE kind = 'decision.made' AND (%(below)s::uuid IS NULL OR id < %(below)s)
      AND (%(route)s = '' OR object_id = %(route)s)
    ORDER BY id DESC LIMIT %(limit)s
"""


def newest(*, limit: int, route: str = "") -> Iterator[tuple[UUID, dict[str, Any]]]:
    """The details of the newest decisions of the ledger, in memory one batch at a time."""
    below, left = None, limit
    while left > 0:
        with connection.cursor() as cursor:
            cursor.execute(_NEWEST, {"below": below, "route": route, "limit": min(BATCH, left)})
            rows = cursor.fetchall()
        for event_id, body in rows:
            yield event_id, orjson.loads(bytes(body))["details"]
        if not rows:
            return
        below, left = rows[-1][0], left - len(rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A decision as it comes out now; `unable` says why the record does not suffice for it."""

    facts: Facts
    backends: Mapping[str, BackendFacts]
    decision: Decision | None
    unable: str = ""
    borrowed: tuple[str, ...] = ()


def compiled_version(version: PolicyVersion) -> CompiledPolicy:
    """Raises Invalid where the document is no policy."""
    try:
        policy = parse_policy(version.document)
    except PolicyError as problem:
        raise Invalid(f"The version {version} cannot be read: {problem}") from None
    return compile_policy(policy, number=version.number, digest=version.digest)


@dataclass(slots=True)
class Versions:
    """The versions that the records name, each compiled once; None for one that is not there."""

    _known: dict[str, CompiledPolicy | None] = field(default_factory=dict)

    def of(self, label: str) -> CompiledPolicy | None:
        if label not in self._known:
            try:
                self._known[label] = compiled_version(version_of(label))
            except (Invalid, NotFound):
                self._known[label] = None
        return self._known[label]


@dataclass(slots=True)
class Redecider:
    """Decides recorded requests under one version, or with ``candidate=None`` under their own."""

    candidate: CompiledPolicy | None = None
    versions: Versions = field(default_factory=Versions)
    _today: dict[str, BackendFacts] | None = None
    _tested: dict[str, frozenset[str]] = field(default_factory=dict)

    def again(self, details: Mapping[str, Any]) -> Again:
        own = self.versions.of(str(details["policy"]))
        policy = self.candidate or own
        if policy is None:
            return self._unable(details, f"the version {details['policy']} is not stored")
        if "backends" not in details:
            return self._unable(details, "the entry does not hold the backends of its time")
        reason = self._missing(details, policy, own)
        facts = facts_of(details, policy.registry)
        backends = backends_of(details["backends"])
        borrowed = self._borrow(policy, backends) if self.candidate is not None else ()
        decision = None if reason else decide(policy, facts, backends)
        return Again(
            facts=facts, backends=backends, decision=decision, unable=reason, borrowed=borrowed
        )

    @staticmethod
    def _unable(details: Mapping[str, Any], reason: str) -> Again:
        facts = Facts(signals={}, data_class=details["decision"]["data_class"], now_s=0)
        return Again(facts=facts, backends={}, decision=None, unable=reason)

    def _missing(
        self, details: Mapping[str, Any], policy: CompiledPolicy, own: CompiledPolicy | None
    ) -> str:
        """Why the recorded signals do not suffice for this policy, or nothing."""
        trace = details["decision"]["trace"]
        tested = self._tested.get(policy.label)
        if tested is None:
            tested = self._tested[policy.label] = signals_of(policy)
        withheld = [name for name in tested if trace["signals"].get(name) == WITHHELD]
        if withheld:
            return f"the value of {min(withheld)} is withheld in the record"
        if policy is own:
            if policy.digest != details["policy_digest"]:
                return "the stored version has another digest than the record"
            return ""
        if own is not None and (new := tested - own.registry.signals.keys()):
            return f"{min(new)} was not measured then"
        wanted = policy.policy.classifier
        if wanted and wanted != trace["classifier"] and tested & CLASSIFIER_SIGNALS:
            return f"gain and score were not measured by {wanted} then"
        return ""

    def _borrow(self, policy: CompiledPolicy, backends: dict[str, BackendFacts]) -> tuple[str, ...]:
        """Add, as of today, the backends that the version names and that were not registered."""
        absent = [name for name in named_backends(policy) if name not in backends]
        if not absent:
            return ()
        if self._today is None:
            self._today = registry_facts()
        found = [name for name in absent if name in self._today]
        backends.update({name: self._today[name] for name in found})
        return tuple(found)


def named_backends(policy: CompiledPolicy) -> tuple[str, ...]:
    """Every backend that the outcomes of a version name as a target."""
    outcomes = [*(rule.outcome for rule in policy.rules), policy.default.outcome]
    outcomes += policy.policy.on_classifier_failure.values()
    return tuple(dict.fromkeys(name for outcome in outcomes for name in outcome.targets))
