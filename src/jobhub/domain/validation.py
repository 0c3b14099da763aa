"""Make a decoded JSON value into a Struct, naming every field that does not fit; msgspec alone stops at the first.

Types are taken literally (`"5"` is not 5). Not here: parsing the text (`domain.strict_json`).
"""

import re
import types
import typing
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any, TypeVar, Union

import msgspec
from msgspec.structs import FieldInfo

from jobhub.domain.errors import FieldError, InvalidInput
from jobhub.domain.job_types import InvalidParameter
from jobhub.domain.strict_json import MAX_ERRORS, child_pointer

T = TypeVar("T")

_LOCATION = re.compile(r" - at `(?:key in )?\$(.*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")


def convert(value: Any, into: type[T], *, pointer: str = "") -> T:
    """`value` as `into`.

    Raises:
        InvalidInput: with all fields that don't fit, pointers starting with `pointer`.
    """
    try:
        return msgspec.convert(value, into, strict=True)
    except msgspec.ValidationError as error:
        raise InvalidInput((_errors(value, into, pointer) or [_error(error, pointer)])[:MAX_ERRORS]) from None


def convert_fields(value: Any, into: type[msgspec.Struct]) -> tuple[dict[str, Any], list[FieldError]]:
    """Those fields of a body that fit, converted, with defaults for those left out; and every error of the others."""
    try:
        return msgspec.structs.asdict(msgspec.convert(value, into, strict=True)), []
    except msgspec.ValidationError:
        errors = _errors(value, into, "")
    if not isinstance(value, dict):
        return {}, errors
    good = {}
    for field in _fields(into):
        member = value.get(field.encode_name, field.default)
        try:
            good[field.name] = msgspec.convert(member, field.type, strict=True)
        except msgspec.ValidationError:
            continue
    return good, errors


def with_faults(faults: Sequence[FieldError], errors: Iterable[FieldError]) -> list[FieldError]:
    """What `parse_json` found and what the checks after it found, without their words about the places that were faulty already."""
    faulty = {fault.pointer for fault in faults}
    return [*faults, *(error for error in errors if error.pointer not in faulty)]


def without_nulls(value: Any, into: type[msgspec.Struct]) -> Any:
    """A body in which null for an optional field is the same as leaving it out."""
    if not isinstance(value, dict):
        return value
    optional = _optional(into)
    return {name: member for name, member in value.items() if not (member is None and name in optional)}


@cache
def _fields(struct: type[msgspec.Struct]) -> tuple[FieldInfo, ...]:
    """A Struct's fields, whose annotations msgspec evaluates anew at each call."""
    return msgspec.structs.fields(struct)


@cache
def _optional(struct: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(field.encode_name for field in _fields(struct) if not field.required)


def _errors(value: Any, into: Any, pointer: str) -> list[FieldError]:
    """Every error in `value`, deepest first found; empty if it fits."""
    try:
        msgspec.convert(value, into, strict=True)
    except msgspec.ValidationError as error:
        into = _plain(into)
        if isinstance(value, dict) and isinstance(into, type) and issubclass(into, msgspec.Struct):
            inner = _struct_errors(value, into, pointer)
        elif isinstance(value, list) and typing.get_origin(into) in (list, tuple, set, frozenset):
            item = typing.get_args(into)[0]
            inner = [found for index, member in enumerate(value) for found in _errors(member, item, f"{pointer}/{index}")]
        elif isinstance(value, dict) and typing.get_origin(into) is dict:
            item = typing.get_args(into)[1]
            inner = [found for key, member in value.items() for found in _errors(member, item, child_pointer(pointer, key))]
        else:
            inner = []
        return inner or [_error(error, pointer)]
    return []


def _struct_errors(value: dict[str, Any], into: type[msgspec.Struct], pointer: str) -> list[FieldError]:
    fields = {field.encode_name: field for field in _fields(into)}
    found = [
        FieldError(child_pointer(pointer, name), "is required") for name, field in fields.items() if field.required and name not in value
    ]
    for name, member in value.items():
        if field := fields.get(name):
            found += _errors(member, field.type, child_pointer(pointer, name))
        elif into.__struct_config__.forbid_unknown_fields:
            found.append(FieldError(child_pointer(pointer, name), "is not a field that is known here"))
    return found


def _plain(annotation: Any) -> Any:
    """A type without Annotated and without `| None`, so that its members can be looked at."""
    while typing.get_origin(annotation) is typing.Annotated:
        annotation = typing.get_args(annotation)[0]
    if typing.get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in typing.get_args(annotation) if member not in (type(None), msgspec.UnsetType)]
        if len(members) == 1:
            return _plain(members[0])
    return annotation


def _error(error: msgspec.ValidationError, pointer: str) -> FieldError:
    text = str(error)
    if match := _LOCATION.search(text):
        text = text[: match.start()]
        for name, index in _STEP.findall(match[1]):
            pointer = child_pointer(pointer, name or index)
    if isinstance(error.__cause__, InvalidParameter):
        return FieldError(child_pointer(pointer, error.__cause__.field), error.__cause__.detail)
    return FieldError(pointer, text[:1].lower() + text[1:])
