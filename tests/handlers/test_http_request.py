"""What `http.request` accepts, sends, follows, returns and fails with, against servers on loopback.

Not here: the tables of addresses (`test_address_guard`).
"""

import asyncio
import gzip
import ssl
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpcore
import msgspec
import pytest

import jobhub
from jobhub.domain.job_types import Registry
from jobhub.handlers import http_request as module
from jobhub.handlers.address_guard import ALLOW_PRIVATE, GuardedBackend, guarded_transport
from jobhub.handlers.http_request import MAX_BODY_BYTES, HttpRequest, exchange, http_request

DEADLINE_SECONDS = 20
PUBLIC = "93.184.215.14"

# Made for this file, for the name jobhub.test, valid from 2020 to 2120; it signs itself.
KEY = """-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQg2hLAFcHFRiZE28ri
8SuvK+dFdnrk1puloZ84NlNteLGhRANCAASbJITE8tIPt3WA6Y/CyVF70Y3J27o5
lIxN+YD7ffOtJo2wIYGaKJM65m9XeumrVHhgoLTTwNjHS10g6ZBA70o9
-----END PRIVATE KEY-----
"""
CERTIFICATE = """-----BEGIN CERTIFICATE-----
MIIBdjCCAR2gAwIBAgIBATAKBggqhkjOPQQDAjAWMRQwEgYDVQQDDAtqb2JodWIu
dGVzdDAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAwMFowFjEUMBIGA1UE
AwwLam9iaHViLnRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASbJITE8tIP
t3WA6Y/CyVF70Y3J27o5lIxN+YD7ffOtJo2wIYGaKJM65m9XeumrVHhgoLTTwNjH
S10g6ZBA70o9o1owWDAdBgNVHQ4EFgQU/l3WNwFR7deRRD5iiqhe4sx7fswwDgYD
VR0PAQH/BAQDAgKEMA8GA1UdEwEB/wQFMAMBAf8wFgYDVR0RBA8wDYILam9iaHVi
LnRlc3QwCgYIKoZIzj0EAwIDRwAwRAIgEEdln1qkeFZHhMhXSpzV7pR5Yk0F/pkH
1Fcpc3nuiZMCIBajvP/nHPfT1t9unG6O0DzUvzoxGSrI3Zekyy+WVZrw
-----END CERTIFICATE-----
"""

Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Answers each path with what the test says, and keeps the requests it got, head and body."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.requests: list[str] = []
        self.port = 0
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def header(self, name: str, *, request: int = -1) -> str | None:
        head = self.requests[request].partition("\r\n\r\n")[0]
        found = [line.partition(":")[2].strip() for line in head.split("\r\n")[1:] if line.lower().startswith(f"{name.lower()}:")]
        return ", ".join(found) or None

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            await self._answer(reader, writer)
        writer.close()
        with suppress(OSError, asyncio.CancelledError):
            await writer.wait_closed()
        self._tasks.discard(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.requests.append(head)
        length = int(self.header("content-length") or 0)
        self.requests[-1] += (await reader.readexactly(length)).decode()
        answer = self.answers[head.split(" ")[1]]
        if isinstance(answer, bytes):
            writer.write(answer)
            await writer.drain()
        else:
            await answer(writer)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks)


@asynccontextmanager
async def serving(answers: dict[str, Answer], tls: ssl.SSLContext | None = None) -> AsyncIterator[Server]:
    server = Server(answers)
    listener = await asyncio.start_server(server.talk, "127.0.0.1", 0, ssl=tls)
    server.port = listener.sockets[0].getsockname()[1]
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            yield server
    finally:
        listener.close()
        await server.stop()


def answer(status: int = 200, body: bytes = b"", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} Reason", f"Content-Length: {len(body)}", "Connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def redirect(location: str, status: int = 302) -> bytes:
    return answer(status, location=location)


class Context:
    """The part of a running job that a handler sees."""

    def __init__(self) -> None:
        self.job_id = self.owner_id = uuid.uuid4()
        self.attempt = 1
        self.log: Any = None
        self.cancel_requested = False

    async def progress(self, percentage: float, message: str | None = None) -> None: ...


async def run(**params: Any) -> dict[str, Any]:
    """Run the job as a worker does, from JSON to JSON."""
    result = await http_request(Context(), msgspec.convert(params, HttpRequest))
    decoded: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(result))
    return decoded


async def failure_of(**params: Any) -> tuple[str, bool, str]:
    with pytest.raises(jobhub.JobFailed) as failure:
        await run(**params)
    return failure.value.error_code, failure.value.retryable, failure.value.message


@pytest.fixture(autouse=True)
def _private_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOW_PRIVATE, "1")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")


def test_the_job_type_is_found_and_describes_its_parameters() -> None:
    declared = Registry.from_modules([module]).get("http.request")
    schema = msgspec.json.schema(HttpRequest)["$defs"]["HttpRequest"]

    assert declared is not None
    assert (declared.parameters, declared.runs_in_process, declared.timeout_seconds) == (HttpRequest, False, 60)
    assert schema["properties"]["json"] == {}
    assert schema["required"] == ["url"]


@pytest.mark.parametrize(
    ("field", "params"),
    [
        ("url", {"url": "http://user:secret@example.com/"}),
        ("url", {"url": "ftp://example.com/"}),
        *(("headers", {"headers": {name: "x"}}) for name in ["", "a b", "a:b", "ä", "a\n", "Host", "content-length", "TRANSFER-ENCODING"]),
        *(("headers", {"headers": {name: "x"}}) for name in ["Connection", "Upgrade", "TE", "Proxy-Authorization", "Accept-Encoding"]),
        *(("headers", {"headers": {"a": value}}) for value in ["a\rb", "a\nb", "a\x00b", "a\x7fb", " a", "a\t", "a\u2028b", "€"]),
    ],
)
def test_a_parameter_that_could_change_the_request_itself_is_refused_at_submit(field: str, params: dict[str, Any]) -> None:
    with pytest.raises(jobhub.InvalidParameter) as refusal:
        HttpRequest(**{"url": "http://example.com/", **params})

    assert refusal.value.field == field
    assert "secret" not in refusal.value.detail


@pytest.mark.parametrize(
    "params",
    [
        *({"url": ""}, {"url": f"http://example.com/{'x' * 2000}"}, {"method": "CONNECT"}, {"timeout_seconds": 0}, {"timeout_seconds": 61}),
        *({"expected_status": 99}, {"expected_status": []}, {"expected_status": [600]}, {"unknown": 1}),
        {"headers": {f"a{n}": "" for n in range(51)}},
    ],
)
def test_a_parameter_out_of_bounds_is_refused_at_submit(params: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"url": "http://example.com/", **params}, HttpRequest)


def test_a_private_address_is_refused_at_submit_unless_the_operator_allows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    HttpRequest(url="http://127.0.0.1/")
    monkeypatch.delenv(ALLOW_PRIVATE)

    with pytest.raises(jobhub.InvalidParameter, match=f"{ALLOW_PRIVATE}=1"):
        HttpRequest(url="http://127.0.0.1/")


async def test_the_answer_is_returned_with_joined_headers_and_without_cookies() -> None:
    head = b"HTTP/1.1 201 Created\r\nX-A: 1\r\nX-A: 2\r\nSet-Cookie: a=b\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n"
    async with serving({"/a?b=c": head + b'{"a": 1}'}) as server:
        result = await run(url=f"{server.url}/a?b=c", headers={"X-Mine": "caf\xe9"})

    assert result.pop("elapsed_seconds") >= 0
    assert result == {
        "status": 201,
        "headers": {"x-a": "1, 2", "content-type": "application/json", "content-length": "8"},
        "body": '{"a": 1}',
        "json": {"a": 1},
        "url": f"{server.url}/a?b=c",
    }
    assert server.requests[0].startswith("GET /a?b=c HTTP/1.1\r\n")
    assert server.header("x-mine") == "caf\xe9"
    assert server.header("user-agent") == f"jobhub/{jobhub.__version__}"


@pytest.mark.parametrize(("params", "sent"), [({}, ""), ({"json": None}, "null"), ({"json": {"a": [1, "ä"]}}, '{"a":[1,"ä"]}')])
async def test_the_body_is_sent_when_json_is_given_even_as_null(params: dict[str, Any], sent: str) -> None:
    async with serving({"/": answer()}) as server:
        await run(url=f"{server.url}/", method="POST", **params)

    assert server.requests[0].partition("\r\n\r\n")[2] == sent
    assert server.header("content-type") == ("application/json" if params else None)


async def test_a_content_type_of_ones_own_is_kept() -> None:
    async with serving({"/": answer()}) as server:
        await run(url=f"{server.url}/", method="PATCH", json=[], headers={"content-type": "application/json-patch+json"})

    assert server.header("content-type") == "application/json-patch+json"


@pytest.mark.parametrize(
    ("content_type", "body", "text", "parsed"),
    [
        ("text/plain", b"a\x00b\xff", "a\ufffdb\ufffd", None),
        ("text/plain; charset=ISO-8859-1", b"\xe9", "\xe9", None),
        ('text/plain; charset="windows-1252"; x=y', b"\x80", "€", None),
        ("text/plain; charset=windows-9999", b"\xc3\xa9", "\xe9", None),
        ("text/plain; charset=unicode_escape", b"\\ud800", "\\ud800", None),
        ("text/plain; charset=zlib", b"a", "a", None),
        ("text/plain", b"[1]", "[1]", None),
        ("application/problem+json; charset=utf-8", b"\xef\xbb\xbf[1]", "\ufeff[1]", [1]),
        ("application/json", b'{"a\\u0000":["\\u0000"]}', '{"a\\u0000":["\\u0000"]}', {"a\ufffd": ["\ufffd"]}),
        ("application/json", b'"\\ud800"', '"\\ud800"', None),
        ("application/json", b"[NaN]", "[NaN]", None),
        ("application/json", b"{", "{", None),
        ("application/json", b"[" * 200 + b"]" * 200, "[" * 200 + "]" * 200, None),
        ("application/json", b"[" * 50_000, "[" * 50_000, None),
    ],
)
async def test_the_body_is_text_and_json_that_postgresql_can_store(content_type: str, body: bytes, text: str, parsed: Any) -> None:
    async with serving({"/": answer(body=body, content_type=content_type)}) as server:
        result = await run(url=f"{server.url}/")

    assert (result["body"], result["json"]) == (text, parsed)


@pytest.mark.parametrize(
    ("status", "expected", "retryable"),
    [
        (404, None, False),
        (408, None, True),
        (429, None, True),
        (500, None, True),
        (503, [200, 204], True),
        (200, 201, False),
        (302, None, False),
    ],
)
async def test_an_unexpected_status_is_retryable_only_when_waiting_may_help(status: int, expected: Any, retryable: bool) -> None:
    async with serving({"/": answer(status)}) as server:
        code, is_retryable, message = await failure_of(url=f"{server.url}/", expected_status=expected)

    assert (code, is_retryable) == ("unexpected_status", retryable)
    assert str(status) in message


@pytest.mark.parametrize(("status", "expected"), [(204, None), (404, 404), (404, [200, 404]), (302, 302)])
async def test_an_expected_status_succeeds(status: int, expected: Any) -> None:
    async with serving({"/": answer(status)}) as server:
        assert (await run(url=f"{server.url}/", expected_status=expected, method="HEAD"))["status"] == status


async def test_five_redirects_are_followed_and_a_sixth_is_not() -> None:
    async with serving({**{f"/{n}": redirect(f"/{n - 1}") for n in range(1, 7)}, "/0": answer(body=b"end")}) as server:
        result = await run(url=f"{server.url}/5", method="POST", json=1)
        code, retryable, _ = await failure_of(url=f"{server.url}/6")

    assert (result["body"], result["url"]) == ("end", f"{server.url}/0")
    assert (code, retryable) == ("too_many_redirects", False)


async def test_a_redirect_is_the_answer_when_it_is_not_to_be_followed() -> None:
    async with serving({"/": redirect("/elsewhere")}) as server:
        assert (await run(url=f"{server.url}/", follow_redirects=False, expected_status=302))["headers"]["location"] == "/elsewhere"


async def test_the_authorization_header_stays_with_its_origin() -> None:
    async with serving({"/end": answer()}) as other, serving({"/": redirect("/same"), "/same": redirect(f"{other.url}/end")}) as server:
        await run(url=f"{server.url}/", headers={"Authorization": "Bearer abc"})

    assert [server.header("authorization", request=n) for n in (0, 1)] == ["Bearer abc", "Bearer abc"]
    assert other.header("authorization") is None


@pytest.mark.parametrize("target", ["http://u:p@127.0.0.1/", "ftp://127.0.0.1/", "http://127.0.0.1:0/", "https://exam%70le.com/"])
async def test_a_redirect_to_a_url_that_could_not_be_submitted_is_refused(target: str) -> None:
    async with serving({"/": redirect(target)}) as server:
        code, retryable, _ = await failure_of(url=f"{server.url}/")

    assert (code, retryable) == ("address_not_allowed", False)


class LoopbackNetwork(httpcore.AsyncNetworkBackend):
    """Leads every address to `server`, which so plays a host on the public internet, and keeps the addresses."""

    def __init__(self, server: Server) -> None:
        self.addresses: list[str] = []
        self._port = server.port

    async def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore.AsyncNetworkStream:
        self.addresses.append(host)
        return await httpcore.AnyIOBackend().connect_tcp("127.0.0.1", self._port, *args, **kwargs)


async def run_on(network: LoopbackNetwork, answers: dict[str, list[str]], url: str, **more: Any) -> dict[str, Any]:
    """Run the job against a DNS that gives each name its `answers` one after the other, one a look-up."""

    async def resolve(host: str, port: int) -> list[str]:
        return [answers[host].pop(0)]

    tls = ssl.create_default_context(cadata=CERTIFICATE)
    transport = guarded_transport(backend=GuardedBackend(resolve=resolve, inner=network), tls=tls)
    return await exchange(HttpRequest(url=url, **more), transport=transport)


@pytest.mark.parametrize("target", ["http://127.0.0.1/", "http://0x7f.1/", "http://[::1]/", "http://localhost/", "http://private.example/"])
async def test_a_redirect_to_a_private_host_is_refused_before_any_connection(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ALLOW_PRIVATE)
    async with serving({"/": redirect(target)}) as server:
        network = LoopbackNetwork(server)
        with pytest.raises(jobhub.JobFailed, match=ALLOW_PRIVATE) as failure:
            await run_on(network, {"public.example": [PUBLIC], "private.example": ["10.0.0.1"]}, "http://public.example/")

    assert (failure.value.error_code, failure.value.retryable) == ("address_not_allowed", False)
    assert network.addresses == [PUBLIC]


async def test_a_name_that_becomes_private_between_two_hops_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ALLOW_PRIVATE)
    async with serving({"/": redirect("/again"), "/again": answer()}) as server:
        network = LoopbackNetwork(server)
        with pytest.raises(jobhub.JobFailed, match=r"rebinding\.example") as failure:
            await run_on(network, {"rebinding.example": [PUBLIC, "127.0.0.1"]}, "http://rebinding.example/")

    assert failure.value.error_code == "address_not_allowed"
    assert network.addresses == [PUBLIC]


@pytest.fixture
def server_tls(tmp_path: Path) -> ssl.SSLContext:
    pem = tmp_path / "server.pem"
    pem.write_text(KEY + CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    return context


async def test_tls_names_the_host_and_not_the_address_that_was_checked(server_tls: ssl.SSLContext) -> None:
    names: list[str | None] = []
    server_tls.sni_callback = lambda _, name, __: names.append(name)
    async with serving({"/": answer(body=b"secret")}, server_tls) as server:
        result = await run_on(LoopbackNetwork(server), {"jobhub.test": [PUBLIC]}, "https://jobhub.test/")

    assert (result["body"], names) == ("secret", ["jobhub.test"])


async def test_a_certificate_for_another_name_is_a_tls_failure(server_tls: ssl.SSLContext) -> None:
    async with serving({"/": answer()}, server_tls) as server:
        with pytest.raises(jobhub.JobFailed, match=r"other\.test") as failure:
            await run_on(LoopbackNetwork(server), {"other.test": [PUBLIC]}, "https://other.test/")

    assert (failure.value.error_code, failure.value.retryable) == ("tls_failed", False)


async def test_a_certificate_nobody_vouches_for_is_a_tls_failure(server_tls: ssl.SSLContext) -> None:
    async with serving({}, server_tls) as server:
        assert (await failure_of(url=f"https://127.0.0.1:{server.port}/"))[:2] == ("tls_failed", False)


async def test_a_server_that_answers_without_tls_is_a_tls_failure() -> None:
    async def speak_first(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(400))
        writer.close()

    async with await asyncio.start_server(speak_first, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        assert (await failure_of(url=f"https://127.0.0.1:{port}/"))[:2] == ("tls_failed", False)


async def test_a_server_that_stalls_in_the_tls_handshake_is_left_at_the_deadline() -> None:
    hung_up = asyncio.Event()

    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        hung_up.set()
        writer.close()

    async with await asyncio.start_server(stall, "127.0.0.1", 0) as listener:
        port = listener.sockets[0].getsockname()[1]
        assert (await failure_of(url=f"https://127.0.0.1:{port}/", timeout_seconds=0.5))[:2] == ("request_timed_out", True)
        await asyncio.wait_for(hung_up.wait(), DEADLINE_SECONDS)


async def test_a_redirect_from_https_to_http_is_refused(server_tls: ssl.SSLContext) -> None:
    async with serving({"/": redirect("http://jobhub.test/")}, server_tls) as server:
        network = LoopbackNetwork(server)
        with pytest.raises(jobhub.JobFailed, match="from https to http") as failure:
            await run_on(network, {"jobhub.test": [PUBLIC, PUBLIC]}, "https://jobhub.test/")

    assert failure.value.error_code == "address_not_allowed"
    assert network.addresses == [PUBLIC]


def forever(head: bytes, chunk: bytes) -> Answer:
    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(chunk)
            await writer.drain()

    return write


def stalling(head: bytes) -> Answer:
    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        await asyncio.Event().wait()

    return write


def dripping(head: bytes) -> Answer:
    async def write(writer: asyncio.StreamWriter) -> None:
        writer.write(head)
        while True:
            writer.write(b"x")
            await asyncio.sleep(0.1)

    return write


GZIP_HEAD = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"


@pytest.mark.parametrize(
    "sent",
    [
        answer(body=b"x" * (MAX_BODY_BYTES + 1)),
        answer(body=gzip.compress(bytes(MAX_BODY_BYTES + 1)), content_encoding="gzip"),
        forever(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 65536),
        forever(GZIP_HEAD + gzip.compress(bytes(30_000_000))[:-8], bytes(65536)),
    ],
    ids=["one byte more", "one byte more when decoded", "endless", "gzip bomb"],
)
async def test_a_body_of_more_than_a_megabyte_is_cut(sent: Answer) -> None:
    async with serving({"/": sent}) as server:
        code, retryable, _ = await failure_of(url=f"{server.url}/")

    assert (code, retryable) == ("response_too_large", False)


@pytest.mark.parametrize("encoding", ["identity", "gzip"])
async def test_a_body_of_exactly_a_megabyte_is_kept(encoding: str) -> None:
    body = b"x" * MAX_BODY_BYTES
    sent = gzip.compress(body) if encoding == "gzip" else body
    async with serving({"/": answer(body=sent, content_encoding=encoding)}) as server:
        assert len((await run(url=f"{server.url}/"))["body"]) == MAX_BODY_BYTES


async def test_the_endless_body_of_a_redirect_and_bytes_after_the_gzip_data_are_not_read() -> None:
    bait = forever(b"HTTP/1.1 302 Found\r\nLocation: /end\r\n\r\n", b"x" * 65536)
    async with serving({"/": bait, "/end": forever(GZIP_HEAD + gzip.compress(b"end"), b"x" * 65536)}) as server:
        assert (await run(url=f"{server.url}/"))["body"] == "end"


@pytest.mark.parametrize(
    ("sent", "code", "retryable"),
    [
        (b"", "invalid_response", True),
        (b"SSH-2.0-OpenSSH_9.9\r\n", "invalid_response", True),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort", "invalid_response", True),
        (answer(body=gzip.compress(b"cut short")[:-9], content_encoding="gzip"), "invalid_response", True),
        (answer(body=b"not gzip", content_encoding="gzip"), "invalid_response", True),
        (answer(body=b"x", content_encoding="gzip, gzip"), "invalid_response", False),
        (answer(302, location="http://[::1"), "invalid_response", True),
        (stalling(b""), "request_timed_out", True),
        (stalling(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nslow"), "request_timed_out", True),
        (dripping(b"HTTP/1.1 200 OK\r\n\r\n"), "request_timed_out", True),
    ],
)
async def test_a_bad_answer_has_a_code_and_a_message_for_its_user(sent: Answer, code: str, retryable: bool) -> None:
    async with serving({"/": sent}) as server:
        found, is_retryable, message = await failure_of(url=f"{server.url}/", timeout_seconds=1)

    assert (found, is_retryable) == (code, retryable)
    assert "httpx" not in message


async def test_a_closed_port_is_a_retryable_connection_failure() -> None:
    async with serving({}) as server:
        url = server.url

    assert (await failure_of(url=url))[:2] == ("connection_failed", True)


@pytest.mark.parametrize(("host", "retryable"), [("a..example", True), (f"{'a' * 64}.example", True), ("\u2460\u24b6.example", False)])
async def test_a_host_that_is_no_name_is_a_dns_failure(host: str, retryable: bool) -> None:
    assert (await failure_of(url=f"http://{host}/"))[:2] == ("dns_failed", retryable)


async def test_a_cancelled_job_is_cancelled_and_closes_its_connection() -> None:
    async with serving({"/": stalling(b"")}) as server:
        running = asyncio.create_task(run(url=f"{server.url}/"))
        while not server.requests:
            await asyncio.sleep(0)
        running.cancel()

        with pytest.raises(asyncio.CancelledError):
            await running
