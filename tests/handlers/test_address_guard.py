"""Which addresses and URLs the guard of `http.request` lets through, and that a connection only ever goes to a checked address.

Not here: whole requests and redirects (`test_http_request`).
"""

import asyncio
import random
import subprocess
import sys
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import httpcore
import httpx
import pytest

import jobhub
from jobhub.handlers.address_guard import ALLOW_PRIVATE, GuardedBackend, guarded_transport, is_public, literal_address, url_problem

PUBLIC = "93.184.215.14"
OTHER_PUBLIC = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"

REFUSED_V4 = [
    *("0.0.0.0", "10.0.0.1", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.255.255.254", "169.254.169.254", "172.16.0.1"),
    *("172.31.255.255", "192.0.0.1", "192.0.0.170", "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.51.100.1"),
    *("203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255"),
]
REFUSED_V6 = [
    *("::", "::1", "::7f00:1", "::808:808", "::ffff:10.0.0.1", "::ffff:0:127.0.0.1", "100::1", "2001::1", "2001:db8::1", "2001:10::1"),
    *("3fff::1", "5f00::1", "fc00::1", "fd12:3456::1", "fe80::1", "fe80::1%lo", "fec0::1", "ff02::1", "ff0e::1"),
    *("64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::8.8.8.8", "2002:7f00:1::1", "2002:a00:1::", "2002:808:808::1"),
]
ALLOWED = [
    *("1.1.1.1", "8.8.8.8", PUBLIC, "100.63.255.255", "100.128.0.1", "172.15.255.255", "172.32.0.1", "192.0.1.1", "223.255.255.255"),
    *(OTHER_PUBLIC, "2a00:1450:4001:800::200e", "2001:200::1", "64:ff9b::8.8.8.8"),
]


@pytest.fixture(autouse=True)
def _private_is_not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ALLOW_PRIVATE, raising=False)


@pytest.mark.parametrize("address", [*REFUSED_V4, *REFUSED_V6])
def test_an_address_that_is_not_on_the_public_internet_is_refused(address: str) -> None:
    assert not is_public(ip_address(address))


@pytest.mark.parametrize("address", ALLOWED)
def test_a_public_address_is_allowed(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize("address", REFUSED_V4)
def test_a_refused_ipv4_address_is_refused_inside_an_ipv6_address_too(address: str) -> None:
    number = int(IPv4Address(address))

    assert not is_public(IPv6Address(0xFFFF << 32 | number))
    assert not is_public(IPv6Address((0x64FF9B << 96) | number))
    assert not is_public(IPv6Address((0x2002 << 112) | number << 80))


def test_every_address_that_python_does_not_call_global_is_refused() -> None:
    chance = random.Random(20260101)
    anywhere = [IPv4Address(chance.getrandbits(32)) for _ in range(20_000)]
    crowded = [IPv6Address(chance.choice(PREFIXES_V6) << 112 | chance.getrandbits(112)) for _ in range(20_000)]
    not_global = [address for address in [*anywhere, *crowded, *_edges()] if not address.is_global or address.is_multicast]

    assert len(not_global) > 5_000
    assert [address for address in not_global if is_public(address)] == []


PREFIXES_V6 = [0x0000, 0x0064, 0x0100, 0x2001, 0x2002, 0x2A00, 0x3FFF, 0x5F00, 0xFC00, 0xFD00, 0xFE80, 0xFEC0, 0xFF02]
SPECIAL = [
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15"),
    *(
        "224.0.0.0/3",
        "::/96",
        "::ffff:0:0/96",
        "64:ff9b:1::/48",
        "100::/64",
        "2001::/23",
        "2001:db8::/32",
        "fc00::/7",
        "fe80::/10",
        "ff00::/8",
    ),
]


def _edges() -> Iterable[IPv4Address | IPv6Address]:
    for network in map(ip_network, SPECIAL):
        yield network.network_address
        yield network.broadcast_address


LITERALS = [
    *("127.0.0.1", "127.1", "127.0.1", "0x7f.1", "0x7f000001", "0177.0.0.1", "017700000001", "2130706433", "0", "127.0.0.1."),
    *("10.1", "3232235521", "0xA9FEA9FE", "169.254.169.254", "100.64.0.1", "224.0.0.1", "\uff11\uff12\uff17.0.0.1", "127\u30020.0.1"),
    *("[::]", "[::1]", "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[fd00::1]", "[fe80::1]", "[64:ff9b::7f00:1]"),
    *("[2002:7f00:1::]", "localhost", "LOCALHOST", "localhost.", "a.b.localhost", "api.LocalHost."),
]


@pytest.mark.parametrize("host", LITERALS)
@pytest.mark.parametrize("rest", ["", ":8080/path?query#fragment"])
def test_a_url_that_spells_out_a_private_host_is_refused_and_names_the_switch(host: str, rest: str) -> None:
    assert f"{ALLOW_PRIVATE}=1" in (url_problem(f"http://{host}{rest}") or "")


@pytest.mark.parametrize("host", LITERALS)
def test_the_operators_switch_allows_a_private_host_from_the_next_call_on(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert url_problem(f"http://{host}/")

    monkeypatch.setenv(ALLOW_PRIVATE, "1")

    assert url_problem(f"http://{host}/") is None


def test_only_the_value_1_is_the_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOW_PRIVATE, "true")

    assert url_problem("http://127.0.0.1/")


MALFORMED = [
    *("", "example.com", "//example.com/", "/path", "ftp://example.com/", "file:///etc/passwd", "javascript:alert(1)", "gopher://x/"),
    *("http://", "http:///path", "http://:80/", "http:example.com", "http://?q", "http://user@example.com/", "http://u:p@example.com/"),
    *("http://:p@example.com/", "http://@example.com/", "http://example.com:0/", "http://example.com:65536/", "http://example.com:-1/"),
    *(
        "http://example.com:http/",
        "http://example.com\\@127.0.0.1/",
        "http://exam ple.com/",
        " http://example.com/",
        "http://example.com/\n",
    ),
    *("http://example.com/a\tb", "http://example.com/\x00", "http://example.com/\x7f", "http://example.com/\u2028", "http://a\u00a0b/"),
    *("http://a\u200bb/", "http://example.com/\ud800", "http://exam%70le.com/", "http://[::1", "http://[example.com]/", "http://[v1.x]/"),
    *("http://[fe80::1%25lo]/", "http://a\uff0fb/", "http://example.com\\.example.net/"),
]


@pytest.mark.parametrize("url", MALFORMED)
@pytest.mark.parametrize("switch", ["0", "1"])
def test_a_malformed_url_is_refused_whatever_the_switch_says(url: str, switch: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOW_PRIVATE, switch)

    assert url_problem(url)


@pytest.mark.parametrize(
    "host", ["example.com", "bücher.example", "8.8.8.8", f"[{OTHER_PUBLIC}]", "localhost.example.com", "a_b.example.com"]
)
@pytest.mark.parametrize("rest", ["", ":1", ":65535/", "/ä?q=%00#@", "/@user"])
def test_a_url_of_a_public_host_is_accepted(host: str, rest: str) -> None:
    assert url_problem(f"https://{host}{rest}") is None


def test_a_name_is_not_taken_for_an_address() -> None:
    assert literal_address("example.com") is None
    assert literal_address("bücher.example") is None
    assert literal_address("1.2.3.4.5") is None


class RecordingNetwork(httpcore.AsyncNetworkBackend):
    """Takes the place of the real network: keeps what it is asked to connect to, and fails for `dead` addresses."""

    def __init__(self, *dead: str) -> None:
        self.asked: list[tuple[str, float | None]] = []
        self._dead = dead

    async def connect_tcp(self, host: str, port: int, timeout: float | None = None, *_: Any, **__: Any) -> httpcore.AsyncNetworkStream:
        self.asked.append((host, timeout))
        if host in self._dead:
            raise httpcore.ConnectTimeout
        return httpcore.AsyncMockStream([])


class Resolver:
    """Gives one of `answers` after the other, whatever the name."""

    def __init__(self, *answers: list[str] | Exception) -> None:
        self._answers = list(answers)

    async def __call__(self, host: str, port: int) -> list[str]:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_the_connection_goes_to_the_checked_address_after_a_single_look_up() -> None:
    network = RecordingNetwork()
    backend = GuardedBackend(resolve=Resolver([PUBLIC], ["127.0.0.1"]), inner=network)

    await backend.connect_tcp("rebinding.example", 80)

    assert network.asked == [(PUBLIC, None)]


async def test_a_name_that_has_become_private_is_refused_at_the_next_connection() -> None:
    network = RecordingNetwork()
    backend = GuardedBackend(resolve=Resolver([PUBLIC], ["127.0.0.1"]), inner=network)
    await backend.connect_tcp("rebinding.example", 80)

    with pytest.raises(jobhub.JobFailed) as failure:
        await backend.connect_tcp("rebinding.example", 80)

    assert (failure.value.error_code, failure.value.retryable) == ("address_not_allowed", False)
    assert [host for host, _ in network.asked] == [PUBLIC]


@pytest.mark.parametrize("addresses", [[PUBLIC, "10.1.2.3"], ["10.1.2.3", PUBLIC], ["10.1.2.3"], [PUBLIC, "fe80::1%lo"]])
async def test_one_private_address_among_many_refuses_the_name_without_telling_it(addresses: list[str]) -> None:
    network = RecordingNetwork()

    with pytest.raises(jobhub.JobFailed, match=f"'mixed.example'.*{ALLOW_PRIVATE}=1") as failure:
        await GuardedBackend(resolve=Resolver(addresses), inner=network).connect_tcp("mixed.example", 80)

    assert "10.1.2.3" not in failure.value.message
    assert network.asked == []


async def test_the_operators_switch_lets_a_private_address_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOW_PRIVATE, "1")
    network = RecordingNetwork()

    await GuardedBackend(resolve=Resolver(["10.1.2.3"]), inner=network).connect_tcp("intranet.example", 80)

    assert network.asked == [("10.1.2.3", None)]


async def test_a_dead_address_gives_way_to_the_next_and_uses_up_its_share_of_the_timeout_only() -> None:
    network = RecordingNetwork(OTHER_PUBLIC)

    await GuardedBackend(resolve=Resolver([OTHER_PUBLIC, PUBLIC]), inner=network).connect_tcp("dual.example", 80, timeout=8)

    assert network.asked == [(OTHER_PUBLIC, 4), (PUBLIC, 4)]


async def test_the_last_dead_address_is_the_failure() -> None:
    network = RecordingNetwork(OTHER_PUBLIC, PUBLIC)

    with pytest.raises(httpcore.ConnectTimeout):
        await GuardedBackend(resolve=Resolver([OTHER_PUBLIC, PUBLIC]), inner=network).connect_tcp("dual.example", 80)


@pytest.mark.parametrize("answer", [[], OSError("no such name"), UnicodeError("label too long")])
async def test_a_name_without_an_address_is_a_retryable_dns_failure(answer: list[str] | Exception) -> None:
    with pytest.raises(jobhub.JobFailed) as failure:
        await GuardedBackend(resolve=Resolver(answer), inner=RecordingNetwork()).connect_tcp("unknown.example", 80)

    assert (failure.value.error_code, failure.value.retryable) == ("dns_failed", True)


@pytest.mark.parametrize("host", ["127.0.0.1", "0x7f.1", "2130706433", "::1", "::ffff:127.0.0.1", "localhost"])
async def test_the_systems_resolver_does_not_slip_a_literal_past_the_guard(host: str) -> None:
    network = RecordingNetwork()
    try:
        await asyncio.get_running_loop().getaddrinfo(host, 80)
    except OSError:
        pytest.skip(f"this machine's /etc/hosts has no {host}")

    with pytest.raises(jobhub.JobFailed) as failure:
        await GuardedBackend(inner=network).connect_tcp(host, 80)

    assert failure.value.error_code == "address_not_allowed"
    assert network.asked == []


async def test_a_unix_socket_is_refused_even_with_the_operators_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ALLOW_PRIVATE, "1")

    with pytest.raises(jobhub.JobFailed, match="Unix"):
        await GuardedBackend().connect_unix_socket("/run/some.sock")


async def test_no_transport_is_made_when_httpx_keeps_its_pool_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx.AsyncHTTPTransport, "__init__", lambda *_, **__: None)

    with pytest.raises(RuntimeError, match="can't be guarded"):
        guarded_transport()


def test_the_job_type_is_declared_without_importing_httpx() -> None:
    program = "import sys, jobhub.handlers.http_request; print({'httpx', 'httpcore'} & set(sys.modules))"

    assert subprocess.check_output([sys.executable, "-c", program], text=True) == "set()\n"
