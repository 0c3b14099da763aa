"""Parameters and times as one types them, made into what the job type wants: `steps=3` is a number where the schema has one."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

_INTEGER = re.compile(r"[-+]?\d+", re.ASCII)
_FROM_NOW = re.compile(r"([-+]\d+)([smhd])", re.ASCII)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}

Schema = Mapping[str, Any]


def read_pairs(pairs: Iterable[str], schema: Schema) -> dict[str, Any]:
    """`name=value` pairs as parameters of a job type, whose JSON Schema decides what a value is. Raises ValueError."""
    definitions = schema.get("$defs", {})
    fields = _resolved(schema, definitions)
    known: Schema = fields.get("properties", {})
    given: dict[str, Any] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or not name:
            raise ValueError(f"{pair!r} must be name=value.")
        if name in given:
            raise ValueError(f"{name} is given twice.")
        if name not in known and fields.get("additionalProperties") is False:
            raise ValueError(f"{name} is no parameter of this job type; it has {', '.join(sorted(known)) or 'none'}.")
        given[name] = _value(name, text, known.get(name, {}), definitions)
    return given


def _resolved(schema: Schema, definitions: Schema) -> Schema:
    while reference := schema.get("$ref"):
        schema = definitions[reference.rpartition("/")[2]]
    return schema


def _kinds(schema: Schema, definitions: Schema) -> Iterator[str]:
    """The JSON types a schema allows; none if it allows any."""
    schema = _resolved(schema, definitions)
    for alternative in [*schema.get("anyOf", []), *schema.get("oneOf", [])]:
        yield from _kinds(alternative, definitions)
    if isinstance(kind := schema.get("type", []), str):
        yield kind
    else:
        yield from kind
    if "type" not in schema:
        yield from (_NAMES.get(type(value), "null") for value in schema.get("enum", []))


_NAMES = {str: "string", bool: "boolean", int: "integer", float: "number", dict: "object", list: "array"}
_WANTED = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
    "array": "a JSON array",
    "object": "a JSON object",
}


def _value(name: str, text: str, schema: Schema, definitions: Schema) -> Any:
    kinds = set(_kinds(schema, definitions))
    if kinds == {"string"}:
        return text
    value = _parsed(text)
    if not kinds:
        return text if value is _NOTHING else value
    found = _NAMES.get(type(value), "null")
    if value is not _NOTHING and (found in kinds or (found == "integer" and "number" in kinds)):
        return value
    if "string" in kinds:
        return text
    raise ValueError(f"{name} must be {' or '.join(_WANTED[kind] for kind in sorted(kinds))}, not {text!r}.")


_NOTHING = object()


def _parsed(text: str) -> Any:
    if _INTEGER.fullmatch(text):
        return int(text)  # JSON would refuse +5 and 007
    try:
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return _NOTHING


def _refuse(constant: str) -> Any:
    raise ValueError(constant)


def read_time(text: str, *, now: datetime) -> datetime:
    """`+90s`, `+10m`, `-2h`, `-3d`, or a date and time; without an offset that of this machine. Raises ValueError."""
    if match := _FROM_NOW.fullmatch(text):
        try:
            return now + timedelta(**{_UNITS[match[2]]: int(match[1])})
        except OverflowError:
            pass
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time: say +10m, -2h, +3d, or 2026-12-24T18:00.") from None
