"""The outermost layer of the app, plain ASGI: what holds for every response, errors and unknown paths included.

A request id, the headers that make browsers careful, and HEAD wherever there is GET.
"""

import time
from typing import Any

import uuid_utils
from litestar.enums import HttpMethod, ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from jobhub.store.patience import patience

# 503 within 3 s is the promise, and the answer has to be made and sent in what is left.
DATABASE_SECONDS = 2.5

_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]


class Edge:
    """Wraps the app. The request id is always our own: a client's could put anything into our logs."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        request_id = str(uuid_utils.uuid7())
        is_head = scope["method"] == "HEAD"
        scope = scope.copy()  # the server's own has to go on saying HEAD, or it counts and frames a body
        scope["state"] = {**scope.get("state", {}), "request_id": request_id, "is_head": is_head, "started_at": time.perf_counter()}
        if is_head:
            scope["method"] = HttpMethod.GET

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _headers(list(message["headers"]), request_id)
            elif is_head and message["type"] == "http.response.body":
                message["body"] = b""
            await send(message)

        with patience(DATABASE_SECONDS):
            await self._app(scope, receive, send_on)


def _headers(headers: list[Any], request_id: str) -> list[Any]:
    present = {name.lower() for name, _ in headers}
    headers = [(name, _with_head(value) if name.lower() == b"allow" else value) for name, value in headers]
    headers += [header for header in _HEADERS if header[0] not in present]
    headers.append((b"x-request-id", request_id.encode()))
    if b"cache-control" not in present:
        # Answers are one user's own; no cache between may keep them.
        headers.append((b"cache-control", b"no-store"))
    return headers


def _with_head(allow: bytes) -> bytes:
    methods = [method.strip() for method in allow.split(b",")]
    return b", ".join(sorted({*methods, b"HEAD"})) if b"GET" in methods else allow
