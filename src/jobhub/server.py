"""The API process listening on its socket: uvicorn, told apart from its defaults where those would hurt."""

import asyncio
import contextlib
import fcntl
import gc
import signal
import socket
import struct
import termios
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import uvicorn
import uvloop
from litestar.types import ASGIApp

from jobhub.strict_http import StrictProtocol

# How long requests that are being answered may take once the process was told to stop.
GRACE_SECONDS = 5
# A reader that takes less than this in that time is given up: it holds what waits to be sent to it in memory.
STALL_SECONDS = 15.0
STALL_BYTES = 16 * 1024
# A peer that is gone without a word: found by asking, where nothing is sent, or by what it doesn't acknowledge. Milliseconds the last one.
_SOCKET_OPTIONS = {"TCP_KEEPIDLE": 30, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 30_000}


class Server(uvicorn.Server):
    """Ends with status 0 when it was asked to end, and says so at once: streams would hold it up, and it closes the app after them.

    uvicorn raises the signal again after its shutdown, so that a supervisor sees a process killed by SIGTERM.
    Source: uvicorn/server.py, `capture_signals`.
    """

    def __init__(self, config: uvicorn.Config, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_stop = on_stop

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.handle_exit, number, None)
        yield

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._on_stop()
        super().handle_exit(sig, frame)


class Protocol(StrictProtocol):
    """Ends connections whose reader takes nothing, or is not there any more.

    What waits to be sent is bounded by the transport's buffer and one message of the app; this bounds for how long.
    """

    _stall_check: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        client = transport.get_extra_info("socket")
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _SOCKET_OPTIONS.items():
            if option := getattr(socket, name, None):  # not every system has all of them
                client.setsockopt(socket.IPPROTO_TCP, option, value)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._check_later()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._forget_check()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget_check()
        super().connection_lost(exc)

    def shutdown(self) -> None:
        """As uvicorn's; but nobody waits for a reader that is behind."""
        if self.flow.write_paused:
            self.transport.abort()
        else:
            super().shutdown()

    def _check_later(self) -> None:
        self._stall_check = self.loop.call_later(STALL_SECONDS, self._check, self._unacknowledged_bytes())

    def _check(self, bytes_before: int) -> None:
        if self._unacknowledged_bytes() > bytes_before - STALL_BYTES:
            self.transport.abort()
        else:
            self._check_later()

    def _unacknowledged_bytes(self) -> int:
        """What waits here and in the kernel, which holds megabytes and takes no more before a third of them is gone."""
        in_kernel = 0
        with contextlib.suppress(OSError):  # not every system tells
            client = self.transport.get_extra_info("socket")
            (in_kernel,) = struct.unpack("i", fcntl.ioctl(client.fileno(), termios.TIOCOUTQ, bytes(4)))
        return self.transport.get_write_buffer_size() + in_kernel

    def _forget_check(self) -> None:
        if self._stall_check is not None:
            self._stall_check.cancel()
            self._stall_check = None


def create_server(app: ASGIApp, *, host: str, port: int, on_stop: Callable[[], None]) -> Server:
    """A server that isn't started yet. `on_stop` is called when it is told to stop."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=Protocol,
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return Server(config, on_stop)


def serve(app: ASGIApp, *, host: str, port: int, on_stop: Callable[[], None] = lambda: None) -> int:
    """Answer requests until SIGTERM or SIGINT; the exit status, 1 if it could not start."""
    server = create_server(app, host=host, port=port, on_stop=on_stop)
    # What is there by now stays. A full collection would look at all of it, and nobody be answered for 50 to 100 ms meanwhile.
    gc.collect()
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve())
    return 0 if server.started else 1
