"""Whether an answer that a person wrote still has the form which the client asked for.

The request's own response_format decides: JSON stays JSON, and a schema is checked in full. A
reference to a document elsewhere is never fetched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from jsonschema import exceptions, validators
from referencing import Registry
from referencing.exceptions import Unresolvable

from screens.errors import Invalid


class WrongFormat(Invalid):
    default_code = "wrong_format"

    def __init__(self, problem: str) -> None:
        super().__init__(
            f"The client asked for JSON of a certain form, and this is not it: {problem}",
            what_next="Mend the answer, or give the safe default.",
        )


def check_format(*, request: str, answer: str) -> None:
    """Raise WrongFormat where the answer is not what the request's response_format asks for."""
    wanted = _format_of(request)
    kind = wanted.get("type")
    if kind not in {"json_object", "json_schema"}:
        return
    try:
        value = json.loads(answer, parse_constant=_no_constant)
    except ValueError as problem:
        raise WrongFormat(str(problem)) from None
    if kind == "json_object" and not isinstance(value, dict):
        raise WrongFormat("it must be an object.")
    schema = _schema_of(wanted)
    if kind == "json_schema" and schema is not None:
        _check_schema(schema, value)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON.")


def _format_of(request: str) -> Mapping[str, Any]:
    """The format of a chat request, or of one in the form of responses."""
    try:
        fields = json.loads(request)
    except ValueError:
        return {}
    if not isinstance(fields, dict):
        return {}
    text = fields.get("text")
    wanted = fields.get("response_format") or (isinstance(text, dict) and text.get("format"))
    return wanted if isinstance(wanted, dict) else {}


def _schema_of(wanted: Mapping[str, Any]) -> Any:
    inner = wanted.get("json_schema")
    return inner.get("schema") if isinstance(inner, dict) else wanted.get("schema")


def _check_schema(schema: Any, value: Any) -> None:
    try:
        kind = validators.validator_for(schema, default=validators.Draft202012Validator)
        found = exceptions.best_match(kind(schema, registry=Registry()).iter_errors(value))
    except (exceptions.SchemaError, Unresolvable, RecursionError, TypeError, ValueError) as problem:
        # A schema that nobody can check must not let anything pass as checked.
        raise WrongFormat(f"its schema cannot be used ({type(problem).__name__}).") from None
    if found is not None:
        raise WrongFormat(f"at {found.json_path}: {found.message[:200]}")
