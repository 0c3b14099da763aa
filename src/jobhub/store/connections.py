"""How a connection to PostgreSQL is made: time limits, settings, types; and what an outage is.

Not here: pools and statements (`store.database`), the lease's own connection (`store.lease`).
"""

import asyncio
import random
import socket
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NoReturn

import asyncpg
import msgspec

from jobhub.domain.errors import DatabaseUnavailable

CONNECT_TIMEOUT_SECONDS = 2.0
# After a failed attempt nobody tries again for so long, growing from the first to the last: an outage must not end in a stampede,
# and 3 s after its end everything has to work again.
_PAUSES_SECONDS = (0.1, 0.2, 0.4, 0.8, 1.0)

# A peer that is gone without a word is noticed by the kernel within some 10 s, also where no deadline of ours runs.
_SOCKET_OPTIONS = {
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE): 1,
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPIDLE", None)): 5,
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPINTVL", None)): 2,
    (socket.IPPROTO_TCP, getattr(socket, "TCP_KEEPCNT", None)): 2,
    (socket.IPPROTO_TCP, getattr(socket, "TCP_USER_TIMEOUT", None)): 8000,
}

AWAY = (
    OSError,
    ssl.SSLError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # 57: shutting down, starting up, cancelled
    asyncpg.InsufficientResourcesError,  # 53: disk full, too many connections
    asyncpg.PostgresSystemError,  # 58: the server's disk fails
    asyncpg.ReadOnlySQLTransactionError,  # half of a failover
    asyncpg.InvalidAuthorizationSpecificationError,  # 28: refused for now, an operator's business
    asyncpg.InsufficientPrivilegeError,  # 42501: as above
    asyncpg.InvalidCatalogNameError,  # 3D: the database is not there yet
    asyncpg.UndefinedTableError,  # 42P01: nobody has run `jobhub migrate` yet; tests/store/test_statements.py finds a wrong name
    asyncpg.InterfaceError,  # the connection was closed under our feet
    asyncpg.InternalClientError,
)

_JSONB_VERSION = b"\x01"  # first byte of the binary format, jsonb_send


if TYPE_CHECKING:
    _Base = asyncpg.Connection[asyncpg.Record]
else:
    _Base = asyncpg.Connection


class Connection(_Base):
    """A connection that is ended when nobody waits for its answer any more, where asyncpg would ask the server to cancel.

    A CancelRequest that meets a COMMIT waiting for a standby makes the server answer with success what a failover may undo; and it needs
    another connection to a server that may be silent. The end of the connection leaves no doubt: the outcome is unknown.
    Overrides private methods of asyncpg 0.32; tests/store/test_connections.py fails when they change.
    """

    # The server said of a COMMIT of ours that the standby it should have waited for may not have it.
    is_unconfirmed = False

    def _cancel_current_command(self, *_: Any) -> None:
        asyncio.get_running_loop().call_soon(self.terminate)  # not now: asyncpg is about to tell whoever waits

    def _process_log_message(self, fields: Mapping[str, str], last_query: str) -> None:
        if fields.get("R") == "SyncRepWaitForLSN":  # the server's function, since messages are translated
            self.is_unconfirmed = True
        super()._process_log_message(fields, last_query)  # type: ignore[misc]  # not in its stubs


async def connect(dsn: str, *, application_name: str, settings: Mapping[str, str] | None = None, **options: Any) -> Connection:
    """A connection ready for our statements, or an error of `AWAY`, within a little more than `CONNECT_TIMEOUT_SECONDS`."""
    async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
        given: dict[str, Any] = {
            "connection_class": Connection,
            "server_settings": _server_settings(application_name) | dict(settings or {}),
        }
        connection: Connection = await asyncpg.connect(dsn, **given | options)
        try:
            _set_socket_options(connection)
            await _prepare(connection)
        except BaseException:
            connection.terminate()
            raise
    return connection


class Connector:
    """Makes a pool's connections. While the server can't be reached one caller tries, with growing pauses; the others fail at once."""

    def __init__(self, application_name: str, settings: Mapping[str, str] | None = None) -> None:
        self._application_name = application_name
        self._settings = settings
        self._failures = 0
        self._retry_at = 0.0
        self._last_error: Exception | None = None

    async def __call__(self, dsn: str, **options: Any) -> Connection:
        loop = asyncio.get_running_loop()
        if self._failures:
            if loop.time() < self._retry_at:
                raise ConnectionError("not tried again yet") from self._last_error
            self._retry_at = loop.time() + CONNECT_TIMEOUT_SECONDS  # until this attempt has ended nobody else makes one
        started_at = loop.time()
        try:
            connection = await connect(dsn, application_name=self._application_name, settings=self._settings, **options)
        except AWAY as error:
            self._last_error = error
            self._pause()
            raise
        except asyncio.CancelledError:  # whoever asked had less patience than we, and may have had hardly any
            self._retry_at = 0.0
            if loop.time() - started_at >= CONNECT_TIMEOUT_SECONDS / 2:
                self._pause()
            raise
        self._failures = 0
        return connection

    def _pause(self) -> None:
        seconds = _PAUSES_SECONDS[min(self._failures, len(_PAUSES_SECONDS) - 1)]
        self._failures += 1
        self._retry_at = asyncio.get_running_loop().time() + seconds * random.uniform(0.5, 1.0)  # noqa: S311 - spreads processes


def raise_unavailable(error: Exception) -> NoReturn:
    """Raise DatabaseUnavailable, unless it is a value asyncpg could not encode: that is an InterfaceError too, and no outage."""
    if isinstance(error, asyncpg.InterfaceError) and isinstance(error, ValueError):
        raise error
    raise DatabaseUnavailable from error


def _server_settings(application_name: str) -> dict[str, str]:
    return {
        "application_name": application_name,
        "timezone": "UTC",
        "jit": "off",  # it costs more than it saves on short statements
        # The server's side of a connection whose client is gone, so that it keeps no locks and no work goes on for nobody.
        "tcp_user_timeout": "10000",
        "tcp_keepalives_idle": "5",
        "tcp_keepalives_interval": "3",
        "tcp_keepalives_count": "3",
        "client_connection_check_interval": "2000",
        "idle_in_transaction_session_timeout": "30000",
    }


def _set_socket_options(connection: Any) -> None:
    """The server's settings bound the server's waiting, these ours. Source of the private attribute: asyncpg/connection.py."""
    client: socket.socket | None = connection._transport.get_extra_info("socket")
    if client is None or client.family == socket.AF_UNIX:
        return
    for (level, name), value in _SOCKET_OPTIONS.items():
        if name is not None:  # not every system has all of them
            client.setsockopt(level, name, value)


async def _prepare(connection: asyncpg.Connection) -> None:
    """Let jsonb travel as decoded JSON. Binary, because a text codec can't be used inside an array."""
    await connection.set_type_codec("jsonb", encoder=_encode_json, decoder=_decode_json, schema="pg_catalog", format="binary")


def _encode_json(value: Any) -> bytes:
    return _JSONB_VERSION + msgspec.json.encode(value)


def _decode_json(value: bytes) -> Any:
    return msgspec.json.decode(value[1:])
