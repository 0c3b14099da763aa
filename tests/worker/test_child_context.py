"""What the child tells its worker: few reports, the first at once, and nothing of them lost."""

import io
import threading

import msgspec
import pytest

from jobhub.worker import child_context
from jobhub.worker.child_context import CoroutineContext, Parent, ProcessContext, Stop
from jobhub.worker.messages import CANCEL, STOP, Message, Order, ProgressMessage, ResultMessage
from tests import factories
from tests.worker.processes import wait_for

ORDER = Order(
    module="m",
    job_type="t.t",
    job_id=factories.new_id(),
    owner_id=factories.new_id(),
    attempt=1,
    parameters={},
    memory_limit_mb=None,
    path=[],
)


@pytest.fixture
def out() -> io.BytesIO:
    return io.BytesIO()


def told(out: io.BytesIO) -> list[Message]:
    return [msgspec.json.decode(line, type=Message) for line in out.getvalue().splitlines()]


def test_the_first_report_is_told_at_once_and_the_last_before_the_end(out: io.BytesIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child_context, "SECONDS_BETWEEN_REPORTS", 600)
    parent = Parent(out)
    context = ProcessContext(ORDER, parent, Stop())

    context.progress(1, "one")
    at_once = told(out)
    for number in range(2, 10_000):
        context.progress(number / 100, f"number {number}")
    context.progress(50)
    parent.tell(ResultMessage(7))

    assert at_once == [ProgressMessage(1, "one")]
    assert told(out)[1:] == [ProgressMessage(99.99, "number 9999"), ResultMessage(7)]


def test_a_report_that_nothing_follows_is_told_a_moment_later(out: io.BytesIO) -> None:
    context = ProcessContext(ORDER, Parent(out), Stop())

    context.progress(1)
    context.progress(2)

    assert wait_for(lambda: len(told(out)) == 2)
    assert told(out)[1] == ProgressMessage(2, None)


def test_what_is_no_report_is_ignored(out: io.BytesIO) -> None:
    class Wordless:
        def __str__(self) -> str:
            raise RuntimeError

    context = ProcessContext(ORDER, Parent(out), Stop())

    context.progress(float("nan"))
    context.progress(float("inf"))
    context.progress("much", None)  # type: ignore[arg-type]
    context.progress(1, Wordless())  # type: ignore[arg-type]
    out.close()
    context.progress(2)

    assert out.closed


def test_lines_of_many_threads_stay_whole(out: io.BytesIO) -> None:
    parent = Parent(out)
    threads = [threading.Thread(target=parent.tell, args=(ResultMessage("x" * 10_000),)) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(told(out)) == 20


@pytest.mark.parametrize(("words", "cancelled"), [(CANCEL, True), (STOP, False)])
def test_any_stop_is_told_a_plain_handler_and_only_a_cancel_a_coroutine(out: io.BytesIO, words: bytes, cancelled: bool) -> None:
    stop, calls = Stop(), []
    plain, coroutine = ProcessContext(ORDER, Parent(out), stop), CoroutineContext(ORDER, Parent(out), stop)
    before = (plain.cancel_requested, coroutine.cancel_requested)

    stop.ask(words + b"\n")
    stop.on_ask(lambda: calls.append("late"))

    assert before == (False, False)
    assert (plain.cancel_requested, coroutine.cancel_requested) == (True, cancelled)
    assert calls == ["late"]
