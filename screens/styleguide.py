"""Realistic content for the style guide, long names and empty states included."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

from django import forms
from django.http import HttpRequest
from django.utils import timezone

from screens.charts import (
    Event,
    FlowFigures,
    Part,
    Point,
    Series,
    flow_picture,
    line_chart,
    sparkline,
    stacked_bar,
)
from screens.errors import Conflict
from screens.pages import page_of

RULE_AS_JSON = """{
  "when": {"all": [{"gain": {"lte": 0.04}}, {"unfamiliar": {"eq": false}}]},
  "then": {"route": {"tier": "slm", "targets": ["phi-4-mini", "smollm"]}}
}"""

LONG_NAME = "customer-correspondence-summarisation-for-the-northern-claims-department"


class ExampleForm(forms.Form):
    name = forms.CharField(label="Name", help_text="Lower case, digits and dashes; it is the slug.")
    tier = forms.ChoiceField(label="Tier", choices=[("slm", "slm"), ("llm", "llm")])
    price = forms.DecimalField(label="Price per million input tokens, in US dollars")
    note = forms.CharField(label="Note", required=False, widget=forms.Textarea(attrs={"rows": 3}))
    boundary = forms.ChoiceField(
        label="Boundary",
        choices=[("private", "private"), ("public", "public")],
        widget=forms.RadioSelect,
        help_text="A public backend needs a sign-off before it may be used.",
    )
    streams = forms.BooleanField(label="Can stream", required=False)


def examples(request: HttpRequest) -> dict[str, Any]:
    """Everything the template shows; no database, so it always works."""
    now = timezone.now()
    wrong = ExampleForm({"name": "", "tier": "slm", "price": "cheap"}, prefix="wrong")
    wrong.is_valid()
    return {
        "now": now,
        "tones": ["served", "held", "refused", "mine", "not reached"],
        "outcomes": ["served", "safe_default", "held", "refused", "failed", "aborted"],
        "stats": _stats(),
        "rows": _rows(now),
        "page": page_of(list(range(12_480)), request),
        "rules": _rules(),
        "steps": _steps(now),
        "stopped_steps": _stopped_steps(now),
        "pairs": _pairs(),
        "form": ExampleForm(prefix="fresh", initial={"boundary": "private"}),
        "wrong": wrong,
        "problem": Conflict(
            "M. Ortega claimed this case 12 seconds ago.", what_next="Take the next one."
        ),
        "problem_heading": "This has changed in the meantime",
        "latency": _latency(),
        "nothing": line_chart([Series(name="Requests", points=())]),
        "spark": sparkline([12, 18, 9, 14, 22, 31, 28, 35, 30, 41, 38, 44]),
        "flat": sparkline([5, 5, 5, 5]),
        "split": stacked_bar(_parts(8112, 3104, 612, 420, 232)),
        "no_split": stacked_bar(_parts(0, 0, 0, 0, 0)),
        "flow": flow_picture(_figures()),
        "quiet_flow": flow_picture(_quiet_figures()),
        "long_name": LONG_NAME,
        "digest_example": "sha256:9f2c41d07be3a58d6c1f0e92b47a35c8d1e6f7a8b90c2d3e4f5061728394a5b6",
        "uuid_example": "019e2b7c-4f2a-7c31-9d55-0b6f4f9f1a20",
        "small_cost": Decimal("0.00042"),
        "json_example": RULE_AS_JSON,
    }


def _stats() -> list[dict[str, Any]]:
    return [
        {"label": "Waiting", "value": 7, "url": "#tables", "note": "oldest 18 min"},
        {"label": "Due within 15 min", "value": 2, "url": "#tables", "tone": "bad"},
        {"label": "Claimed by you", "value": 1, "note": "lease 8:12"},
        {"label": "Median wait today", "value": "4 m 10 s", "note": "yesterday 3 m 52 s"},
    ]


def _rows(now: Any) -> list[dict[str, Any]]:
    return [
        {
            "due": now + timedelta(minutes=4),
            "tone": "bad",
            "why": "Contains health data",
            "rule": "restricted-stays-private, v14",
            "goes": "private-llama-70b",
            "holder": "You",
            "is_current": True,
        },
        {
            "due": now + timedelta(minutes=12),
            "tone": "warn",
            "why": "Low score on a legal question",
            "rule": "score 0.31, threshold 0.35",
            "goes": "private-llama-70b-long",
            "holder": None,
        },
        {
            "due": now + timedelta(hours=1, minutes=5),
            "tone": "neutral",
            "why": "Budget would be exceeded by a request of unusual length",
            "rule": LONG_NAME,
            "goes": "private-qwen-2-5-72b-instruct-with-a-long-context-window",
            "holder": "Maria-Magdalena Ortega-Wintersberger",
        },
    ]


def _rules() -> list[dict[str, str]]:
    return [
        {"name": "kill-switch", "state": "no_match", "values": "public traffic is enabled"},
        {"name": "budget-guard", "state": "no_match", "values": "61 % of the daily budget used"},
        {
            "name": "Restricted data stays inside",
            "state": "matched",
            "outcome": "hold",
            "values": 'data_class is "restricted", the rule asks for one of: restricted',
        },
        {"name": LONG_NAME, "state": "not_reached", "values": ""},
    ]


def _steps(now: Any) -> list[dict[str, Any]]:
    return [
        {"label": "Draft", "state": "done", "who": "Ana", "when": now - timedelta(days=3)},
        {"label": "In review", "state": "done", "who": "Ana", "when": now - timedelta(days=1)},
        {"label": "Approved", "state": "current", "who": "1 of 2 approvals"},
        {"label": "Active", "state": "next"},
        {"label": "Retired", "state": "next"},
    ]


def _stopped_steps(now: Any) -> list[dict[str, Any]]:
    return [
        {"label": "Draft", "state": "done", "who": "Ana", "when": now - timedelta(days=9)},
        {"label": "In review", "state": "done", "who": "Ana", "when": now - timedelta(days=8)},
        {"label": "Rejected", "state": "stopped", "who": "Pavel", "when": now - timedelta(days=8)},
    ]


def _pairs() -> list[tuple[str, Any]]:
    return [
        ("Backend", "private-llama-70b"),
        ("Upstream model", "meta-llama/Llama-3.3-70B-Instruct"),
        ("Boundary", "private"),
        ("Owner", "Platform operations, northern region, second line"),
        ("Last probe", None),
    ]


def _parts(slm: int, llm: int, held: int, safe: int, refused: int) -> list[Part]:
    return [
        Part(label="SLM", count=slm, look="1"),
        Part(label="Larger model", count=llm, look="2"),
        Part(label="Held", count=held, look="warn"),
        Part(label="Safe default", count=safe, look="3"),
        Part(label="Refused", count=refused, look="bad"),
    ]


def _latency() -> Any:
    p95 = [410, 402, 398, 430, 455, 520, 610, 580, 505, 470, 442, None, 430, 420, 415, 408]
    p50 = [120, 118, 121, 125, 130, 142, 160, 158, 150, 139, 131, None, 126, 122, 121, 119]
    hours = [f"{hour:02d}:00" for hour in range(4, 20)]
    return line_chart(
        [
            Series(
                name="p95",
                points=tuple(
                    Point(
                        label=hour,
                        value=value,
                        low=value and value * 0.92,
                        high=value and value * 1.09,
                    )
                    for hour, value in zip(hours, p95, strict=True)
                ),
            ),
            Series(
                name="p50",
                points=tuple(
                    Point(label=hour, value=value) for hour, value in zip(hours, p50, strict=True)
                ),
            ),
        ],
        unit=" ms",
        events=[Event(index=7, label="Version 14 activated")],
    )


def _figures() -> FlowFigures:
    return FlowFigures(
        requests=12_480,
        slm=8_112,
        llm=3_104,
        escalated=642,
        held=612,
        safe_default=420,
        refused=214,
        failed=18,
        rules=[
            ("Restricted data stays inside", 1_120),
            ("Secrets are refused", 214),
            ("Narrow work", 8_112),
            ("Unsure and high stakes", 612),
            (LONG_NAME, 420),
            ("default", 2_002),
        ],
    )


def _quiet_figures() -> FlowFigures:
    return FlowFigures(
        requests=0,
        slm=0,
        llm=0,
        escalated=0,
        held=0,
        safe_default=0,
        refused=0,
        failed=0,
        rules=[("Restricted data stays inside", 0), ("default", 0)],
    )
