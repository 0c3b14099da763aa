"""PostgreSQL's protocol, as far as a proxy must understand it: where messages end, and which statement a message decides.

Only type byte and length are read, and of Parse, Bind and Query the strings at their beginning. Statements carry their name as a
comment, `/* name */` (`jobhub.store.statements`); of others the first word counts, so that a COMMIT is `commit`.
Source: PostgreSQL's manual, "Message Formats".
"""

import re
import struct
from collections.abc import Iterator

_NAME = re.compile(rb"\s*/\* (\w+) \*/")
_WORD = re.compile(rb"\s*(\w+)")
READY_FOR_QUERY = ord("Z")
# The first message of a connection has no type byte. These requests are answered with one byte, and followed by another such message.
_ENCRYPTION_REQUESTS = (80877103, 80877104)


def statement_name(sql: bytes) -> str:
    """What a statement is called."""
    if found := _NAME.match(sql) or _WORD.match(sql):
        return found[1].decode().lower()
    return ""


class Frontend:
    """What one client sends. Knows its prepared statements, and what it has bound since its last Sync."""

    def __init__(self) -> None:
        self._received = bytearray()
        self._is_starting = True
        self._prepared: dict[bytes, str] = {}
        self._bound: str | None = None

    def feed(self, received: bytes) -> Iterator[tuple[bytes, str | None]]:
        """Whole messages, each with the name of the statement that is executed and committed by it, or None.

        Without BEGIN, that is the Sync after an Execute, or a Query.
        """
        self._received += received
        while message := self._next_message():
            yield message, None if self._is_starting else self._decides(message)
            if self._is_starting:
                self._is_starting = struct.unpack_from("!I", message, 4)[0] in _ENCRYPTION_REQUESTS

    def _next_message(self) -> bytes | None:
        start = 0 if self._is_starting else 1
        if len(self._received) < start + 4:
            return None
        end = start + struct.unpack_from("!I", self._received, start)[0]
        if len(self._received) < end:
            return None
        message = bytes(self._received[:end])
        del self._received[:end]
        return message

    def _decides(self, message: bytes) -> str | None:
        match message[:1]:
            case b"P":
                name, _, rest = message[5:].partition(b"\0")
                self._prepared[name] = statement_name(rest[:200])
            case b"B":
                _portal, name, _ = message[5:].split(b"\0", 2)
                self._bound = self._prepared.get(name, "")
            case b"Q":
                return statement_name(message[5:205])
            case b"S":
                bound, self._bound = self._bound, None
                return bound
        return None


class Backend:
    """What the server answers one client: counts how often it was ready for the next statement."""

    def __init__(self) -> None:
        self.times_ready = 0
        self._received = bytearray()

    def feed(self, received: bytes) -> None:
        self._received += received
        while len(self._received) >= 5:
            end = 1 + struct.unpack_from("!I", self._received, 1)[0]
            if len(self._received) < end:
                return
            self.times_ready += self._received[0] == READY_FOR_QUERY
            del self._received[:end]
