"""The application on a real socket, in the test's own loop; and a reader of event streams."""

import asyncio
import json
import signal
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import httpx

from jobhub.app import create_litestar
from jobhub.server import Server, create_server
from jobhub.web.edge import Edge
from tests.factories import KEYS, Api, token


class ServerInATest(Server):
    """Leaves the signals of the test's process alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Serving(Api):
    """The API over a socket, and the server behind it."""

    def __init__(self, client: httpx.AsyncClient, server: Server) -> None:
        super().__init__(client)
        self.server = server

    @property
    def port(self) -> int:
        return self.server.servers[0].sockets[0].getsockname()[1]

    def stop(self) -> None:
        self.server.handle_exit(signal.SIGTERM, None)

    @asynccontextmanager
    async def events(self, user, path="/jobs/events", **options):
        """An event stream."""
        headers = {"authorization": f"Bearer {token(user)}"} if user else {}
        async with self.client.stream("GET", path, headers=headers, **options) as response:
            yield Events(response)


class Events:
    """What a stream says, part by part: `job` events decoded, comments and settings as they are."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.comments: list[str] = []
        self.ids: list[str] = []
        self._lines = response.aiter_lines()

    async def next(self) -> dict[str, Any] | None:
        """The job of the next event; None when the stream has ended."""
        fields: dict[str, str] = {}
        async with asyncio.timeout(20):
            async for line in self._lines:
                if not line and fields.get("data"):
                    assert fields["event"] == "job"
                    self.ids.append(fields["id"])
                    return json.loads(fields["data"])
                if line.startswith(":"):
                    self.comments.append(line)
                elif line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
        return None

    async def rest(self) -> list[dict[str, Any]]:
        """The jobs of all further events until the end."""
        jobs = []
        while job := await self.next():
            jobs.append(job)
        return jobs


@asynccontextmanager
async def serving(dsn, registry, *, streams_per_user=10):
    """The whole application behind its server."""
    stopping = asyncio.Event()
    app = create_litestar(dsn=dsn, keys=KEYS, registry=registry, streams_per_user=streams_per_user, stopping=stopping)
    server = create_server(Edge(app), host="127.0.0.1", port=0, on_stop=stopping.set)
    server.__class__ = ServerInATest
    running = asyncio.create_task(server.serve())
    async with asyncio.timeout(20):
        while not server.started:
            await asyncio.sleep(0.01)
    served = Serving(httpx.AsyncClient(timeout=30, trust_env=False), server)
    served.client.base_url = f"http://127.0.0.1:{served.port}"
    try:
        async with served.client:
            yield served
    finally:
        served.stop()
        await running
