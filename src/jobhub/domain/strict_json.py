"""JSON taken literally: what PostgreSQL or another reader could not keep exactly is refused here, with the place of each fault.

Source: RFC 8259, and RFC 7493 (I-JSON) for duplicate keys and surrogates. Not here: whether a value has the shape that was asked
for (`domain.validation`).
"""

import functools
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


def parse_json(body: bytes) -> tuple[Any, list[FieldError]]:
    """The value of a JSON text, and what in it can't be kept exactly.

    Each such part is an error, and in the value something that fits no type stands in its place: whoever checks the shape
    next adds the errors of the rest (`domain.validation.with_faults`), so that a client learns of all at once.

    Raises:
        InvalidInput: not UTF-8, or not JSON.
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
    root = [tree]
    faults = list(_faults(root))
    return root[0], faults


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
    seen: set[str] = set()
    repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
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


# Where in the tree: () or (where the parent is, key). Pointers are made of it only for faults, which are rare.
_Path = tuple[()] | tuple["_Path", str]


def _faults(root: list[Any]) -> Iterator[FieldError]:
    """The faults below the only member of `root`, each also put into the tree, in the place of what it is about."""
    stack: list[tuple[_Path, Any, Any]] = [((), root, 0)]
    while stack:
        path, parent, place = stack.pop()
        value = parent[place]
        if isinstance(value, str) and _UNSTORABLE.search(value):
            value = parent[place] = _Fault("U+0000 and lone surrogates can't be stored")
        elif isinstance(value, dict) and any(len(key) > MAX_KEY_LENGTH or _UNSTORABLE.search(key) for key in value):
            value = parent[place] = _Fault(f"a key is longer than {MAX_KEY_LENGTH} characters, or holds U+0000 or a lone surrogate")
        if isinstance(value, dict):
            stack.extend([((path, key), value, key) for key in value])
        elif isinstance(value, list):
            stack.extend([((path, str(index)), value, index) for index in range(len(value))])
        elif isinstance(value, _Fault):
            yield FieldError(_pointer(path), value.detail)


def _pointer(path: _Path) -> str:
    keys = []
    while path:
        path, key = path
        keys.append(key)
    return functools.reduce(child_pointer, reversed(keys), "")


def child_pointer(pointer: str, key: str) -> str:
    """The RFC 6901 pointer of a member, cut where a hostile key would make it endless or unprintable."""
    escaped = key.replace("~", "~0").replace("/", "~1")
    return f"{pointer}/{_UNSTORABLE.sub('�', escaped[:MAX_KEY_LENGTH])}"
