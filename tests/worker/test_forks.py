"""A copy of a worker's process has nothing in common with it that it could harm."""

import asyncio
import sys
import textwrap
from pathlib import Path

PROGRAM = """
    import asyncio, os, socket, sys
    from jobhub.worker.forks import end_copies

    async def main():
        end_copies(asyncio.get_running_loop())
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(sys.argv[1])
        ours, theirs = socket.socketpair()
        copy = os.fork()
        if not copy:
            os.write(connection.fileno(), b"from the copy, ")
            theirs.send(b"hello")
            await asyncio.sleep(600)
        status = os.waitstatus_to_exitcode(os.waitpid(copy, 0)[1])
        connection.send(f"{status} {ours.recv(100).decode()}".encode())

    asyncio.run(main())
"""


async def test_a_copy_has_no_connections_and_ends_at_the_event_loop(tmp_path: Path) -> None:
    heard: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.set_result(await reader.read())
        writer.close()

    async with await asyncio.start_unix_server(listen, tmp_path / "socket"):
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", textwrap.dedent(PROGRAM), tmp_path / "socket")
        async with asyncio.timeout(20):
            assert await process.wait() == 0
            assert await heard == b"70 hello"
