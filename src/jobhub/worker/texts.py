"""Making what a handler leaves behind storable: texts, tracebacks and results."""

import math
import re
import traceback
from typing import Any

import msgspec

MAX_MESSAGE_LENGTH = 2_000
MAX_TRACEBACK_LENGTH = 16_384
MAX_RESULT_BYTES = 8 * 1024 * 1024

_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class NotStorable(Exception):
    """A result that is no JSON, or too much of it; the message says which."""


def storable_text(text: str, limit: int = MAX_MESSAGE_LENGTH) -> str:
    """A text without what PostgreSQL can't hold, cut in the middle if it is too long."""
    text = _UNSTORABLE.sub("\ufffd", text)
    if len(text) <= limit:
        return text
    return f"{text[: limit // 2]}\n… {len(text) - limit} characters left out …\n{text[-limit // 2 :]}"


def traceback_text(error: BaseException) -> str:
    """The traceback of an exception, even of one whose `str()` raises."""
    try:
        lines = traceback.format_exception(error)
    except Exception:
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
        encoded = b"null"
    # Only what holds one of these can need cleaning: NaN and infinities are encoded as null.
    if b"null" in encoded or b"\\u0000" in encoded or len(encoded) > MAX_RESULT_BYTES:
        encoded = msgspec.json.encode(storable_result(result))
    return msgspec.Raw(encoded)


def storable_result(result: Any) -> Any:
    """A handler's result as plain JSON values.

    Dates, UUIDs, Structs and dataclasses become what msgspec makes of them; U+0000 and lone surrogates become U+FFFD.

    Raises:
        NotStorable
    """
    try:
        plain = _clean(msgspec.to_builtins(result, str_keys=True))
        size = len(msgspec.json.encode(plain))
    except (TypeError, ValueError, OverflowError, RecursionError, UnicodeError, msgspec.MsgspecError) as error:
        raise NotStorable(f"The handler returned something that is no JSON: {storable_text(str(error), 200)}") from error
    if size > MAX_RESULT_BYTES:
        raise NotStorable(f"The handler returned {size} bytes of JSON; at most {MAX_RESULT_BYTES} can be kept.")
    return plain


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
