"""The job type `http.request`: one HTTP request, its redirects and a bounded answer.

Not here: which addresses may be reached (`handlers.address_guard`).

Redirects and content encodings are handled here and not by httpx, which would read the whole body of a redirect and inflate a
chunk of any size in one go: a server could make the worker hold gigabytes.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import time
import zlib
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

import jobhub
from jobhub.handlers.address_guard import guarded_transport, url_problem

if TYPE_CHECKING:
    import httpx

MAX_BODY_BYTES = 1_048_576  # the body is kept in the job's row, as text and once more as JSON
MAX_REDIRECTS = 5
MAX_JSON_DEPTH = 100  # far below where encoding the result would hit Python's recursion limit

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
# Those of RFC 9110, 7.6.1, and those that follow from the URL, the body, and the encodings we can undo within bounds.
_OUR_HEADERS = frozenset(
    {"accept-encoding", "connection", "content-length", "host", "keep-alive", "proxy-authenticate", "proxy-authorization"}
    | {"proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"}
)
_RETRYABLE_STATUSES = (408, 429)
# An allow-list because Python has codecs that take quadratic time (punycode) or are no character sets at all. Not
# `Response.charset_encoding`, which decodes an RFC 2231 parameter with any codec the server names.
_CHARSET = re.compile(
    r"""(?i);\s*charset\s*=\s*"?(utf-?(?:8|16|32)|(?:us-)?ascii|(?:iso-?8859|windows|cp)-?\d+|latin-?1|koi8-[ru]|"""
    r"""shift_?jis|euc-(?:jp|kr)|gb(?:k|2312|18030)|big5)"?\s*(?:;|$)"""
)
_JSON_TYPE = re.compile(r"(application|text)/json|[^/]+/[^/]+\+json")
_NOT_IN_JSONB = re.compile("[\x00\ud800-\udfff]")  # PostgreSQL stores neither U+0000 nor half a surrogate pair

Status = Annotated[int, Meta(ge=100, le=599)]


class HttpRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to request. `json` is the body (absent: no body); `expected_status` absent or null accepts any 2xx."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = "GET"
    url: Annotated[str, Meta(min_length=1, max_length=2000)]
    headers: Annotated[dict[str, str], Meta(max_length=50)] = {}
    json: Any | UnsetType = UNSET
    expected_status: Status | Annotated[list[Status], Meta(min_length=1, max_length=50)] | None = None
    timeout_seconds: Annotated[float, Meta(gt=0, le=60)] = 30.0
    follow_redirects: bool = True

    def __post_init__(self) -> None:
        if problem := url_problem(self.url):
            raise jobhub.InvalidParameter("url", problem)
        for name, value in self.headers.items():
            if problem := _header_problem(name, value):
                raise jobhub.InvalidParameter("headers", f"{name!r} {problem}")


@jobhub.job_type("http.request", timeout_seconds=60)
async def http_request(ctx: jobhub.JobContext, params: HttpRequest) -> dict[str, Any]:
    """Send one HTTP request and keep the answer. Only hosts on the public internet can be reached."""
    return await exchange(params, transport=guarded_transport())


async def exchange(params: HttpRequest, *, transport: httpx.AsyncBaseTransport) -> dict[str, Any]:
    """Send the request through `transport` and return the answer as JSON that PostgreSQL can store.

    Raises:
        JobFailed: every way it can go wrong; the `code` says which.
    """
    import httpx

    started = time.monotonic()
    client = httpx.AsyncClient(
        transport=transport,
        trust_env=False,
        timeout=params.timeout_seconds,
        headers={"User-Agent": f"jobhub/{jobhub.__version__}", "Accept-Encoding": "gzip"},
    )
    async with _failures_named(params), client, aclosing(await _final_response(client, params)) as response:
        _check_status(params, response)
        body = await _read_body(response)
    return _result(response, body, elapsed_seconds=round(time.monotonic() - started, 3))


def _header_problem(name: str, value: str) -> str | None:
    if not _TOKEN.fullmatch(name):
        return "is not a valid header name"
    if name.lower() in _OUR_HEADERS:
        return "is set by jobhub and can't be given"
    if value != value.strip() or any(ord(char) > 255 or ord(char) == 127 or (char < " " and char != "\t") for char in value):
        return "has a value with control characters, outer whitespace, or characters outside of ISO 8859-1"
    return None


async def _final_response(client: httpx.AsyncClient, params: HttpRequest) -> httpx.Response:
    """The first response that is no redirect to follow, its body unread. The caller closes it."""
    request = _first_request(client, params)
    for _ in range(1 + MAX_REDIRECTS):
        response = await client.send(request, stream=True)
        if response.next_request is None or not params.follow_redirects:
            return response
        await response.aclose()
        _check_redirect(request.url, response.next_request.url)
        request = response.next_request
    raise jobhub.JobFailed(f"The server redirected more than {MAX_REDIRECTS} times.", code="too_many_redirects", retryable=False)


def _first_request(client: httpx.AsyncClient, params: HttpRequest) -> httpx.Request:
    headers = [(name.encode("ascii"), value.encode("latin-1")) for name, value in params.headers.items()]
    if params.json is UNSET:
        return client.build_request(params.method, params.url, headers=headers)
    if "content-type" not in map(str.lower, params.headers):
        headers.append((b"Content-Type", b"application/json"))
    return client.build_request(params.method, params.url, headers=headers, content=msgspec.json.encode(params.json))


def _check_redirect(origin: httpx.URL, target: httpx.URL) -> None:
    problem = url_problem(str(target))
    if origin.scheme == "https" and target.scheme == "http":
        problem = "leads from https to http"
    if problem:
        raise jobhub.JobFailed(f"A redirect was not followed: its url {problem}.", code="address_not_allowed", retryable=False)


def _check_status(params: HttpRequest, response: httpx.Response) -> None:
    status = response.status_code
    expected = [params.expected_status] if isinstance(params.expected_status, int) else params.expected_status
    if status in expected if expected is not None else response.is_success:
        return
    wanted = "any 2xx" if expected is None else " or ".join(map(str, expected))
    raise jobhub.JobFailed(
        f"The server answered {status}; expected was {wanted}.",
        code="unexpected_status",
        retryable=status >= 500 or status in _RETRYABLE_STATUSES,
    )


async def _read_body(response: httpx.Response) -> bytes:
    """The decoded body. Never holds more than the limit and one chunk from the network, whatever the server sends."""
    gunzip = _gunzip(response)
    body = bytearray()
    received = False
    async for chunk in response.aiter_raw():
        received = received or bool(chunk)
        # With output shorter than the maximum, zlib has used up its input: nothing is left over for the next round.
        body += gunzip.decompress(chunk, MAX_BODY_BYTES + 1 - len(body)) if gunzip else chunk
        if len(body) > MAX_BODY_BYTES:
            raise jobhub.JobFailed(f"The answer is larger than {MAX_BODY_BYTES} bytes.", code="response_too_large", retryable=False)
        if gunzip and gunzip.eof:
            break  # what follows would pile up in `unused_data`
    if gunzip and received and not gunzip.eof:
        raise jobhub.JobFailed("The answer ends before its gzip data does.", code="invalid_response")
    return bytes(body)


def _gunzip(response: httpx.Response) -> zlib._Decompress | None:
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding in ("gzip", "x-gzip"):
        return zlib.decompressobj(wbits=31)
    raise jobhub.JobFailed(
        f"The answer has a content encoding that was not asked for: {encoding[:100]!r}.", code="invalid_response", retryable=False
    )


def _result(response: httpx.Response, body: bytes, *, elapsed_seconds: float) -> dict[str, Any]:
    content_type = response.headers.get("content-type", "")
    media_type = content_type.partition(";")[0].strip().lower()
    text = _decoded(body, content_type)
    return {
        "status": response.status_code,
        "headers": {name: _storable_text(value) for name, value in response.headers.items() if name != "set-cookie"},
        "body": _storable_text(text),
        "json": _parsed(text) if _JSON_TYPE.fullmatch(media_type) else None,
        "url": _storable_text(str(response.url)),
        "elapsed_seconds": elapsed_seconds,
    }


def _decoded(body: bytes, content_type: str) -> str:
    charset = _CHARSET.search(content_type)
    try:
        return body.decode(charset[1] if charset else "utf-8", "replace")
    except LookupError:  # windows-9999
        return body.decode("utf-8", "replace")


def _parsed(text: str) -> Any:
    try:
        return _storable(msgspec.json.decode(text.removeprefix("\ufeff")), MAX_JSON_DEPTH)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _storable(value: Any, depth: int) -> Any:
    if depth == 0:
        raise RecursionError
    if isinstance(value, str):
        return _storable_text(value)
    if isinstance(value, list):
        return [_storable(item, depth - 1) for item in value]
    if isinstance(value, dict):
        return {_storable_text(key): _storable(item, depth - 1) for key, item in value.items()}
    return value


def _storable_text(text: str) -> str:
    return _NOT_IN_JSONB.sub("\ufffd", text)


@asynccontextmanager
async def _failures_named(params: HttpRequest) -> AsyncIterator[None]:
    """Give the block its deadline, and turn whatever httpx raises into a `JobFailed` that its user may read."""
    import httpx

    try:
        async with asyncio.timeout(params.timeout_seconds):
            yield
    except (TimeoutError, httpx.TimeoutException) as error:
        raise jobhub.JobFailed(f"No complete answer within {params.timeout_seconds:g} s.", code="request_timed_out") from error
    except (httpx.HTTPError, httpx.InvalidURL, zlib.error) as error:
        raise _as_failure(error) from error


def _as_failure(error: Exception) -> jobhub.JobFailed:
    import httpx

    if isinstance(error, httpx.InvalidURL):  # only international names get past `url_problem`
        return jobhub.JobFailed("The host in the url is not a valid name.", code="dns_failed", retryable=False)
    if isinstance(error, httpx.ConnectError) and (tls_error := _tls_error(error)):
        why = getattr(tls_error, "verify_message", "") or "no common protocol"
        return jobhub.JobFailed(f"No secure connection to the server: {why}.", code="tls_failed", retryable=False)
    if isinstance(error, httpx.ConnectError):
        return jobhub.JobFailed("The server can't be reached.", code="connection_failed")
    if isinstance(error, httpx.NetworkError):
        return jobhub.JobFailed("The connection broke before the answer was complete.", code="connection_failed")
    return jobhub.JobFailed("The server's answer is not valid HTTP, or is not complete.", code="invalid_response")


def _tls_error(error: BaseException | None) -> ssl.SSLError | None:
    while error is not None and not isinstance(error, ssl.SSLError):
        error = error.__cause__ or error.__context__
    return error
