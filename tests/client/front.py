"""A server between a client and jobhub that loses connections and answers at the wrong moments, as told for the requests to come."""

import http.client
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec

Plan = Callable[["_Handler"], None]


class Seen(msgspec.Struct, frozen=True):
    """One request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes


class Front:
    """`plan` what happens to the next requests; those without a plan are passed on."""

    def __init__(self, server: ThreadingHTTPServer, target_port: int) -> None:
        self.url = f"http://127.0.0.1:{server.server_port}"
        self.seen: list[Seen] = []
        self.target_port = target_port
        self._plans: deque[Plan] = deque()
        self._lock = threading.Lock()

    def plan(self, *plans: Plan) -> None:
        with self._lock:
            self._plans.extend(plans)

    def next_plan(self, seen: Seen) -> Plan:
        with self._lock:
            self.seen.append(seen)
            return self._plans.popleft() if self._plans else pass_on

    def count(self, method: str, path: str) -> int:
        return sum(seen.method == method and seen.path.partition("?")[0] == path for seen in self.seen)


def pass_on(handler: "_Handler") -> None:
    """What a good network does."""
    with handler.asked() as answer:
        handler.start(answer)
        while piece := answer.read1(65536):
            handler.wfile.write(piece)


def lose(handler: "_Handler") -> None:
    """The service never hears of it."""
    handler.reset()


def lose_answer(handler: "_Handler") -> None:
    """The service has done it; the client doesn't hear so."""
    with handler.asked() as answer:
        answer.read()
    handler.reset()


def cut_stream(handler: "_Handler") -> None:
    """Pass on an event, and no more."""
    with handler.asked() as answer:
        handler.start(answer)
        passed = b""
        while b"data:" not in passed or not passed.endswith(b"\n\n"):
            passed += answer.read1(65536)
        handler.wfile.write(passed)
    handler.reset()


def end_stream(handler: "_Handler") -> None:
    """End it in good order before anything was said."""
    with handler.asked() as answer:
        handler.start(answer)


def answer_with(status: int, body: bytes = b"<html>", *, content_type: str = "text/html", **headers: str) -> Plan:
    """Answer in the place of the service."""

    def answer(handler: "_Handler") -> None:
        handler.send_response(status)
        handler.send_header("content-type", content_type)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def problem(status: int, code: str, **headers: str) -> Plan:
    """Refuse as the service would."""
    body = {"type": "", "title": "", "status": status, "detail": f"It is {code}.", "instance": "/", "code": code, "request_id": "r"}
    return answer_with(status, msgspec.json.encode(body), content_type="application/problem+json", **headers)


class _Handler(BaseHTTPRequestHandler):
    front: Front

    def _handle(self) -> None:
        self.body = self.rfile.read(int(self.headers.get("content-length", 0)))
        seen = Seen(self.command, self.path, {name.lower(): value for name, value in self.headers.items()}, self.body)
        self.front.next_plan(seen)(self)

    do_GET = do_POST = do_PATCH = do_DELETE = _handle  # noqa: N815 - http.server's interface

    @contextmanager
    def asked(self) -> Iterator[http.client.HTTPResponse]:
        """The service's answer to this request."""
        connection = http.client.HTTPConnection("127.0.0.1", self.front.target_port, timeout=60)
        try:
            connection.request(self.command, self.path, self.body or None, dict(self.headers.items()))
            yield connection.getresponse()
        finally:
            connection.close()

    def start(self, answer: http.client.HTTPResponse) -> None:
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                self.send_header(name, value)
        self.send_header("connection", "close")
        self.end_headers()

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.wfile = _Nowhere()  # type: ignore[assignment]
        self.connection.close()

    def log_message(self, *arguments: Any) -> None:
        pass


class _Nowhere:
    closed = False

    def flush(self) -> None: ...

    def close(self) -> None: ...


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *arguments: Any) -> None:
        """A client that has gone away is what these tests are about."""


@contextmanager
def front(target_port: int) -> Iterator[Front]:
    """One before the service on this port, for the time of the block."""
    handler = type("Handler", (_Handler,), {})
    with _Server(("127.0.0.1", 0), handler) as server:
        handler.front = started = Front(server, target_port)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield started
        finally:
            server.shutdown()
            thread.join()
