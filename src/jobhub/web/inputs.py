"""What the OpenAPI document says of bodies and queries, as strictly as `web.requests` reads them; Litestar describes its own reading."""

from collections.abc import Iterator
from typing import Any

_Schema = dict[str, Any]

_NULL = {"type": "null"}


def describe_inputs(operation: dict[str, Any], schemas: dict[str, _Schema]) -> None:
    """Correct an operation, and of `schemas` those of its body, in place. Doing it twice changes nothing more."""
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _without_null(parameter["schema"])
    if body := operation.get("requestBody"):
        kinds = [content["schema"] for content in body["content"].values()]
        if any(_NULL in kind.get("oneOf", ()) for kind in kinds):
            body["required"] = False
        for name in _names(kinds):
            schemas[name] = _strict(schemas[name])


def _without_null(schema: _Schema) -> _Schema:
    """A query has no null: a parameter is there or it is not."""
    kinds: list[_Schema] = [kind for kind in schema.get("oneOf", ()) if kind != _NULL]
    if len(kinds) != 1:
        return schema
    return {key: value for key, value in schema.items() if key != "oneOf"} | kinds[0]


def _names(kinds: list[_Schema]) -> Iterator[str]:
    for kind in kinds:
        for one in (kind, *kind.get("oneOf", ())):
            if "$ref" in one:
                yield one["$ref"].rpartition("/")[2]


def _strict(schema: _Schema) -> _Schema:
    """Unknown fields are refused; null for an optional field is the same as leaving it out."""
    required = schema.get("required", ())
    fields = {name: field if name in required else _or_null(field) for name, field in schema.get("properties", {}).items()}
    return {**schema, "properties": fields, "additionalProperties": False}


def _or_null(field: _Schema) -> _Schema:
    kinds = field.get("oneOf") or field.get("anyOf") or []
    return field if _NULL in kinds else {"anyOf": [field, _NULL]}
