"""A form made from the JSON Schema of a job type's parameters, and parameters made from what was filled in.

What has no field of its own kind is written as JSON. A field that is left empty is left out, and has the default of the type then.
"""

import re
from typing import Any

import msgspec

from jobhub.domain.errors import FieldError, InvalidInput
from jobhub.domain.strict_json import child_pointer, parse_json
from jobhub.web.ui.forms import Form

_INTEGER = re.compile(r"-?\d{1,19}", re.ASCII)
_KINDS_OF_JSON = {"array": "JSON list, such as [1, 2]", "object": 'JSON object, such as {"name": "value"}'}
_LONG_TEXT = 200  # a text that may be longer gets several lines


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter. `kind` is text, long, integer, number, boolean, choice or json; `text` is what stands in it."""

    name: str
    kind: str
    is_required: bool
    help: str
    choices: tuple[str, ...] = ()
    text: str = ""

    @property
    def input_name(self) -> str:
        """In the form, apart from the fields every job has."""
        return f"p.{self.name}"


def fields_of(schema: dict[str, Any], values: dict[str, Any]) -> list[Field]:
    """The fields of an object's properties, filled with `values` where there are any, else with the defaults."""
    resolved = _resolved(schema, schema)
    required = set(resolved.get("required", ()))
    return [
        _field(name, _resolved(given, schema), values, is_required=name in required)
        for name, given in resolved.get("properties", {}).items()
    ]


def _resolved(part: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A schema without the `$ref` it may be, and without null as one of two kinds: an empty field says that."""
    if "$ref" in part:
        name = part["$ref"].rpartition("/")[2]
        part = {**schema.get("$defs", {}).get(name, {}), **{key: value for key, value in part.items() if key != "$ref"}}
    kinds = [kind for kind in part.get("anyOf", ()) if kind != {"type": "null"}]
    if len(kinds) == 1:
        return {**{key: value for key, value in part.items() if key != "anyOf"}, **_resolved(kinds[0], schema)}
    return part


def _field(name: str, part: dict[str, Any], values: dict[str, Any], *, is_required: bool) -> Field:
    kind = _kind(part)
    value = values.get(name, part.get("default", msgspec.UNSET))
    choices = tuple(_text("json", choice) for choice in part.get("enum", ()))
    return Field(
        name=name, kind=kind, is_required=is_required, help=_help(part, kind), choices=_unquoted(choices, part), text=_text(kind, value)
    )


def _unquoted(choices: tuple[str, ...], part: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(choice) for choice in part["enum"]) if _kind(part) == "choice" else choices


def _kind(part: dict[str, Any]) -> str:
    if all(isinstance(choice, str) for choice in part.get("enum", [0])):
        return "choice"
    match part.get("type"):
        case "string":
            return (
                "long" if part.get("maxLength", _LONG_TEXT + 1) > _LONG_TEXT and "format" not in part and "pattern" not in part else "text"
            )
        case "integer" | "number" | "boolean" as kind if "enum" not in part:
            return str(kind)
        case _:
            return "json"


def _text(kind: str, value: Any) -> str:
    """A value as it stands in a field."""
    if value is msgspec.UNSET or value is None:
        return ""
    if isinstance(value, str) and kind in ("text", "long", "choice"):
        return value
    text = msgspec.json.encode(value).decode()
    return "" if kind == "json" and value in ({}, []) else text


def _help(part: dict[str, Any], kind: str) -> str:
    """The description and what a value must be like."""
    low, high = part.get("minimum", part.get("exclusiveMinimum")), part.get("maximum", part.get("exclusiveMaximum"))
    parts = [part.get("description", "")]
    if kind in ("integer", "number"):
        what = "Whole number" if kind == "integer" else "Number"
        above = "more than " if "exclusiveMinimum" in part else ""
        if low is not None and high is not None:
            what += f" from {above}{low} to {high}"
        elif low is not None:
            what += f", {above or 'at least '}{low}"
        elif high is not None:
            what += f", at most {high}"
        parts.append(what)
    if kind == "json":
        parts.append(_KINDS_OF_JSON.get(part.get("type", ""), "JSON"))
    if "maxLength" in part:
        parts.append(f"At most {part['maxLength']:,} characters")
    if "pattern" in part:
        parts.append(f"Pattern {part['pattern']}")
    return ". ".join(text.rstrip(".") for text in parts if text)


def read_parameters(fields: list[Field], form: Form) -> tuple[dict[str, Any], list[FieldError]]:
    """What was filled in, and what of it could not be read."""
    parameters: dict[str, Any] = {}
    errors: list[FieldError] = []
    for field in fields:
        text = form.text(field.input_name)
        pointer = child_pointer("/parameters", field.name)
        if field.kind == "boolean":
            if form.has(field.input_name) or form.has(f"{field.input_name}.shown"):
                parameters[field.name] = form.has(field.input_name)
        elif text.strip():
            try:
                parameters[field.name] = _value(field.kind, text)
            except InvalidInput as error:
                errors.append(FieldError(pointer, error.errors[0].detail if error.errors else str(error)))
    return parameters, errors


def _value(kind: str, text: str) -> Any:
    """Raises InvalidInput: no value of this kind."""
    if kind in ("text", "long", "choice"):
        return text
    text = text.strip()
    if kind == "integer" and not _INTEGER.fullmatch(text):
        raise InvalidInput([FieldError("", "must be a whole number")])
    if kind == "number":
        text = text.removeprefix("+").replace(",", ".")
    try:
        value, faults = parse_json(text.encode())
    except InvalidInput as error:
        raise InvalidInput([FieldError("", "must be a number" if kind == "number" else _not_json(error))]) from error
    if faults:
        raise InvalidInput(faults)
    if kind in ("number", "integer") and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise InvalidInput([FieldError("", "must be a number")])
    return value


def _not_json(error: InvalidInput) -> str:
    return str(error).replace("The body is", "is").rstrip(".")
