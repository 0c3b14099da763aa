"""Making what a handler leaves behind storable: texts, tracebacks and results."""

import math
import re
import traceback
from typing import Any

import msgspec

MAX_MESSAGE_LENGTH = 2_000
MAX_TRACEBACK_LENGTH = 16_384
MAX_RESULT_BYTES = 8 * 1024 * 1024

_ROOM_FOR_THE_CUT = 40  # for the words that say so: what a child has cut fits its worker's limit too

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
# In the JSON of a value that may need cleaning: U+0000, and what msgspec makes of NaN and the infinities.
# Looking for them is a hundred times as fast as walking through the value.
_MARKS_OF_UNCLEAN = (b"\\u0000", b"null")


class NotStorable(Exception):
    """A result that is no JSON, or too much of it; the message says which."""


def storable_text(text: object, limit: int = MAX_MESSAGE_LENGTH) -> str:
    """Anything as a text without what PostgreSQL can't hold, cut in the middle if it is too long, even if its `str()` raises."""
    words = text if isinstance(text, str) else _words(text)
    if len(words) > limit:  # first, for there may be megabytes
        kept = (limit - _ROOM_FOR_THE_CUT) // 2
        words = f"{words[:kept]}\n… {len(words) - 2 * kept} characters left out …\n{words[-kept:]}"
    return _UNSTORABLE.sub("\ufffd", words)


def _words(thing: object) -> str:
    try:
        return str(thing)
    except BaseException as error:  # SystemExit too: it would end the worker
        return f"{type(thing).__name__}, whose text can't be had: {type(error).__name__}"


def traceback_text(error: BaseException) -> str:
    """The traceback of an exception, even of one whose `str()` raises."""
    try:
        lines = traceback.format_exception(error)
    except BaseException:  # SystemExit too: it would end the worker
        lines = [f"{type(error).__name__}, whose traceback can't be printed"]
    return storable_text("".join(lines), MAX_TRACEBACK_LENGTH)


def encoded_result(result: Any) -> msgspec.Raw | None:
    """A handler's result as JSON text, cleaned as `storable_result` does; None for none.

    Raises:
        NotStorable
    """
    if result is None:
        return None
    try:
        encoded = msgspec.json.encode(result)
    except Exception:  # its own classes may raise anything; said in our words below
        encoded = _MARKS_OF_UNCLEAN[0]
    if len(encoded) > MAX_RESULT_BYTES or any(mark in encoded for mark in _MARKS_OF_UNCLEAN):
        encoded = msgspec.json.encode(storable_result(result))
    return msgspec.Raw(encoded)


def storable_result(result: Any) -> Any:
    """A handler's result as plain JSON values.

    Dates, UUIDs, Structs and dataclasses become what msgspec makes of them; U+0000 and lone surrogates become U+FFFD.

    Raises:
        NotStorable
    """
    try:
        plain = msgspec.to_builtins(result, str_keys=True)
        encoded = _encoded(plain)
        if len(encoded) <= MAX_RESULT_BYTES and any(mark in encoded for mark in _MARKS_OF_UNCLEAN):
            plain = _clean(plain)
            encoded = _encoded(plain)
    except (TypeError, ValueError, OverflowError, RecursionError, UnicodeError, msgspec.MsgspecError) as error:
        raise NotStorable(f"The handler returned something that is no JSON: {storable_text(error, 200)}") from error
    if len(encoded) > MAX_RESULT_BYTES:
        raise NotStorable(f"The handler returned {len(encoded)} bytes of JSON; at most {MAX_RESULT_BYTES} can be kept.")
    return plain


def _encoded(plain: Any) -> bytes:
    try:
        return msgspec.json.encode(plain)
    except UnicodeEncodeError:  # a lone surrogate
        return _MARKS_OF_UNCLEAN[0]


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _UNSTORABLE.sub("\ufffd", value)
    if isinstance(value, dict):
        return {_clean(key): _clean(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(member) for member in value]
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"{value} is not a JSON number")
    return value
