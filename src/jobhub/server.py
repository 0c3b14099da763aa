"""The API process listening on its socket: uvicorn, told apart from its defaults where those would hurt."""

import asyncio
import contextlib
import signal
from collections.abc import Iterator

import uvicorn
import uvloop
from litestar.types import ASGIApp

from jobhub.strict_http import StrictProtocol

# How long requests that are being answered may take once the process was told to stop.
GRACE_SECONDS = 5


class Server(uvicorn.Server):
    """Ends with status 0 when it was asked to end.

    uvicorn raises the signal again after its shutdown, so that a supervisor sees a process killed by SIGTERM.
    Source: uvicorn/server.py, `capture_signals`.
    """

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self.handle_exit, number, None)
        yield


def serve(app: ASGIApp, *, host: str, port: int) -> int:
    """Answer requests until SIGTERM or SIGINT; the exit status, 1 if it could not start."""
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        http=StrictProtocol,
        lifespan="on",
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = Server(config)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve())
    return 0 if server.started else 1
