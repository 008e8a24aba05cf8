"""The conditions of one rule as forms: read from the stored rule, or from what was sent.

The page sends a flat list: each condition and group with its depth. Every step (add, move, remove)
reads that list, changes the tree and shows it again, so it needs no script and nothing typed is
lost. What no form can show is kept exactly as it is.
"""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import QueryDict

from routing.engine.clauses import GROUPS, MAX_DEPTH, MAX_LEAVES, OPERATORS_OF
from routing.engine.registry import BOOL, ENUM, INT, NUMBER, OPEN_ENUM, Registry
from routing.forms.comparisons import (
    ConditionForm,
    can_show,
    has_checkboxes,
    initial_of,
    same_leaf,
)
from routing.forms.condition_tree import (
    DOWN,
    KEPT,
    MAX_NODES,
    TEST,
    UP,
    Node,
    grown,
    leaves_in,
    move,
    nodes_of,
    number_all,
)

_LIST_GROUPS = ("all", "any")


class GroupForm(forms.Form):
    """How what is in a group belongs together."""

    kind = forms.ChoiceField(
        label="It holds when",
        choices=(
            ("all", "all of these hold"),
            ("any", "at least one of these holds"),
            ("not", "this does not hold"),
        ),
    )


def parts_of(when: Any) -> tuple[str, list[Any]]:
    """The outermost group and what is in it; one comparison is a group of one."""
    if not isinstance(when, dict) or not when:
        return "all", []
    return group_of(when) or ("all", [when])


def group_of(item: Any) -> tuple[str, list[Any]] | None:
    """Kind and items of a group, or None where the item is none."""
    if not isinstance(item, dict) or len(item) != 1:
        return None
    ((kind, inner),) = item.items()
    if kind in _LIST_GROUPS and isinstance(inner, list):
        return kind, inner
    return (kind, [inner]) if kind == "not" else None


class Conditions:
    """The tree of one rule, its forms, and the step that the person has just made."""

    def __init__(self, registry: Registry, when: Any, sent: QueryDict | None = None) -> None:
        self.registry = registry
        self.when = when
        self.sent = sent
        self.error = ""
        self.focus: tuple[Node, str] | None = None
        self._is_bound = False
        kind, items = parts_of(when)
        self.root = Node(kind=kind)
        if sent is None:
            self.root.items = [self._stored(item, (n,)) for n, item in enumerate(items)]
        else:
            self._read(sent)
        self._make()

    @property
    def kind(self) -> str:
        return self.root.kind

    @property
    def nodes(self) -> list[Node]:
        """Every condition and group in the order of the page; their `number` is their place."""
        return list(nodes_of(self.root))

    @property
    def has_room(self) -> bool:
        return leaves_in(self.root) < MAX_LEAVES

    @property
    def root_focus(self) -> str:
        return self.focus[1] if self.focus is not None and self.focus[0] is self.root else ""

    # reading

    def _stored(self, item: Any, origin: tuple[int, ...]) -> Node:
        group = group_of(item)
        if group is not None and len(origin) < MAX_DEPTH:
            kind, items = group
            inner = [self._stored(one, (*origin, n)) for n, one in enumerate(items)]
            return Node(kind=kind, items=inner)
        if not can_show(item, self.registry):
            return Node(kind=KEPT, origin=origin)
        ((name, comparison),) = item.items()
        signal = self.registry.signals[name]
        ticks = has_checkboxes(signal, next(iter(comparison)))
        return Node(
            kind=TEST,
            signal=signal,
            origin=origin,
            initial=initial_of(item, has_checkboxes=ticks),
        )

    def stored_at(self, origin: tuple[int, ...] | None) -> Any:
        """What the stored rule has at the end of this way, or None."""
        if not origin:
            return None
        found, items = None, parts_of(self.when)[1]
        for step in origin:
            if step >= len(items):
                return None
            found = items[step]
            items = (group_of(found) or ("", []))[1]
        return found

    def _read(self, sent: QueryDict) -> None:
        if sent.get("match") in GROUPS:
            self.root.kind = str(sent["match"])
        total, found = sent.get("c-total", "0"), []
        for number in range(min(int(total), MAX_NODES) if _is_number(total) else 0):
            node = self._sent(sent, f"c-{number}")
            depth = sent.get(f"c-{number}-depth", "1")
            if node is not None:
                found.append((int(depth) if _is_number(depth) else 1, node))
        grown(self.root, found)

    def _sent(self, sent: QueryDict, prefix: str) -> Node | None:
        kind = sent.get(f"{prefix}-kind", "")
        if kind in GROUPS:
            return Node(kind=kind, initial={"kind": kind})
        steps = sent.get(f"{prefix}-origin", "").split(".")
        origin = tuple(map(int, steps)) if all(map(_is_number, steps)) else None
        if self.stored_at(origin) is None:
            origin = None
        signal = self.registry.get(sent.get(f"{prefix}-signal", ""))
        if signal is None:
            return None if origin is None else Node(kind=KEPT, origin=origin)
        operator = sent.get(f"{prefix}-operator", "")
        values: Any = sent.getlist(f"{prefix}-value")
        if not has_checkboxes(signal, operator):
            values = values[0] if values else ""
        initial = {"operator": operator, "value": values}
        return Node(kind=TEST, signal=signal, origin=origin, initial=initial)

    # forms

    def _make(self) -> None:
        number_all(self.root)
        for node in nodes_of(self.root):
            node.form = self._form(node)
        if self.focus is not None and self.focus[1] == "control" and self.focus[0].form:
            first = next(iter(self.focus[0].form.fields.values()))
            first.widget.attrs["autofocus"] = True

    def _form(self, node: Node) -> forms.Form | None:
        prefix = f"c-{node.number}"
        if node.is_group:
            initial = {"kind": node.kind}
            made = GroupForm(
                {f"{prefix}-kind": node.kind} if self._is_bound else None,
                initial=initial,
                prefix=prefix,
            )
            made.fields["kind"].widget.attrs |= {
                "aria-label": f"Group {node.place} holds when",
                # Its heading says the kind, so with a script it follows the choice at once.
                "hx-post": "",
                "hx-trigger": "change",
                "hx-vals": f'{{"act": "kind:{node.number}"}}',
            }
            return made
        if node.signal is None:
            return None
        return ConditionForm(
            self._bound_values(node, prefix) if self._is_bound else None,
            initial=dict(node.initial),
            signal=node.signal,
            shown_operator=str(node.initial.get("operator", "")),
            place=node.place,
            prefix=prefix,
        )

    @staticmethod
    def _bound_values(node: Node, prefix: str) -> QueryDict:
        # They are numbered anew after each step, so the sent names cannot be used.
        values = QueryDict(mutable=True)
        values[f"{prefix}-operator"] = node.initial["operator"]
        value = node.initial["value"]
        values.setlist(f"{prefix}-value", value if isinstance(value, list) else [value])
        return values

    # steps

    def step(self, verb: str, number: int | None) -> None:
        """What one button asks for. `number` names a condition or group, None the outermost."""
        nodes = self.nodes
        if number is not None and not 0 <= number < len(nodes):
            return
        node = self.root if number is None else nodes[number]
        if verb in ("add", "group"):
            self._add(node, verb)
        elif verb == "drop" and node.parent is not None:
            self._drop(node)
        elif verb in ("up", "down"):
            move(node, UP if verb == "up" else DOWN)
            number_all(self.root)
            other = "down" if verb == "up" else "up"
            stays = node.may_go_up if verb == "up" else node.may_go_down
            self.focus = (node, verb if stays else other)
        elif verb == "kind":
            self.focus = (node, "control")
        self._make()

    def _add(self, group: Node, verb: str) -> None:
        self.focus = (group, "add")
        name = self.sent.get(f"add_signal{group.suffix}", "") if self.sent is not None else ""
        made = self._new_group(group) if verb == "group" else self._new_test(group, name)
        if made is not None:
            group.items.append(made)
            self.focus = (made, "control")

    def _new_group(self, group: Node) -> Node | None:
        if not self._is_open(group):
            return None
        if not group.may_hold_groups:
            self.error = f"Groups stand at most {MAX_DEPTH} deep, and this would be one more."
            return None
        if len(self.nodes) >= MAX_NODES:
            self.error = f"A rule has at most {MAX_NODES} conditions and groups."
            return None
        return Node(kind="all" if group.kind == "any" else "any")

    def _new_test(self, group: Node, name: str) -> Node | None:
        signal = self.registry.get(name)
        if not self._is_open(group):
            return None
        if signal is None or signal.stage == "answer":
            self.error = "Choose a signal first."
            return None
        if not self.has_room:
            self.error = f"A rule has at most {MAX_LEAVES} conditions."
            return None
        first = OPERATORS_OF[signal.kind][0]
        usual = {ENUM: "in", OPEN_ENUM: "in", INT: "lte", NUMBER: "lte"}.get(signal.kind, first)
        value: Any = [] if has_checkboxes(signal, usual) else "true" if signal.kind == BOOL else ""
        return Node(kind=TEST, signal=signal, initial={"operator": usual, "value": value})

    def _is_open(self, group: Node) -> bool:
        if not group.has_room:
            self.error = (
                "“Not” turns one condition or group around, and there is one already. "
                "Choose “all” or “at least one” first, or remove what is there."
            )
        return group.has_room

    def _drop(self, node: Node) -> None:
        around = node.parent
        if around is None:
            return
        place = around.items.index(node)
        around.items.remove(node)
        if around.items:
            after = around.items[min(place, len(around.items) - 1)]
            self.focus = (after, "control" if after.kind != KEPT else "drop")
        else:
            self.focus = (around, "add")

    # saving

    def is_valid(self) -> bool:
        self._is_bound = True
        self._make()
        results = [node.form.is_valid() for node in self.nodes if node.form is not None]
        for node in self.nodes:
            if node.is_group and (wrong := _wrong_with(node)):
                node.form.add_error("kind", wrong)
                results.append(False)
        if not self.root.items:
            self.error = "A rule needs at least one condition; only the default has none."
        return all(results) and bool(self.root.items) and not self.kind_error

    @property
    def kind_error(self) -> str:
        """What is wrong with how the outermost conditions belong together."""
        return _wrong_with(self.root) if self.root.items else ""

    def built(self) -> Any:
        """The `when` of the rule. What means the same as before stays as it was written."""
        items = [self._item(node) for node in self.root.items]
        stored_kind, stored = parts_of(self.when)
        is_alike = self.kind == stored_kind or (
            len(items) == 1 and "not" not in (self.kind, stored_kind)
        )
        if items == stored and is_alike:
            return self.when
        return {self.kind: items[0] if self.kind == "not" else items}

    def _item(self, node: Node) -> Any:
        if node.is_group:
            items = [self._item(one) for one in node.items]
            return {node.kind: items[0] if node.kind == "not" else items}
        before = self.stored_at(node.origin)
        if node.kind == KEPT:
            return before
        leaf = node.form.leaf()
        return before if before is not None and same_leaf(before, leaf) else leaf


def _wrong_with(group: Node) -> str:
    if not group.items:
        return "This group is empty. Add a condition to it, or remove it."
    if group.kind == "not" and len(group.items) > 1:
        return (
            f"“Not” turns one condition or group around, and there are {len(group.items)}. "
            "Add a group and move them into it, or choose “all” or “at least one”."
        )
    return ""


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6
