"""What a browser would send for a form that nobody changed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from django.http import QueryDict

BACKENDS = [
    SimpleNamespace(name=name, tier=tier, boundary="private")
    for name, tier in (("smollm2-135m", "slm"), ("stand-in-large", "llm"))
]


def unchanged(*forms: Any, **more: Any) -> QueryDict:
    """The controls of the forms with the values they show."""
    sent = QueryDict(mutable=True)
    for form in forms:
        for name, field in form.fields.items():
            value = form.get_initial_for_field(field, name)
            shown = value if isinstance(value, list) else ["" if value is None else str(value)]
            sent.setlist(form.add_prefix(name), shown)
    for name, value in more.items():
        sent[name] = value
    return sent


def unchanged_rule(editor: Any, act: str = "save") -> QueryDict:
    """The whole page of one rule, its hidden fields included."""
    conditions = editor.conditions
    nodes = conditions.nodes
    rows = [node.form for node in nodes if node.form is not None]
    sent = unchanged(editor.words, editor.outcome, *rows, act=act)
    sent["c-total"] = str(len(nodes))
    for number, node in enumerate(nodes):
        sent[f"c-{number}-depth"] = str(node.depth)
        if not node.is_group:
            sent[f"c-{number}-origin"] = node.origin_text
        if node.signal is not None:
            sent[f"c-{number}-signal"] = node.signal.name
    return sent
