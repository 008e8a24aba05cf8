"""Shows the data-flow document: its table, its drawing, and what changed since it was issued."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime

from routing.engine.wording import listed
from routing.models import DataFlowIssue
from screens.charts.data_flow import DataFlowPicture, Line, data_flow_picture
from screens.errors import NotFound

KIND_WORDS: Final = {
    "target": "target",
    "session": "a session that stays",
    "baseline": "baseline outside the rollout",
    "pin": "pinned by a key",
    "fallback": "fallback",
    "escalation": "escalation",
    "draft": "draft for the reviewer",
    "failed signal": "while signals fail",
}
CSV_HEAD: Final = (
    "data_class", "route", "policy", "boundary", "backend", "region", "signoff", "signoff_valid_to",
    "risk_reference", "kept_here", "kept_at_processor", "enforced_by", "observed_30_days",
    "is_permitted",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One flow: permitted, observed or both."""

    flow: Mapping[str, Any]
    ways: Sequence[str]
    observed: int
    last: Any
    is_permitted: bool
    url: str

    @property
    def valid_to(self) -> Any:
        signoff = self.flow.get("signoff")
        return parse_datetime(signoff["valid_to"]) if signoff else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    data_class: str
    rows: Sequence[Row]
    closed: Sequence[Mapping[str, Any]]
    is_public: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    document: Mapping[str, Any]
    groups: Sequence[Group]
    picture: DataFlowPicture
    not_permitted: int
    not_permitted_requests: int
    rows: Sequence[Row]


def shown(document: Mapping[str, Any]) -> Shown:
    rows = list(_rows(document))
    wrong = [row for row in rows if not row.is_permitted]
    groups = [
        Group(
            data_class=name,
            rows=[row for row in rows if row.flow["data_class"] == name],
            closed=[one for one in document["closed"] if one["data_class"] == name],
            is_public=any(
                f["data_class"] == name and f["boundary"] == "public" for f in document["flows"]
            ),
        )
        for name in document["classes"]
    ]
    return Shown(
        document=document,
        groups=groups,
        picture=_picture(document, rows),
        not_permitted=len(wrong),
        not_permitted_requests=sum(row.observed for row in wrong),
        rows=rows,
    )


def _key(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return row["data_class"], row["route"], row["backend"]


def _rows(document: Mapping[str, Any]) -> Iterator[Row]:
    seen = {_key(row): row for row in document["observed"]}
    for flow in document["flows"]:
        yield _row(flow, seen.pop(_key(flow), None), is_permitted=True)
    for observed in seen.values():
        yield _row(observed, observed, is_permitted=False)


def _row(flow: Mapping[str, Any], seen: Mapping[str, Any] | None, *, is_permitted: bool) -> Row:
    query = {name: flow[name] for name in ("route", "data_class", "backend")}
    return Row(
        flow=flow,
        ways=ways_of(flow.get("ways", ())),
        observed=seen["count"] if seen else 0,
        last=parse_datetime(seen["last"]) if seen else None,
        is_permitted=is_permitted,
        url="?" + urlencode(query),
    )


def ways_of(ways: Sequence[Mapping[str, str]]) -> list[str]:
    """Each rule once, with every way by which it leads there."""
    by_rule: dict[str, list[str]] = {}
    for way in ways:
        by_rule.setdefault(way["name"] or way["rule"], []).append(KIND_WORDS[way["kind"]])
    return [f"{listed(list(dict.fromkeys(kinds)))} of “{name}”" for name, kinds in by_rule.items()]


def _picture(document: Mapping[str, Any], rows: Sequence[Row]) -> DataFlowPicture:
    boundaries = {row.flow["backend"]: row.flow["boundary"] or "private" for row in rows}
    boundaries |= {one["backend"]: "public" for one in document["processors"]}
    lines: dict[tuple[str, str], Line] = {}
    for row in rows:
        ends = (row.flow["data_class"], row.flow["backend"])
        known = lines.get(ends)
        lines[ends] = Line(
            start=ends[0],
            end=ends[1],
            count=row.observed + (known.count if known else 0),
            is_permitted=row.is_permitted and (known is None or known.is_permitted),
        )
    return data_flow_picture(document["classes"], boundaries, list(lines.values()))


def csv_rows(page: Shown) -> Iterator[tuple[Any, ...]]:
    for row in page.rows:
        flow = row.flow
        signoff = flow.get("signoff") or {}
        yield (
            flow["data_class"], flow["route"], flow.get("policy", ""), flow["boundary"],
            flow["backend"], flow.get("region", ""), signoff.get("number", ""),
            signoff.get("valid_to", ""), signoff.get("risk_reference", ""),
            flow.get("kept_here", ""), flow.get("kept_there", ""), "; ".join(row.ways),
            row.observed, "yes" if row.is_permitted else "no",
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that an issued version and a later state do not share."""

    kind: str
    sentence: str
    tone: str


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """What became possible first, then what changed, then what ended."""
    before = {_key(flow): flow for flow in old["flows"]}
    after = {_key(flow): flow for flow in new["flows"]}
    found = [
        Difference(
            kind="new",
            sentence=f"{_words(flow)} is newly possible",
            tone="bad" if flow["boundary"] == "public" else "warn",
        )
        for key, flow in after.items()
        if key not in before
    ]
    for key, flow in after.items():
        if key in before and (changed := _changed(before[key], flow)):
            sentence = f"{_words(flow)}: {listed(changed)}"
            found.append(Difference(kind="changed", sentence=sentence, tone="warn"))
    found += _other_changes(old, new)
    found += [
        Difference(kind="ended", sentence=f"{_words(flow)} is no longer possible", tone="good")
        for key, flow in before.items()
        if key not in after
    ]
    return found


def _words(flow: Mapping[str, Any]) -> str:
    place = "public " if flow["boundary"] == "public" else ""
    return f"{flow['data_class']} data of {flow['route']} to {place}{flow['backend']}"


_FIELDS: Final = {
    "boundary": "the boundary",
    "region": "the region",
    "signoff": "the sign-off",
    "kept_here": "what is kept here",
    "kept_there": "what the processor keeps",
    "ways": "the rules that lead there",
}


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [f"{words} changed" for name, words in _FIELDS.items() if old.get(name) != new.get(name)]


def _other_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Difference]:
    for part, name, noun in (
        ("processors", "backend", "the processor of"),
        ("routes", "route", "the route"),
    ):
        before = {row[name]: row for row in old[part]}
        for row in new[part]:
            known = before.get(row[name])
            fields = [
                field.replace("_", " ")
                for field in row
                if known is not None and known.get(field) != row[field] and field != "keys"
            ]
            if known is None or fields:
                what = f"{listed(fields)} changed" if known else "is new"
                yield Difference(
                    kind="changed", sentence=f"{noun} {row[name]}: {what}", tone="warn"
                )


def issues() -> QuerySet[DataFlowIssue]:
    return DataFlowIssue.objects.select_related("issued_by").defer("document")


def issue_numbered(number: int) -> DataFlowIssue:
    found = DataFlowIssue.objects.select_related("issued_by").filter(number=number).first()
    if found is None:
        raise NotFound("There is no issued version with this number.")
    return found


def latest() -> DataFlowIssue | None:
    return DataFlowIssue.objects.select_related("issued_by").first()


def previous_of(issue: DataFlowIssue) -> DataFlowIssue | None:
    return DataFlowIssue.objects.filter(number__lt=issue.number).first()
