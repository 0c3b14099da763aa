"""Reading Server-Sent Events. Source: WHATWG HTML, 9.2.6. Bytes in, events out; no input or output of its own."""

import re

import msgspec

_LINE_END = re.compile(rb"\r\n|\n|\r")


class Event(msgspec.Struct, frozen=True):
    """One event with data."""

    name: str
    data: str


class EventParser:
    """Takes a stream in pieces of any size. `reconnect_seconds` is what the service last asked for."""

    def __init__(self) -> None:
        self.reconnect_seconds: float | None = None
        self._rest = b""
        self._name = ""
        self._data: list[str] = []

    def feed(self, piece: bytes) -> list[Event]:
        """The events that are complete with this piece."""
        *lines, self._rest = _LINE_END.split(self._rest + piece)
        if self._rest == b"" and piece.endswith(b"\r"):  # perhaps one half of a CR LF
            self._rest = lines.pop() + b"\r"
        return [event for line in lines if (event := self._take(line.decode(errors="replace")))]

    def _take(self, line: str) -> Event | None:
        if not line:
            event = Event(self._name or "message", "\n".join(self._data)) if self._data else None
            self._name, self._data = "", []
            return event
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "event":
                self._name = value
            case "data":
                self._data.append(value)
            case "retry" if value.isascii() and value.isdigit():
                self.reconnect_seconds = int(value) / 1000
        return None
