"""Which hosts a job may talk to, and an httpx transport that connects to nothing else (against server-side request forgery).

Not here: what a request looks like, which redirects are followed, or what becomes of the answer (`handlers.http_request`).

A look at the URL is a courtesy to whoever submits the job. What protects the network is `GuardedBackend`: it looks a name up once,
checks every address it got, and connects to one of those, so a name that changes its address in between (DNS rebinding) gains nothing.
"""

from __future__ import annotations

import asyncio
import functools
import os
import socket
import ssl
import unicodedata
from collections.abc import Awaitable, Callable, Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import jobhub

if TYPE_CHECKING:
    import httpx
    from httpcore import AsyncNetworkBackend, AsyncNetworkStream
else:
    # httpx and httpcore take 150 ms to import, and most workers and the API never need them; it only calls the methods.
    AsyncNetworkBackend = AsyncNetworkStream = object

ALLOW_PRIVATE = "JOBHUB_HTTP_ALLOW_PRIVATE"

# Globally reachable by IANA's registry or by `ipaddress.is_global` of some Python we run on, and still not for us: the first is a
# block of protocol assignments, the second the retired anycast address of 6to4 relays.
_NEVER_V4 = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"))
# IPv6 is an allow-list: the unicast that IANA hands out, less protocol assignments (Teredo is one), 6to4 and documentation.
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NEVER_V6 = (IPv6Network("2001::/23"), IPv6Network("2002::/16"), IPv6Network("3fff::/20"))
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052; a network with DNS64 answers with these for every IPv4-only name

IPAddress = IPv4Address | IPv6Address
Resolve = Callable[[str, int], Awaitable[list[str]]]


def private_allowed() -> bool:
    """Whether the operator has switched the guard off for this process. Read at each call."""
    return os.environ.get(ALLOW_PRIVATE) == "1"


def is_public(address: IPAddress) -> bool:
    """Whether `address` is a unicast address of the public internet; one that carries an IPv4 address is judged by that too."""
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and not any(address in network for network in _NEVER_V4)
    if address in _NAT64:
        return address.is_global and is_public(IPv4Address(int(address) & 0xFFFFFFFF))
    return address.is_global and address in _GLOBAL_UNICAST and not any(address in network for network in _NEVER_V6)


def literal_address(host: str) -> IPAddress | None:
    """The address `host` spells out, or None for a name. Takes what `inet_aton` takes: `127.1`, `0x7f.1` and `2130706433` are one."""
    try:
        return ip_address(host)
    except ValueError:
        pass
    try:
        return IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeError):
        return None


def url_problem(url: str) -> str | None:
    """Why `url` may not be requested, in words for its author, or None. No look-up is made: a name may still turn out to be private."""
    if not url.isprintable() or " " in url or "\\" in url:
        return "must not contain whitespace, control characters or backslashes"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:  # its text may quote a password
        return "is not a valid URL: its host or its port can't be read"
    if parts.scheme not in ("http", "https"):
        return "must start with http:// or https://"
    if "@" in parts.netloc:
        return "must not contain a user name or a password; send an Authorization header instead"
    if not host or "%" in host or ("[" in parts.netloc and literal_address(host) is None):
        return "must name a host"
    if port == 0:
        return "must have a port from 1 to 65535"
    return _host_problem(host)


def _host_problem(host: str) -> str | None:
    # httpx reads the ideographic full stop of 127。0。0。1 as a dot, as browsers do; NFKC covers the other wide forms.
    name = unicodedata.normalize("NFKC", host).replace("。", ".").rstrip(".").lower()
    address = literal_address(name)
    is_local_name = name == "localhost" or name.endswith(".localhost")
    is_private = is_local_name or (address is not None and not is_public(address))
    return _refusal(host) if is_private and not private_allowed() else None


def _refusal(host: str) -> str:
    return f"leads to {host!r}, which is not on the public internet; an operator can allow such hosts with {ALLOW_PRIVATE}=1"


async def system_resolve(host: str, port: int) -> list[str]:
    """Every address the system knows for `host`, in the order to try them."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


class GuardedBackend(AsyncNetworkBackend):
    """An httpcore network backend that connects to public addresses only. TLS is not its business: httpcore checks the host's name.

    `resolve` is called once a connection; `inner` makes the connection and is only ever given addresses that were checked.
    """

    def __init__(self, *, resolve: Resolve = system_resolve, inner: AsyncNetworkBackend | None = None) -> None:
        import httpcore

        self._resolve = resolve
        self._inner = inner or httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> AsyncNetworkStream:
        """Connect to the first address of `host` that answers; the timeout is shared out evenly, so that a dead one can't use it up.

        Raises:
            JobFailed: `dns_failed`, or `address_not_allowed` when even one of the addresses is not public.
        """
        import httpcore

        addresses = await self._checked_addresses(host, port)
        share = None if timeout is None else timeout / len(addresses)
        for address in addresses[:-1]:
            try:
                return _Stream(await self._inner.connect_tcp(address, port, share, local_address, socket_options))
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return _Stream(await self._inner.connect_tcp(addresses[-1], port, share, local_address, socket_options))

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[Any] | None = None
    ) -> AsyncNetworkStream:
        """Refuse: a socket in the file system is never on the public internet."""
        raise jobhub.JobFailed("Unix sockets can't be requested.", code="address_not_allowed", retryable=False)

    async def sleep(self, seconds: float) -> None:
        """Wait between httpcore's own retries."""
        await asyncio.sleep(seconds)

    async def _checked_addresses(self, host: str, port: int) -> list[str]:
        try:
            addresses = await self._resolve(host, port)
        except (OSError, UnicodeError):  # UnicodeError: a label that is empty or longer than 63 characters
            addresses = []
        if not addresses:
            raise jobhub.JobFailed(f"No address was found for {host!r}.", code="dns_failed")
        if not private_allowed() and not all(is_public(ip_address(address)) for address in addresses):
            raise jobhub.JobFailed(f"The url {_refusal(host)}.", code="address_not_allowed", retryable=False)
        return addresses


class _Stream(AsyncNetworkStream):
    """Closed when its TLS handshake is cancelled; httpcore 1.0.9 leaves the socket open for as long as the server likes."""

    def __init__(self, stream: AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max_bytes, timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> AsyncNetworkStream:
        try:
            return await self._stream.start_tls(ssl_context, server_hostname, timeout)
        except asyncio.CancelledError:
            await self._stream.aclose()
            raise

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def guarded_transport(*, backend: GuardedBackend | None = None, tls: ssl.SSLContext | None = None) -> httpx.AsyncHTTPTransport:
    """A transport whose every connection goes through a `GuardedBackend`. It knows no proxy: a proxy would do the look-up itself."""
    import httpcore
    import httpx

    tls = tls or _public_tls()
    transport = httpx.AsyncHTTPTransport(verify=tls, trust_env=False)
    # httpx has no parameter for the network backend. If another version keeps its pool elsewhere, setting the attribute would
    # leave an unguarded transport behind: better none at all.
    if not isinstance(getattr(transport, "_pool", None), httpcore.AsyncConnectionPool):
        raise RuntimeError("this version of httpx can't be guarded: AsyncHTTPTransport has no connection pool in _pool")
    transport._pool = httpcore.AsyncConnectionPool(ssl_context=tls, network_backend=backend or GuardedBackend())
    return transport


@functools.cache
def _public_tls() -> ssl.SSLContext:
    """Made once: reading the certificates takes some 20 ms of the event loop. An operator may name other ones in `SSL_CERT_FILE`."""
    import httpx

    return httpx.create_ssl_context()
