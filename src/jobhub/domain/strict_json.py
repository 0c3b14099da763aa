"""JSON taken literally: what PostgreSQL or another reader could not keep exactly is refused here, with the place of each fault.

Source: RFC 8259, and RFC 7493 (I-JSON) for duplicate keys and surrogates. Not here: whether a value has the shape that was asked
for (`domain.validation`).
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import msgspec

from jobhub.domain.errors import FieldError, InvalidInput

MAX_INTEGER = 2**63 - 1
MAX_KEY_LENGTH = 256
MAX_ERRORS = 100  # more would only make the answer longer than the question

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class _Fault(msgspec.Struct, frozen=True):
    """Stands in the tree where the parser met something it refuses, so that the walk can say where."""

    detail: str


def parse_json(body: bytes) -> Any:
    """The value of a JSON text.

    Raises:
        InvalidInput: not UTF-8, not JSON (then without pointers), or JSON that can't be kept exactly (then with one each).
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _not_json(f"byte {error.start} is not UTF-8") from error
    if text.startswith("\ufeff"):
        raise _not_json("it starts with a byte order mark")
    try:
        tree = _DECODER.decode(text)
    except RecursionError:
        raise InvalidInput(message="The body is nested too deeply.", code="too_deep") from None
    except ValueError as error:
        raise _not_json(str(error)) from error
    if errors := list(_faults(tree)):
        raise InvalidInput(errors[:MAX_ERRORS])
    return tree


def _not_json(why: str) -> InvalidInput:
    return InvalidInput(message=f"The body is not JSON: {why}.", code="malformed_json")


def measure(tree: Any) -> tuple[int, int]:
    """Depth (an object or array without others inside is 1, anything else 0) and number of nodes of a JSON value."""
    depth, nodes, level = 0, 1, [tree]
    while level := [child for value in level for child in _children_or_self(value)]:
        depth += 1
        level = [child for child in level if child is not _MARK]
        nodes += len(level)
    return depth, nodes


_MARK = object()


def _children_or_self(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [_MARK, *value.values()]
    if isinstance(value, list):
        return [_MARK, *value]
    return []


def _pairs(pairs: list[tuple[str, Any]]) -> Any:
    value = dict(pairs)
    if len(value) == len(pairs):
        return value
    keys = [key for key, _ in pairs]
    repeated = next(key for key in keys if keys.count(key) > 1)
    return _Fault(f"the key {repeated[:50]!r} stands there more than once")


def _integer(literal: str) -> int | _Fault:
    if len(literal) > 20 or abs(int(literal)) > MAX_INTEGER:
        return _Fault(f"integers must be from -{MAX_INTEGER} to {MAX_INTEGER}")
    return int(literal)


def _number(literal: str) -> float | _Fault:
    value = float(literal)
    if not math.isfinite(value) or (value == 0 and literal.lstrip("-")[0:].lower().partition("e")[0].strip("0.")):
        return _Fault("the number is beyond the range of a double")
    return value


def _constant(literal: str) -> NoReturn:
    raise ValueError(f"{literal} is not a JSON value")


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=_integer, parse_float=_number, parse_constant=_constant)


def _faults(tree: Any) -> Iterator[FieldError]:
    stack: list[tuple[str, Any]] = [("", tree)]
    while stack:
        pointer, value = stack.pop()
        if isinstance(value, str):
            if _UNSTORABLE.search(value):
                yield FieldError(pointer, "U+0000 and lone surrogates can't be stored")
        elif isinstance(value, dict):
            for key in value:
                if len(key) > MAX_KEY_LENGTH or _UNSTORABLE.search(key):
                    yield FieldError(pointer, f"a key is longer than {MAX_KEY_LENGTH} characters, or holds U+0000 or a lone surrogate")
            stack.extend((child_pointer(pointer, key), child) for key, child in value.items())
        elif isinstance(value, list):
            stack.extend((f"{pointer}/{index}", child) for index, child in enumerate(value))
        elif isinstance(value, _Fault):
            yield FieldError(pointer, value.detail)


def child_pointer(pointer: str, key: str) -> str:
    """The RFC 6901 pointer of a member, cut where a hostile key would make it endless or unprintable."""
    escaped = key.replace("~", "~0").replace("/", "~1")
    return f"{pointer}/{_UNSTORABLE.sub('�', escaped[:MAX_KEY_LENGTH])}"
