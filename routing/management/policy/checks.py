"""lint, test and diff: what can be said of a document by itself."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from routing.engine import analyse
from routing.engine.canonical import encode
from routing.engine.document import parse_policy
from routing.engine.examples import run_tests
from routing.engine.meaning import Meaning, compare
from routing.engine.types import Finding, PolicyError, plain
from routing.management.policy.report import FOUND, OK, Report
from routing.management.policy.sources import Source, backends, floor_of, has_database, read
from routing.queries.differences import Change, differences
from routing.queries.english import field_words
from routing.services.enforcement import findings_on_score
from routing.services.interchange import to_yaml
from routing.services.leaks import Leak, follow

NO_BACKENDS = "Backends are not known here, so nothing is said of targets; see --backends."


def lint(options: dict[str, Any]) -> Report:
    source = read(options["source"])
    found = findings_of(source, options["backends"])
    blocking = sum(finding.blocking for finding in found)
    warnings = len(found) - blocking
    stops = blocking or (warnings and options["strict"])
    ways = _ways(source, found, options["backends"])
    lines = []
    for finding, way in zip(found, ways, strict=True):
        lines += [_line(source.name, finding), *(_way_lines(way) if way else ())]
    if backends(options["backends"]) is None:
        lines.append(NO_BACKENDS)
    lines.append(f"{source.name}: {blocking} blocking, {warnings} warnings, {source.digest}")
    return Report(
        lines=lines,
        document={
            "source": source.name,
            "digest": source.digest,
            "blocking": blocking,
            "warnings": warnings,
            "findings": [
                finding.as_json() | ({"way": way.as_json()} if way else {})
                for finding, way in zip(found, ways, strict=True)
            ],
        },
        code=FOUND if stops else OK,
    )


def findings_of(source: Source, file: str | None) -> list[Finding]:
    """The findings of the analysis; those of reading where it is no policy."""
    try:
        policy = parse_policy(source.document)
    except PolicyError as problem:
        return problem.findings
    known = backends(file)
    found = analyse.analyse(policy, known, now_s=int(time.time()), floor=floor_of(source.document))
    return found + (findings_on_score(policy, known) if known and has_database() else [])


def _ways(source: Source, found: list[Finding], file: str | None) -> list[Leak | None]:
    """For every finding of data that could leave: its witness, followed to where it arrives."""
    known = backends(file)
    if known is None or all(finding.scenario is None for finding in found):
        return [None] * len(found)
    policy, now_s = parse_policy(source.document), int(time.time())
    return [
        follow(policy, finding.scenario, known, now_s=now_s) if finding.scenario else None
        for finding in found
    ]


def _way_lines(way: Leak) -> list[str]:
    hops = " -> ".join(f"{step.backend} ({step.boundary})" for step in way.listed.steps)
    given = " ".join((*way.circumstances, *(step.sentence for step in way.listed.steps)))
    live = " -> ".join(
        f"{step.backend} ({step.boundary})" for step in way.live.steps if step.backend
    )
    return [
        f"    as the policy reads: {hops}",
        f"      {given}",
        f"      set aside: {' '.join(way.assumed)}",
        f"    in live traffic: {live or 'nowhere'}; {' '.join(way.stops)}",
    ]


def _line(name: str, finding: Finding) -> str:
    witness = _instance(finding.witness)
    level = "error" if finding.blocking else "warning"
    if finding.blocks_activation:
        level = "warning, blocks activation"
    place = finding.path or "document"
    return f"{name}: {level}: {finding.code}: {place}: {finding.message}{witness}"


def _instance(witness: Mapping[str, Any] | None) -> str:
    if not witness:
        return ""
    pairs = ", ".join(f"{name}={_plain(plain(value))}" for name, value in witness.items())
    return f" [for instance {pairs}]"


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "+".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def test(options: dict[str, Any]) -> Report:
    source = read(options["source"])
    known = backends(options["backends"])
    try:
        policy = parse_policy(source.document)
    except PolicyError as problem:
        lines = [_line(source.name, finding) for finding in problem.findings]
        document = {"findings": [finding.as_json() for finding in problem.findings]}
        return Report(lines=lines, document={"source": source.name, **document}, code=FOUND)
    results = run_tests(policy, known, now_s=int(time.time()), floor=floor_of(source.document))
    failed = [result for result in results if not result.passed]
    lines = [
        f"{'ok  ' if one.passed else 'FAIL'} {one.number}. {one.name}"
        + ("" if one.passed else f": {'; '.join(one.wrong)}")
        for one in results
    ]
    if known is None:
        lines.append("Backends are not known here: every one that the document names stands in.")
    lines.append(f"{source.name}: {len(results)} tests, {len(failed)} failed")
    return Report(
        lines=lines,
        document={
            "source": source.name,
            "digest": source.digest,
            "tests": len(results),
            "failed": len(failed),
            "results": [
                {
                    "number": one.number,
                    "name": one.name,
                    "passed": one.passed,
                    "wrong": list(one.wrong),
                    "sentence": one.decision.sentence,
                }
                for one in results
            ],
        },
        code=FOUND if failed else OK,
    )


def diff(options: dict[str, Any]) -> Report:
    before, after = read(options["before"]), read(options["after"])
    changes = changes_of(before, after)
    meant = _meaning(before, after, options.get("backends"))
    lines = [line for change in changes for line in change_lines(change)]
    lines += _meaning_lines(meant)
    if before.digest == after.digest:
        lines = [f"{before.name} and {after.name} are one document, {after.digest}"]
    return Report(
        lines=lines,
        document={
            "before": {"source": before.name, "digest": before.digest},
            "after": {"source": after.name, "digest": after.digest},
            "same": before.digest == after.digest,
            "changes": [_change(change) for change in changes],
            "meaning": None if meant is None else _meaning_json(meant),
        },
        code=OK if before.digest == after.digest else FOUND,
    )


def _meaning(before: Source, after: Source, file: str | None) -> Meaning | None:
    """Which requests are treated differently; None where one of the two is no policy."""
    try:
        old, new = parse_policy(before.document), parse_policy(after.document)
    except PolicyError:
        return None
    return compare(old, new, backends(file), floor=floor_of(after.document))


def _meaning_lines(meant: Meaning | None) -> list[str]:
    if meant is None:
        return ["", "In meaning they are not compared: one of the two cannot be read as a policy."]
    lines = [
        f"{change.kind.replace('_', ' ')}: {change.words}" + _instance(change.witness)
        for change in meant.changes
    ]
    if not meant.is_complete:
        lines.append("Some pairs of rules were too many to decide: there may be more.")
    return ["", "In meaning:", *(lines or ["no request is treated differently"])]


def _meaning_json(meant: Meaning) -> dict[str, Any]:
    return {
        "complete": meant.is_complete,
        "changes": [
            {
                "kind": change.kind,
                "words": change.words,
                "before": change.before,
                "after": change.after,
                "loosens_boundary": change.loosens_boundary,
                "touches_restricted": change.touches_restricted,
                "removes_hold": change.removes_hold,
                "witness": None
                if change.witness is None
                else {name: plain(value) for name, value in change.witness.items()},
            }
            for change in meant.changes
        ],
    }


def changes_of(before: Source, after: Source) -> list[Change]:
    return differences(before.document, after.document, field_words)


def change_lines(change: Change) -> list[str]:
    head = f"{change.kind:<8} {change.name} ({change.subject})"
    lines = [f"{head}: {change.words}" if change.words else head]
    return lines + [
        f"         {field.field}: {field.before}  ->  {field.after}" for field in change.fields
    ]


def _change(change: Change) -> dict[str, Any]:
    return {
        "kind": change.kind,
        "subject": change.subject,
        "name": change.name,
        "words": change.words,
        "fields": [
            {"field": one.field, "before": one.before, "after": one.after} for one in change.fields
        ],
    }


def export(options: dict[str, Any]) -> Report:
    """The document alone, so that it can be piped into a file; reading it gives its digest."""
    source = read(options["source"])
    if options["format"] == "json":
        text = encode(source.document).decode()
    else:
        text = f"# {source.name}, {source.digest}\n{to_yaml(source.document).rstrip()}"
    return Report(
        lines=[text],
        document={
            "source": source.name,
            "digest": source.digest,
            "document": source.document,
        },
    )
