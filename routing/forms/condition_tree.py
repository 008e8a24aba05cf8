"""Conditions as a tree that a form takes apart: numbered, and changed one step at a time.

It knows nothing of fields: what stands in a condition is kept as it was read or typed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from routing.engine.clauses import GROUPS, MAX_DEPTH, MAX_LEAVES
from routing.engine.registry import Signal

TEST, KEPT = "test", "kept"
# Each condition in a chain of groups of its own, which is the most that the language allows.
MAX_NODES = MAX_LEAVES * MAX_DEPTH
GROUP_WORDS = {"all": "all of", "any": "any of", "not": "not"}
UP, DOWN = -1, 1


@dataclass(slots=True, eq=False, kw_only=True)
class Node:
    """A condition or a group. `origin` is the way to it in the stored rule, if it was stored.

    `kept` is what no form can show. Depth counts groups: the outermost is 0, what is in it is 1.
    """

    kind: str
    signal: Signal | None = None
    origin: tuple[int, ...] | None = None
    initial: Mapping[str, Any] = field(default_factory=dict)
    items: list[Node] = field(default_factory=list)
    parent: Node | None = None
    number: int = -1
    place: str = ""
    depth: int = 0
    form: Any = None

    @property
    def is_group(self) -> bool:
        return self.kind in GROUPS

    @property
    def label(self) -> str:
        if self.is_group:
            return f"Group {self.place}: {GROUP_WORDS[self.kind]}"
        return f"Condition {self.place}"

    @property
    def name(self) -> str:
        return f"{'group' if self.is_group else 'condition'} {self.place}"

    @property
    def origin_text(self) -> str:
        return "" if self.origin is None else ".".join(map(str, self.origin))

    @property
    def suffix(self) -> str:
        """What tells the names of this group's own fields from those of others."""
        return f"-{self.number}" if self.place else ""

    @property
    def act_suffix(self) -> str:
        return f":{self.number}" if self.place else ""

    @property
    def has_room(self) -> bool:
        """`not` turns one thing around, never several."""
        return self.is_group and not (self.kind == "not" and self.items)

    @property
    def may_hold_groups(self) -> bool:
        return self.is_group and self.depth < MAX_DEPTH - 1

    @property
    def may_go_up(self) -> bool:
        return way_of(self, UP) is not None

    @property
    def may_go_down(self) -> bool:
        return way_of(self, DOWN) is not None


def nodes_of(group: Node) -> Iterator[Node]:
    """Everything inside the group, each group before what is in it."""
    for item in group.items:
        yield item
        yield from nodes_of(item)


def number_all(root: Node) -> None:
    """Gives each its number on the page, and its place as people say it: 2.1 is in group 2."""
    _place(root)
    for number, node in enumerate(nodes_of(root)):
        node.number = number


def _place(group: Node) -> None:
    for position, item in enumerate(group.items, 1):
        item.parent = group
        item.depth = group.depth + 1
        item.place = f"{group.place}.{position}" if group.place else str(position)
        _place(item)


def leaves_in(root: Node) -> int:
    return sum(not node.is_group for node in nodes_of(root))


def way_of(node: Node, step: int) -> tuple[Node, int] | None:
    """Where the node stands after one step: the group and the place in it, or None at the end.

    A condition goes into a group that it meets; a group goes past. At either end both leave the
    group they are in.
    """
    around = node.parent
    if around is None:
        return None
    here = around.items.index(node)
    there = here + step
    if 0 <= there < len(around.items):
        met = around.items[there]
        if not node.is_group and met.has_room:
            return met, (0 if step == DOWN else len(met.items))
        return around, there
    if around.parent is None or around.parent.kind == "not":
        return None
    return around.parent, around.parent.items.index(around) + (step == DOWN)


def move(node: Node, step: int) -> bool:
    way = way_of(node, step)
    if way is None or node.parent is None:
        return False
    group, place = way
    node.parent.items.remove(node)
    group.items.insert(place, node)
    return True


def grown(root: Node, found: list[tuple[int, Node]]) -> None:
    """Puts a flat list of (depth, node) into the root; a depth that cannot be becomes the nearest.

    The list comes from outside, so nothing about it is certain.
    """
    open_groups = [root]
    for wanted, node in found:
        most = MAX_DEPTH - 1 if node.is_group else MAX_DEPTH
        depth = max(1, min(wanted, len(open_groups), most))
        del open_groups[depth:]
        open_groups[-1].items.append(node)
        if node.is_group:
            open_groups.append(node)
