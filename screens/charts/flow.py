"""The routing model as a picture: requests, classification, rules, and where they lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH = 960
ROW = 46
GAP = 16
RULES_SHOWN = 7
# How thick all requests together are drawn; a path that was taken at all stays visible.
THICKNESS = 108.0
THINNEST = 1.5

REQUESTS_X, REQUESTS_WIDTH = 0, 118
CLASSIFY_X, CLASSIFY_WIDTH = 170, 150
POLICY_X, POLICY_WIDTH = 374, 282
OUTCOME_X, OUTCOME_WIDTH = 778, 182
RULE_ROW = 32
POLICY_HEAD = 38
ESCALATION_GAP = 46
NAME_ROOM = 27.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowFigures:
    """What happened on one route in one period.

    `slm` and `llm` count where requests were sent first; `escalated` is the part of `slm` that
    went on to the larger model. With held, safe_default, refused and failed they add up to
    `requests`. `rules` are the policy's rules in their order, with how often each decided.
    """

    requests: int
    slm: int
    llm: int
    escalated: int
    held: int
    safe_default: int
    refused: int
    failed: int
    rules: Sequence[tuple[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A labelled station. `look` is a class of the stylesheet."""

    label: str
    count: int
    share: float
    look: str
    x: float
    y: float
    width: float
    height: float

    @property
    def middle(self) -> float:
        return self.y + self.height / 2

    @property
    def share_words(self) -> str:
        return share_words(self.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrow:
    """A ribbon as wide as its share, the line along its middle, and its figure."""

    look: str
    ribbon: str
    line: str
    head: str
    label: str
    label_x: float
    label_y: float
    label_anchor: str
    is_taken: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RuleRow:
    name: str
    short_name: str
    count: int
    share: float
    y: float

    @property
    def share_words(self) -> str:
        return share_words(self.share)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowPicture:
    width: int
    height: int
    requests: Box
    classification: Box
    policy: Box
    rules: tuple[RuleRow, ...]
    outcomes: tuple[Box, ...]
    entries: tuple[Arrow, ...]
    exits: tuple[Arrow, ...]
    escalation: Arrow
    escalated: int
    escalated_share_words: str
    sentence: str


def share_words(share: float) -> str:
    """A share in whole per cent, where something is never written as nothing."""
    if 0 < share < 0.01:
        return "<\u00a01\u00a0%"
    if 0.99 < share < 1:
        return ">\u00a099\u00a0%"
    return f"{share * 100:.0f}\u00a0%"


def shortened(name: str, room: float) -> str:
    """The name, or its beginning, in `room` widths of an average letter; SVG text cannot wrap."""
    used = 0.0
    kept = 0
    for letter in name:
        used += 0.5 if letter in "iljtfr.,:;'|!-()[] I" else 1.5 if letter in "mwMW@" else 1.05
        if used > room:
            return f"{name[:kept].rstrip()}…"
        # One letter's room is kept for the ellipsis.
        kept += used <= room - 1
    return name


def flow_picture(figures: FlowFigures) -> FlowPicture:
    """Place everything; nothing depends on the figures but the thickness of the arrows."""
    counted = _outcome_counts(figures)
    rules = _shown_rules(figures.rules)
    outcome_height = len(counted) * ROW + (len(counted) - 2) * GAP + ESCALATION_GAP
    policy_height = POLICY_HEAD + max(1, len(rules)) * RULE_ROW + 8
    height = max(outcome_height, policy_height) + 4
    total = figures.requests
    outcomes = _outcomes(counted, total, (height - outcome_height) / 2)
    requests = _station("Requests", total, REQUESTS_X, REQUESTS_WIDTH, height)
    classify = _station("Classification", total, CLASSIFY_X, CLASSIFY_WIDTH, height)
    policy = Box(
        label="Policy: the first rule that matches",
        count=total,
        share=1.0,
        look="station",
        x=POLICY_X,
        y=(height - policy_height) / 2,
        width=POLICY_WIDTH,
        height=policy_height,
    )
    rows = _rule_rows(rules, total, policy.y + POLICY_HEAD)
    return FlowPicture(
        width=WIDTH,
        height=round(height),
        requests=requests,
        classification=classify,
        policy=policy,
        rules=rows,
        outcomes=outcomes,
        entries=_entries(requests, classify, policy, rows, total),
        exits=_exits(policy, outcomes, total),
        escalation=_escalation(outcomes[0], outcomes[1], figures),
        escalated=figures.escalated,
        escalated_share_words=share_words(figures.escalated / total if total else 0.0),
        sentence=_sentence(figures),
    )


def _outcome_counts(figures: FlowFigures) -> list[tuple[str, int, str]]:
    return [
        ("Small model (SLM)", figures.slm, "slm"),
        ("Larger model (LLM)", figures.llm, "llm"),
        ("Human review", figures.held, "warn"),
        ("Safe default", figures.safe_default, "warn"),
        ("Refused", figures.refused, "bad"),
        ("Failed", figures.failed, "bad"),
    ]


def _shown_rules(rules: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """The policy's order is kept; what does not fit is one row, so the counts still add up."""
    if len(rules) <= RULES_SHOWN:
        return list(rules)
    kept, folded = rules[: RULES_SHOWN - 1], rules[RULES_SHOWN - 1 :]
    return [*kept, (f"{len(folded)} more rules", sum(count for _, count in folded))]


def _station(label: str, count: int, x: float, width: float, height: float) -> Box:
    tall = THICKNESS + 24
    return Box(
        label=label,
        count=count,
        share=1.0,
        look="station",
        x=x,
        y=(height - tall) / 2,
        width=width,
        height=tall,
    )


def _outcomes(counted: list[tuple[str, int, str]], total: int, top: float) -> tuple[Box, ...]:
    boxes: list[Box] = []
    y = top
    for index, (label, count, look) in enumerate(counted):
        boxes.append(
            Box(
                label=label,
                count=count,
                share=count / total if total else 0.0,
                look=look,
                x=OUTCOME_X,
                y=round(y, 2),
                width=OUTCOME_WIDTH,
                height=ROW,
            )
        )
        # The escalation is drawn between the first two.
        y += ROW + (ESCALATION_GAP if index == 0 else GAP)
    return tuple(boxes)


def _rule_rows(rules: list[tuple[str, int]], total: int, top: float) -> tuple[RuleRow, ...]:
    return tuple(
        RuleRow(
            name=name,
            short_name=shortened(name, NAME_ROOM),
            count=count,
            share=count / total if total else 0.0,
            y=round(top + index * RULE_ROW, 2),
        )
        for index, (name, count) in enumerate(rules)
    )


def _thickness(count: int, total: int) -> float:
    return max(THINNEST, THICKNESS * count / total) if count and total else 0.0


def _entries(
    requests: Box, classify: Box, policy: Box, rows: tuple[RuleRow, ...], total: int
) -> tuple[Arrow, ...]:
    """Into classification as one ribbon, out of it one ribbon per rule."""
    whole = _thickness(total, total)
    first = _arrow(
        (requests.x + requests.width, requests.middle),
        (classify.x, classify.middle),
        whole,
        look="station",
        label="",
        room=THICKNESS,
    )
    arrows = [first]
    thick = [_thickness(row.count, total) for row in rows]
    y = classify.middle - sum(thick) / 2
    for row, wide in zip(rows, thick, strict=True):
        arrows.append(
            _arrow(
                (classify.x + classify.width, y + wide / 2),
                (policy.x, row.y + RULE_ROW / 2),
                wide,
                look="station",
                label="",
                room=RULE_ROW - 13.0,
            )
        )
        y += wide
    return tuple(arrows)


def _exits(policy: Box, outcomes: tuple[Box, ...], total: int) -> tuple[Arrow, ...]:
    thick = [_thickness(box.count, total) for box in outcomes]
    y = policy.middle - sum(thick) / 2
    arrows: list[Arrow] = []
    for box, wide in zip(outcomes, thick, strict=True):
        arrows.append(
            _arrow(
                (policy.x + policy.width, y + wide / 2),
                (box.x, box.middle),
                wide,
                look=box.look,
                label=box.share_words if total else "",
            )
        )
        y += wide
    return tuple(arrows)


def _arrow(
    start: tuple[float, float],
    end: tuple[float, float],
    thickness: float,
    *,
    look: str,
    label: str,
    room: float = ROW - 12.0,
) -> Arrow:
    """A ribbon that leaves and arrives level, narrowing to `room`: what its end has room for."""
    (x0, y0), (x1, y1) = start, end
    half, end_half = thickness / 2, min(thickness, room) / 2
    # A band as broad as its station needs no head; it would be a sliver.
    has_head = end_half < ROW / 2
    tip = x1 - 9 if has_head else x1
    bend = (x0 + tip) / 2
    ribbon = ""
    if thickness:
        ribbon = (
            f"M{x0:g} {y0 - half:.2f} C{bend:g} {y0 - half:.2f} {bend:g} {y1 - end_half:.2f} "
            f"{tip:g} {y1 - end_half:.2f} L{tip:g} {y1 + end_half:.2f} C{bend:g} "
            f"{y1 + end_half:.2f} {bend:g} {y0 + half:.2f} {x0:g} {y0 + half:.2f} Z"
        )
    head = max(4.0, end_half + 1.5)
    # The figure stands on the side that the arrow does not come from.
    beside = end_half + 15 if y1 > y0 else -(end_half + 6)
    return Arrow(
        look=look,
        ribbon=ribbon,
        line=f"M{x0:g} {y0:.2f} C{bend:g} {y0:.2f} {bend:g} {y1:.2f} {tip:g} {y1:.2f}",
        head=f"M{tip:g} {y1 - head:.2f} L{x1 - 1:g} {y1:.2f} L{tip:g} {y1 + head:.2f} Z"
        if has_head
        else "",
        label=label,
        label_x=tip - 6,
        label_y=round(y1 + beside, 2),
        label_anchor="end",
        is_taken=thickness > 0,
    )


def _escalation(slm: Box, llm: Box, figures: FlowFigures) -> Arrow:
    """Straight down from the small model to the larger one."""
    thickness = _thickness(figures.escalated, figures.requests)
    half = thickness / 2
    x = slm.x + 40
    y0, tip, y1 = slm.y + slm.height, llm.y - 8, llm.y - 1
    head = max(4.0, half + 1.5)
    return Arrow(
        look="llm",
        ribbon=f"M{x - half:g} {y0:g} H{x + half:g} V{tip:g} H{x - half:g} Z" if thickness else "",
        line=f"M{x:g} {y0:g} V{tip:g}",
        head=f"M{x - head:g} {tip:g} L{x:g} {y1:g} L{x + head:g} {tip:g} Z",
        label=f"{figures.escalated:,} escalated",
        label_x=x + max(head, half) + 8,
        label_y=round((y0 + y1) / 2 + 4, 2),
        label_anchor="start",
        is_taken=thickness > 0,
    )


def _sentence(figures: FlowFigures) -> str:
    if not figures.requests:
        return "No requests in this period. The picture shows the way they would take."
    total = figures.requests

    def part(count: int) -> str:
        return f"{count:,} ({share_words(count / total)})"

    return (
        f"Of {total:,} requests the policy sent {part(figures.slm)} to the small model and "
        f"{part(figures.llm)} to the larger model; {part(figures.escalated)} went on from the "
        f"small to the larger one. {part(figures.held)} were held for a person, "
        f"{part(figures.safe_default)} got the safe default, {part(figures.refused)} were refused "
        f"and {part(figures.failed)} failed."
    )
