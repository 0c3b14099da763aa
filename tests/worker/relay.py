"""A TCP relay between a client and PostgreSQL that can cut connections, refuse new ones, stand still with all of them open,
or lose the answer to what the server has done."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit


class Relay:
    """Passes everything on while `open`. Cutting ends what there is; `freeze` keeps it, silently."""

    def __init__(self, dsn: str) -> None:
        self._target = urlsplit(dsn)
        self._writers: set[asyncio.StreamWriter] = set()
        self._flows = _flowing()
        self._frozen: list[asyncio.Event] = []
        self._answers_to_lose = 0
        self.is_refusing = False
        self.accepted = 0
        self.port = 0

    @property
    def dsn(self) -> str:
        return f"postgresql://{self._target.netloc.rpartition('@')[0]}@127.0.0.1:{self.port}{self._target.path}?sslmode=disable"

    def cut(self) -> None:
        """End every connection and refuse new ones."""
        self.is_refusing = True
        for writer in list(self._writers):
            writer.transport.abort()

    def restore(self) -> None:
        self.is_refusing = False
        for flow in (self._flows, *self._frozen):
            flow.set()

    def freeze(self) -> None:
        """Pass nothing on any more, and answer nothing."""
        self._flows.clear()

    def freeze_present_ones(self) -> None:
        """As `freeze`, but connections made from now on work."""
        self._flows.clear()
        self._frozen.append(self._flows)
        self._flows = _flowing()

    def lose_answers(self, count: int = 1) -> None:
        """Cut a connection when the server answers on it, instead of passing the answer on; so many times."""
        self._answers_to_lose = count

    @property
    def lost_all_answers(self) -> bool:
        return self._answers_to_lose == 0

    @property
    def open_connections(self) -> int:
        return len(self._writers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.is_refusing:
            writer.transport.abort()
            return
        self.accepted += 1
        self._writers.add(writer)
        with suppress(OSError):
            their_reader, their_writer = await self._connect()
            self._writers.add(their_writer)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(reader, their_writer))
                group.create_task(self._pass_on(their_reader, writer, is_answer=True))
            self._writers.discard(their_writer)
        self._writers.discard(writer)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        directory = parse_qs(self._target.query).get("host")
        if directory:
            return await asyncio.open_unix_connection(f"{directory[0]}/.s.PGSQL.5432")
        return await asyncio.open_connection(self._target.hostname, self._target.port or 5432)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_answer: bool = False) -> None:
        flow = self._flows
        with suppress(OSError):
            while part := await reader.read(65536):
                await flow.wait()
                if is_answer and self._answers_to_lose:
                    self._answers_to_lose -= 1
                    break
                writer.write(part)
                await writer.drain()
        writer.transport.abort()


def _flowing() -> asyncio.Event:
    event = asyncio.Event()
    event.set()
    return event


@asynccontextmanager
async def relay_to(dsn: str) -> AsyncIterator[Relay]:
    relay = Relay(dsn)
    server = await asyncio.start_server(relay.serve, "127.0.0.1", 0)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        relay.restore()
        relay.cut()
        server.close()
        await server.wait_closed()
        await asyncio.sleep(0)
