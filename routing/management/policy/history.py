"""import, backtest and replay: what needs the database."""

from __future__ import annotations

from typing import Any

from accounts.models import User
from routing.engine.changes import BUCKETS, GUARDRAILS
from routing.management.policy import checks
from routing.management.policy.report import FOUND, OK, Report, usage
from routing.management.policy.sources import (
    Source,
    has_database,
    need_database,
    read,
    stored,
)
from routing.models import Backtest, PolicyVersion, Route
from routing.services import backtests, policies
from routing.services.proof import Proof, prove
from routing.services.redecide import compiled_version
from screens.errors import DomainError


def take_in(options: dict[str, Any]) -> Report:
    """Lint, test and compare a file; without --dry-run make it the draft of --by."""
    source = read(options["source"])
    asked = {**options, "strict": False}
    linted, tested = checks.lint(asked), checks.test(asked)
    lines = [*linted.lines, *tested.lines]
    document: dict[str, Any] = {"lint": linted.document, "test": tested.document}
    is_sound = linted.code == tested.code == OK
    if has_database():
        compared = _against_active(source, options["backends"])
        lines += compared.lines
        document["diff"] = compared.document
    if options["dry_run"]:
        lines.append("Dry run: nothing was changed.")
    elif is_sound:
        draft = _draft(source, options["by"])
        lines.append(f"{draft} is now a draft of {draft.author}, {draft.digest}")
        document["draft"] = str(draft)
    else:
        lines.append("Not imported: correct what is named above.")
    return Report(lines=lines, document=document, code=OK if is_sound else FOUND)


def _against_active(source: Source, file: str | None) -> Report:
    slug = str(source.document.get("route", ""))
    route = Route.objects.filter(slug=slug).first()
    if route is None:
        raise usage(f"There is no route named {slug!r} here.")
    active = policies.active_version(route)
    if active is None:
        words = f"{slug} has no active version, so everything is new."
        return Report(lines=[words], document={"before": None})
    return checks.diff({"before": str(active), "after": source.name, "backends": file})


def _draft(source: Source, name: str | None) -> PolicyVersion:
    need_database()
    if not name:
        raise usage("Say whose draft it becomes: --by NAME. Or look first: --dry-run.")
    person = User.objects.filter(username=name, is_active=True).first()
    if person is None:
        raise usage(f"There is no person named {name!r} here.")
    slug = str(source.document["route"])
    try:
        draft = policies.start_draft(slug=slug, by=person, document=source.document)
        if draft.digest != source.digest:
            draft = policies.edit_draft(
                version=draft, document=source.document, revision=draft.revision, by=person
            )
    except DomainError as problem:
        raise usage(problem.message) from None
    return draft


def backtest(options: dict[str, Any]) -> Report:
    version = stored(options["version"])
    try:
        waiting = backtests.request_backtest(
            version=version, days=options["days"], sample=options["sample"]
        )
    except DomainError as problem:
        raise usage(problem.message) from None
    done = backtests.run_backtest(backtest_id=waiting.pk)
    if done.state != Backtest.State.DONE:
        raise usage(f"The backtest is {done.get_state_display()}. {done.problem}")
    return _backtest_report(done)


def _backtest_report(done: Backtest) -> Report:
    result, deltas = done.result, done.result["deltas"]
    lines = [
        f"{done.version}: {done.done} of {done.in_window} decisions, "
        f"{done.since:%Y-%m-%d} to {done.until:%Y-%m-%d}"
    ]
    lines += [
        f"{done.counts[name]:>8}  {words}" for name, words in BUCKETS.items() if name in done.counts
    ]
    lines += [f"{count:>8}  not evaluated: {why}" for why, count in result["reasons"].items()]
    lines += [
        _delta("cost per 1,000 requests, USD", deltas["cost_change"], 4),
        _delta("latency, ms (medians of backends)", deltas["latency_change"], 0),
        _delta("held for people per day", deltas["held_change"], 1),
    ]
    lines += [f"GUARDRAIL {n}  {GUARDRAILS[name]}" for name, n in result["guardrails"].items()]
    lines.append("Outcomes are decided again from recorded facts; answers were not regenerated.")
    return Report(
        lines=lines,
        document={
            "backtest": str(done.pk),
            "version": str(done.version),
            "digest": done.digest,
            "registry_digest": done.registry_digest,
            "since": done.since.isoformat(),
            "until": done.until.isoformat(),
            "in_window": done.in_window,
            "decisions": done.done,
            "counts": done.counts,
            **result,
        },
        code=FOUND if result["crossing"] else OK,
    )


def _delta(words: str, change: dict[str, Any], places: int) -> str:
    text = f"{words}: {change['value']:+.{places}f}"
    if change["low"] is None:
        return f"{text} (too few for an interval)"
    return f"{text} (95 %: {change['low']:+.{places}f} to {change['high']:+.{places}f})"


def replay(options: dict[str, Any]) -> Report:
    need_database()
    against, route = None, options["route"] or ""
    if options["against"]:
        version = stored(options["against"])
        route = version.route.slug
        try:
            against = compiled_version(version)
        except DomainError as problem:
            raise usage(problem.message) from None
    proof = prove(decisions=options["decisions"], route=route, against=against)
    if not proof.read:
        raise usage("No decision is recorded" + (f" on {route}." if route else "."))
    lines = _proof_lines(proof)
    if options["against"]:
        lines += ["", *confusion_lines(proof, options["against"])]
    return Report(lines=lines, document=proof.as_json(), code=OK if proof.holds else FOUND)


def _proof_lines(proof: Proof) -> list[str]:
    lines = [
        f"different: {one['decision']} under {one['policy']}: "
        + ", ".join(f"{part['name']} {part['recorded']} -> {part['now']}" for part in one["what"])
        for one in proof.unequal
    ]
    lines += [f"not decided again: {count}, because {why}" for why, count in proof.unable.items()]
    lines.append(
        f"{proof.read} decisions replayed under the version of their time: {proof.equal} equal"
        + (f", {proof.unequal_count} different" if proof.unequal_count else "")
    )
    return lines


def confusion_lines(proof: Proof, label: str) -> list[str]:
    """A table: rows are what came, columns what would come."""
    rows = sorted({before for before, _ in proof.confusion})
    columns = sorted({after for _, after in proof.confusion})
    first = max([len(row) for row in rows] + [len("then \\ now")])
    widths = [max(len(column), 7) for column in columns]
    lines = [
        f"Under {label} (rows: as it was, columns: as it would be)",
        "  ".join(
            ["then \\ now".ljust(first)]
            + [column.rjust(width) for column, width in zip(columns, widths, strict=True)]
        ),
    ]
    for row in rows:
        counts = [
            str(proof.confusion.get((row, column), 0)).rjust(width)
            for column, width in zip(columns, widths, strict=True)
        ]
        lines.append("  ".join([row.ljust(first), *counts]))
    return lines + [
        f"not evaluated: {count}, because {why}" for why, count in proof.not_evaluated.items()
    ]
