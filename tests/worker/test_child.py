"""The child's side of a process handler, told what to do by hand."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec

from jobhub.worker.messages import Message, Order, ResultMessage, StartedMessage
from tests import factories
from tests.worker import process_handlers


@contextmanager
def child() -> Iterator[tuple[subprocess.Popen[bytes], Any]]:
    """A child that waits for its order, and the file its messages come in."""
    read_end, write_end = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", "jobhub.worker.child", str(write_end)],
        stdin=subprocess.PIPE,
        pass_fds=[write_end],
        start_new_session=True,
    )
    os.close(write_end)
    with os.fdopen(read_end, "rb") as messages:
        try:
            yield process, messages
        finally:
            process.kill()
            process.communicate()


def order(name: str) -> bytes:
    return msgspec.json.encode(
        Order(
            module=process_handlers.__name__,
            job_type="process.act",
            job_id=factories.new_id(),
            owner_id=factories.new_id(),
            attempt=1,
            parameters={"act": name, "path": "x" * 200_000},
            memory_limit_mb=None,
            path=sys.path,
        )
    )


def test_a_word_to_stop_that_comes_with_the_order_is_heard() -> None:
    with child() as (process, messages):
        assert process.stdin
        process.stdin.write(order("identify") + b"\nstop\n")
        process.stdin.flush()

        started, message = (msgspec.json.decode(messages.readline(), type=Message) for _ in range(2))

        assert isinstance(started, StartedMessage)
        assert isinstance(message, ResultMessage)
        assert message.result[3] is True


def test_without_a_parent_it_ends_before_it_has_an_order() -> None:
    with child() as (process, messages):
        assert process.stdin
        process.stdin.close()

        assert messages.readline() == b""
        assert process.wait(10) == 1
        process.stdin = None
