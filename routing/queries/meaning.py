"""What the version screens show of a change in meaning: each with its request and its traffic."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.urls import reverse

from routing.engine import meaning as engine
from routing.engine.types import PolicyError, plain
from routing.models import PolicyVersion
from routing.queries.differences import SECTIONS
from routing.queries.english import decision_words, field_words
from routing.services.interchange import to_yaml
from routing.services.meaning import Traffic
from routing.services.witness import simulate_signals

# A page with more is read by nobody; the rest is counted.
MOST_SHOWN = 40
KIND_WORDS = {
    engine.NEWLY_POSSIBLE: "Newly possible",
    engine.NEWLY_IMPOSSIBLE: "No longer possible",
    engine.OTHER: "Otherwise different",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownChange:
    """One change; `count` of the recorded decisions took this way, None where none were counted."""

    change: engine.Change
    request: tuple[tuple[str, str], ...]
    simulate_url: str
    count: int | None
    share: float | None
    example: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownMeaning:
    """The changes of a version by kind. `is_known` is false without a base or a readable one."""

    is_known: bool
    is_complete: bool
    groups: tuple[tuple[str, str, tuple[ShownChange, ...]], ...]
    total: int
    left_out: int
    traffic: Traffic | None


def meaning_page(
    version: PolicyVersion, found: engine.Meaning | None, traffic: Traffic | None = None
) -> ShownMeaning:
    if found is None:
        return ShownMeaning(
            is_known=False, is_complete=True, groups=(), total=0, left_out=0, traffic=None
        )
    shown = [_shown(one, version, traffic) for one in found.changes[:MOST_SHOWN]]
    groups = (
        (kind, words, tuple(one for one in shown if one.change.kind == kind))
        for kind, words in KIND_WORDS.items()
    )
    return ShownMeaning(
        is_known=True,
        is_complete=found.is_complete,
        groups=tuple(group for group in groups if group[2]),
        total=len(found.changes),
        left_out=len(found.changes) - len(shown),
        traffic=traffic,
    )


def _shown(change: engine.Change, version: PolicyVersion, traffic: Traffic | None) -> ShownChange:
    pair = (change.old_rule, change.new_rule)
    is_counted = traffic is not None and change.witness is not None and traffic.decided > 0
    count = traffic.pairs[pair] if traffic is not None and is_counted else None
    example = traffic.examples.get(pair) if traffic is not None else None
    return ShownChange(
        change=change,
        request=tuple((name, _words(value)) for name, value in (change.witness or {}).items()),
        simulate_url=_simulation(change, version),
        count=count,
        share=count / traffic.decided if traffic is not None and count is not None else None,
        example=reverse("decision", args=[example]) if example and count else "",
    )


def _simulation(change: engine.Change, version: PolicyVersion) -> str:
    """The simulation of the witness. It is made up by the analysis, so it may be in an address."""
    if change.witness is None:
        return ""
    signals = {name: plain(value) for name, value in change.witness.items()}
    asked = {"signals": json.dumps(signals)}
    if change.classifier_failed:
        asked["failed"] = "on"
    address = reverse("witness", args=[version.route.slug, version.number])
    return f"{address}?{urlencode(asked)}"


def _words(value: Any) -> str:
    shown = plain(value)
    if isinstance(shown, list):
        return ", ".join(shown) or "none"
    return str(shown).lower() if isinstance(shown, bool) else str(shown)


def conflict_words(version: PolicyVersion) -> list[dict[str, str]]:
    """The open conflicts of a rebase in English: what was, what the author wants, what is now."""
    return [
        {
            "kind": conflict["kind"],
            "subject": _subject(conflict),
            **{side: _side(version, conflict, side) for side in ("base", "mine", "theirs")},
        }
        for conflict in version.conflicts
    ]


def _subject(conflict: dict[str, Any]) -> str:
    if conflict["kind"] == "order":
        return "The order of the rules"
    if conflict["kind"] == "section":
        return SECTIONS.get(conflict["subject"], conflict["subject"])
    sides = (conflict[side] or {} for side in ("mine", "theirs", "base"))
    name = next((str(rule["name"]) for rule in sides if rule.get("name")), conflict["subject"])
    return f"Rule {name}"


def _side(version: PolicyVersion, conflict: dict[str, Any], side: str) -> str:
    value = conflict[side]
    if value is None:
        return "not there"
    if conflict["kind"] == "order":
        return ", ".join(value)
    if conflict["kind"] == "rule":
        then = field_words(version.document, "then", value.get("then"))
        off = "" if value.get("enabled", True) else " (switched off)"
        return f"When {field_words(version.document, 'when', value.get('when'))}: {then}{off}"
    return to_yaml({"": value}).partition(":")[2].strip()


def sides_of(version: PolicyVersion, given: dict[str, Any]) -> list[dict[str, Any]]:
    """What the base and the version decide about the same signals, the base first."""
    sides = []
    for one in (version.base, version):
        if one is None:
            continue
        try:
            result = simulate_signals(
                version=one, signals=given["signals"], classifier_failed=given["failed"]
            )
        except PolicyError:
            sides.append({"version": one})
        else:
            sides.append({"version": one, **decision_words(one.document, result)})
    return sides
