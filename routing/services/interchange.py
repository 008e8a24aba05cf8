"""A policy document as YAML for people and git, and back. YAML and JSON give the same digest.

Reading is strict: no repeated keys, no anchors, no tags, and only `true` and `false` are truth
values (YAML 1.1 would read the language `no` as false).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import yaml

from screens.errors import Invalid

MOST_BYTES = 512 * 1024
MOST_DEPTH = 40
MOST_ON_A_LINE = 64

# The order in which people read a document; the database keeps none.
_ORDER = [
    "schema",
    "route",
    "owner",
    "classifier",
    "signals",
    "rules",
    "default",
    "hold",
    "fallbacks",
    "escalation",
    "safe_default",
    "session",
    "limits",
    "on_classifier_failure",
    "invariants",
    "tests",
    "id",
    "name",
    "note",
    "enabled",
    "when",
    "then",
    "given",
    "expect",
    "escalate",
    "refuse",
    "tier",
    "targets",
    "queue",
    "hold_s",
    "on_timeout",
    "candidate",
    "cap_pct",
    "over_cap",
    "text",
    "finish_reason",
    "message",
    "failure",
    "context_window",
    "content_policy",
    "confidence",
    "signal",
    "accept_gte",
    "on_uncertain",
    "to",
    "deadline_ms",
    "first_token_ms",
    "stream_idle_ms",
    "attempts",
    "sticky",
    "ttl_s",
    "may_rise",
    "may_fall",
]
_RANK = {name: place for place, name in reversed(list(enumerate(_ORDER)))}


class Unreadable(Invalid):
    """The text is no YAML or JSON document; the message says where."""

    default_code = "document_unreadable"


class _Writer(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        # Lists are indented under their key, as people write them.
        super().increase_indent(flow, False)


class _Line(dict[str, Any]):
    """A mapping that is short enough for one line."""


class _LineOf(list[Any]):
    """A list that is short enough for one line."""


def _write_line(writer: yaml.SafeDumper, value: Any) -> Any:
    if isinstance(value, dict):
        return writer.represent_mapping("tag:yaml.org,2002:map", value, flow_style=True)
    return writer.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)


_Writer.add_representer(_Line, _write_line)
_Writer.add_representer(_LineOf, _write_line)


class _Reader(yaml.SafeLoader):
    """SafeLoader without anchors, repeated keys, dates, and the truth values of YAML 1.1."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.events.AliasEvent):
            raise _at(self.peek_event(), "uses an alias; write the value out")  # type: ignore[no-untyped-call]
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen: set[str] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag != "tag:yaml.org,2002:str":
                raise _at(key, "has a key that is not text")
            if key.value in seen:
                raise _at(key, f"repeats the key {key.value!r}")
            seen.add(key.value)
        return super().construct_mapping(node, deep)


_PLAIN = {
    "tag:yaml.org,2002:bool": (re.compile(r"^(?:true|false)$"), "tf"),
    "tag:yaml.org,2002:null": (re.compile(r"^(?:null|~|)$"), ("n", "~", "")),
    "tag:yaml.org,2002:int": (re.compile(r"^-?(?:0|[1-9][0-9]*)$"), "-0123456789"),
    "tag:yaml.org,2002:float": (
        re.compile(r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?$"),
        "-0123456789",
    ),
}
_Reader.yaml_implicit_resolvers = {}
for _tag, (_shape, _first) in _PLAIN.items():
    _Reader.add_implicit_resolver(_tag, _shape, list(_first))


def _read_number(loader: yaml.SafeLoader, node: Any) -> float:
    return float(loader.construct_scalar(node))


_Reader.add_constructor("tag:yaml.org,2002:float", _read_number)


def _at(thing: Any, words: str) -> Unreadable:
    mark = thing.start_mark
    return Unreadable(f"Line {mark.line + 1}, column {mark.column + 1} {words}.")


def to_yaml(document: Mapping[str, Any]) -> str:
    """The document as YAML in the order of its schema."""
    return yaml.dump(
        _ordered(document),
        Dumper=_Writer,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=96,
    )


def _ordered(value: Any) -> Any:
    made: Any
    if isinstance(value, Mapping):
        names = sorted(value, key=lambda name: (_RANK.get(name, len(_ORDER)), name))
        made = {name: _ordered(value[name]) for name in names}
    elif isinstance(value, list):
        made = [_ordered(item) for item in value]
    else:
        return value
    if _height(made) > 2 or len(json.dumps(made)) > MOST_ON_A_LINE:
        return made
    return _Line(made) if isinstance(made, dict) else _LineOf(made)


def _height(value: Any) -> int:
    if not isinstance(value, (dict, list)):
        return 0
    items = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_height, items), default=0)


def read_document(text: str) -> dict[str, Any]:
    """The mapping that a YAML or JSON text states. Raises Unreadable with the line and column."""
    if len(text.encode("utf-8", "surrogatepass")) > MOST_BYTES:
        raise Unreadable(f"The document has more than {MOST_BYTES // 1024} KiB.")
    if _depth_of(text) > MOST_DEPTH:
        raise Unreadable("The document is nested too deeply.")
    try:
        document = yaml.load(text, Loader=_Reader)  # noqa: S506  a subclass of SafeLoader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"Line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise Unreadable(f"{where}{error.problem or 'this is no YAML'}.") from None
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise Unreadable(f"This is no YAML or JSON: {str(error)[:200]}") from None
    if not isinstance(document, dict):
        raise Unreadable("A policy document is a mapping, beginning with 'schema' and 'route'.")
    return document


def _depth_of(text: str) -> int:
    """How deep brackets go, and blocks at most: enough to refuse what is built to exhaust us."""
    deepest = level = 0
    for sign in text:
        if sign in "[{":
            level += 1
            deepest = max(deepest, level)
        elif sign in "]}":
            level = max(0, level - 1)
    indent = max((len(line) - len(line.lstrip(" -")) for line in text.splitlines()), default=0)
    return max(deepest, indent // 4)
