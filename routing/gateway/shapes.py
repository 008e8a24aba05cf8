"""Whether a JSON value has the shape that a schema asks for: the keywords that models are given.

What a schema says beyond these is not checked. Patterns are not: they come from the caller, and
could be made to run for ever.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_TYPES: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "number": (int, float),
    "integer": (int,),
}
_DEEPEST = 32


def fits(value: Any, schema: Any, depth: int = 0) -> bool:
    if not isinstance(schema, Mapping) or depth > _DEEPEST:
        return schema is not False
    if not _has_type(value, schema.get("type")):
        return False
    if "const" in schema and value != schema["const"]:
        return False
    if isinstance(schema.get("enum"), list) and value not in schema["enum"]:
        return False
    if isinstance(schema.get("anyOf"), list) and not any(
        fits(value, one, depth + 1) for one in schema["anyOf"]
    ):
        return False
    if isinstance(value, dict):
        return _fits_object(value, schema, depth)
    if isinstance(value, list):
        return all(fits(item, schema.get("items", True), depth + 1) for item in value)
    return _fits_number(value, schema)


def _has_type(value: Any, wanted: Any) -> bool:
    if wanted is None:
        return True
    names = wanted if isinstance(wanted, list) else [wanted]
    if isinstance(value, bool):
        # In Python a truth is a number too; in JSON it is not.
        return "boolean" in names
    return any(isinstance(value, _TYPES.get(str(name), (object,))) for name in names)


def _fits_object(value: dict[str, Any], schema: Mapping[str, Any], depth: int) -> bool:
    properties = schema.get("properties")
    known = properties if isinstance(properties, Mapping) else {}
    required = schema.get("required")
    if isinstance(required, list) and any(name not in value for name in required):
        return False
    others = schema.get("additionalProperties", True)
    return all(fits(item, known.get(name, others), depth + 1) for name, item in value.items())


def _fits_number(value: Any, schema: Mapping[str, Any]) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return True
    low, high = schema.get("minimum"), schema.get("maximum")
    return not (
        (isinstance(low, (int, float)) and value < low)
        or (isinstance(high, (int, float)) and value > high)
    )
