"""The part of JSON Schema (draft 7) that values.schema.json uses, so that it is tested where helm is not.

A keyword that is not known here is an error: the schema then says something that no test would hear.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

Schema = Mapping[str, Any]
KEYWORDS = {
    "$schema", "title", "description", "definitions", "$ref", "type", "enum", "pattern", "minimum", "maximum",
    "properties", "required", "additionalProperties", "items", "minItems",
}  # fmt: skip
_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
}


def problems(value: object, schema: Schema, root: Schema, path: str = "") -> Iterator[str]:
    """Yield what a value has against a schema, each with its path."""
    assert schema.keys() <= KEYWORDS, path
    if "$ref" in schema:
        schema = root["definitions"][schema["$ref"].removeprefix("#/definitions/")]
    if "type" in schema and not _is_of(value, schema["type"]):
        yield f"{path}: not {schema['type']}"
    elif value not in schema.get("enum", [value]):
        yield f"{path}: not one of {schema['enum']}"
    elif isinstance(value, str):
        if not re.search(schema.get("pattern", ""), value):
            yield f"{path}: {value!r} does not match"
    elif isinstance(value, (int, float)):
        if not schema.get("minimum", value) <= value <= schema.get("maximum", value):
            yield f"{path}: {value} is out of bounds"
    elif isinstance(value, list):
        yield from _of_list(value, schema, root, path)
    elif isinstance(value, dict):
        yield from _of_object(value, schema, root, path)


def _is_of(value: object, names: str | list[str]) -> bool:
    wanted = {kind for name in ([names] if isinstance(names, str) else names) for kind in _TYPES[name]}
    return type(value) in wanted


def _of_list(value: list[object], schema: Schema, root: Schema, path: str) -> Iterator[str]:
    if len(value) < schema.get("minItems", 0):
        yield f"{path}: too few"
    for index, item in enumerate(value):
        yield from problems(item, schema.get("items", {}), root, f"{path}[{index}]")


def _of_object(value: dict[str, object], schema: Schema, root: Schema, path: str) -> Iterator[str]:
    yield from (f"{path}.{name}: missing" for name in schema.get("required", ()) if name not in value)
    for name, member in value.items():
        known = schema.get("properties", {}).get(name, schema.get("additionalProperties", {}))
        if known is False:
            yield f"{path}.{name}: not known"
        else:
            yield from problems(member, known, root, f"{path}.{name}")
