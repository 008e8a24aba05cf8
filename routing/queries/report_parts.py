"""What this room adds to a compliance report: the rules of the versions that were in force.

Only documents that are frozen and whose digest the ledger holds are shown, so the same report says
the same tomorrow. Config registers these functions with the room of the trail.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from audit.reports.blocks import Block, heading, table, text
from audit.reports.scope import Scope
from routing.engine.canonical import encode
from routing.models import PolicyVersion
from routing.queries import english
from routing.queries.differences import Change, differences


def documents(named: Sequence[dict[str, str]]) -> Iterator[bytes]:
    """The canonical bytes of each version; whoever writes them checks the digest again."""
    for one in named:
        if version := _version(one["version"], one["digest"]):
            yield encode(version.document)


def policies(_: Scope, named: Sequence[dict[str, str]]) -> list[Block]:
    """Each version in plain English, and against the one it replaced."""
    blocks: list[Block] = []
    for one in {one["version"]: one for one in named}.values():
        version = _version(one["version"], one["digest"])
        blocks.append(heading(f"Version {one['version']}"))
        if version is None:
            blocks.append(
                text(
                    f"Its document with the digest {one['digest']} is not in the registry, so it "
                    "cannot be shown here.",
                    "bad",
                )
            )
            continue
        blocks += _rules(version)
        blocks += _changes(version, one["replaced"])
    return blocks


def _version(name: str, digest: str) -> PolicyVersion | None:
    slug, _, number = name.partition("@")
    if not number.isdecimal():
        return None
    found = PolicyVersion.objects.select_related("route").filter(
        route__slug=slug, number=int(number), digest=digest
    )
    return found.first()


def _rules(version: PolicyVersion) -> list[Block]:
    words = english.policy_words(version.document)
    rows = [
        (str(place), rule.name + ("" if rule.is_enabled else " (switched off)"), rule.when,
         rule.then, rule.note)
        for place, rule in enumerate(words.rules, 1)
    ]  # fmt: skip
    rows.append(("", "Otherwise", "", words.default, ""))
    columns = ("#", "Rule", "When", "Then", "Why")
    return [
        text(f"Digest {version.digest}. The first rule that matches decides."),
        table(f"Rules of {version}", columns, rows),
    ]


def _changes(version: PolicyVersion, replaced: str) -> list[Block]:
    if not replaced:
        return [text("It replaced nothing: it was the first version of its route.")]
    slug, _, number = replaced.partition("@")
    before = PolicyVersion.objects.filter(
        route__slug=slug, number=int(number) if number.isdecimal() else 0
    ).first()
    if before is None or not before.submitted_at:
        return [text(f"It replaced {replaced}, whose document is not in the registry.")]
    found = differences(before.document, version.document, english.field_words)
    if not found:
        return [text(f"It replaced {replaced}; no rule differs.")]
    rows = [row for change in found for row in _rows(change)]
    columns = ("What", "Name", "How", "Before", "After")
    return [table(f"{version} against {replaced}", columns, rows)]


def _rows(change: Change) -> Iterator[tuple[Any, ...]]:
    if not change.fields:
        yield (change.subject, change.name, change.kind, "", change.words)
    for one in change.fields:
        yield (change.subject, change.name, f"{change.kind}: {one.field}", one.before, one.after)
