"""The API's side of a connection: what is refused before there is a request for the application.

That is what is no HTTP/1.1, and heads that are too long. uvicorn bounds no head; it answers a malformed request at once, even while an
earlier one on the same connection still waits for its answer, which the client would then take the refusal for; and it loses the body of
a request that offers an upgrade, as some clients do with each (Java's offers h2c).
Not here: everything a well-formed request can be refused for (`web`).
"""

import asyncio
from http import HTTPStatus
from typing import Any, NoReturn, cast

import httptools
import msgspec
from litestar.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from jobhub.contract.problems import PROBLEM_JSON, Problem
from jobhub.web.edge import Edge

MAX_TARGET_BYTES = 8 * 1024  # path and query; the longest that means anything here has about 3 KiB
MAX_HEAD_BYTES = 16 * 1024  # tokens of identity providers have up to 8 KiB
MAX_HEADERS = 100

_REASONS = {
    HTTPStatus.BAD_REQUEST: ("malformed_http", "This is not HTTP/1.1 as RFC 9112 has it."),
    HTTPStatus.REQUEST_URI_TOO_LONG: ("target_too_long", f"Path and query may have {MAX_TARGET_BYTES} bytes."),
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: (
        "head_too_large",
        f"The head of a request may have {MAX_HEADERS} fields and {MAX_HEAD_BYTES} bytes.",
    ),
}


class _Refused(Exception):
    """Stops the parser, which then has uvicorn call `send_400_response`."""


class StrictProtocol(HttpToolsProtocol):
    """One connection. Source of what it overrides: uvicorn/protocols/http/httptools_impl.py, 0.54."""

    _status = HTTPStatus.BAD_REQUEST
    _is_refused = False
    _heads = 0
    _open_head = 0  # the number of the head that is being received, 0 between heads
    _head_bytes = 0  # of it, in pieces that brought no end of it
    _field_bytes = 0
    _is_in_body = False
    _without_upgrade = b""  # the head that is parsed once more, as it would be without its Upgrade field

    def data_received(self, data: bytes) -> None:
        if self._is_refused:  # the parser can't go on, and the connection ends once the refusal is sent
            return
        head = self._open_head
        self._unset_keepalive_if_required()
        self._feed(data)
        # The parser tells of a field when it is whole: one without an end is seen here alone.
        if head and head == self._open_head and not self._is_refused:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
                self.send_400_response("")

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserError:
                self.send_400_response("")
                return
            except httptools.HttpParserUpgrade as upgrade:
                data = self._started_over(data[upgrade.args[0] :])
            else:
                return

    def _started_over(self, rest: bytes) -> bytes:
        """What a new parser has to be fed with; nothing after a CONNECT, since what follows it is no HTTP."""
        if not self._without_upgrade:
            return b""
        head, self._without_upgrade = self._without_upgrade, b""
        self.parser = httptools.HttpRequestParser(self)
        return head + rest

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._heads += 1
        self._open_head = self._heads
        self._head_bytes = 0
        self._field_bytes = 0

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > MAX_TARGET_BYTES:
            self._refuse(HTTPStatus.REQUEST_URI_TOO_LONG)

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._field_bytes += len(name) + len(value) + 4
        if len(self.headers) > MAX_HEADERS or len(self.url) + self._field_bytes > MAX_HEAD_BYTES:
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)

    def on_headers_complete(self) -> None:
        hosts = sum(name == b"host" for name, _ in self.headers)
        if hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):  # RFC 9112 section 3.2
            self._refuse(HTTPStatus.BAD_REQUEST)
        self._open_head = 0
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._without_upgrade = self._head_without_upgrade()
            return
        super().on_headers_complete()
        self._is_in_body = True

    def on_message_complete(self) -> None:
        self._is_in_body = False
        if not self._without_upgrade:
            super().on_message_complete()

    def _head_without_upgrade(self) -> bytes:
        """Upgrades may be ignored (RFC 9110 section 7.8), and the parser ignores what has no such field."""
        version = self.parser.get_http_version().encode()
        lines = [b"%s %s HTTP/%s" % (self.parser.get_method(), self.url, version)]
        lines += [b"%s: %s" % field for field in self.headers if field[0] != b"upgrade"]
        return b"\r\n".join([*lines, b"", b""])

    def _refuse(self, status: HTTPStatus) -> NoReturn:
        self._status = status
        raise _Refused

    def send_400_response(self, msg: str) -> None:
        """Answer what can't be parsed, in its turn, and end the connection."""
        self._is_refused = True
        latest = cast("RequestResponseCycle | None", self.cycle)
        is_idle = latest is None or latest.response_complete
        if latest is not None and self._is_in_body:  # it is the one that can't go on
            if self.pipeline and self.pipeline[0][0] is latest:
                self.pipeline.popleft()  # nobody has looked at it yet
            elif latest.response_started:
                self.transport.close()
                return
            else:
                latest.disconnected = is_idle = True
                latest.message_event.set()
        self.cycle = self._refusing_cycle()
        refuse: Any = Edge(_refusal(self._status))  # one interface, which Litestar and uvicorn each type in their own way
        if is_idle:
            self._start_asgi_task(self.cycle, refuse)
        else:
            self.pipeline.appendleft((self.cycle, refuse))

    def _refusing_cycle(self) -> RequestResponseCycle:
        scope: Any = {"type": "http", "method": "GET", "http_version": "1.1", "path": "/", "query_string": b"", "headers": []}
        cycle = RequestResponseCycle(
            scope=scope,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        cycle.more_body = False
        return cycle


def _refusal(status: HTTPStatus) -> ASGIApp:
    code, detail = _REASONS[status]

    async def refuse(scope: Scope, _receive: Receive, send: Send) -> None:
        problem = Problem(
            type=f"urn:jobhub:problem:{code}",
            title=status.phrase,
            status=status,
            detail=detail,
            instance="/",
            code=code,
            request_id=scope["state"]["request_id"],
        )
        body = msgspec.json.encode(problem)
        headers = [(b"content-type", PROBLEM_JSON.encode()), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})

    return refuse
