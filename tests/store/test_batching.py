"""What arrives while a call is on its way shares the next one, and nobody suffers for a neighbour."""

import asyncio

import pytest

from jobhub.domain.errors import DatabaseUnavailable
from jobhub.store.batching import Batches, Shared


class Run:
    """Answers each item with its double, once the gate is open; -1 is poison and makes a call fail."""

    def __init__(self):
        self.calls = []
        self.error = ValueError("poison")
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, items):
        self.calls.append(items)
        await self.gate.wait()
        if -1 in items:
            raise self.error
        return [item * 2 for item in items]


@pytest.fixture
async def run():
    return Run()


def batches(run, **options):
    return Batches(run, **{"max_items": 100} | options)


async def started(batches, run, *items):
    """Tasks that wait for the answers to some items, after the first one's call has begun and stands before the closed gate."""
    run.gate.clear()
    tasks = [asyncio.create_task(batches.put(items[0]))]
    await until(lambda: run.calls)
    tasks += [asyncio.create_task(batches.put(item)) for item in items[1:]]
    for _ in range(3):  # each task runs up to its first wait
        await asyncio.sleep(0)
    return tasks


async def until(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0)


async def test_a_lone_item_does_not_wait_for_company(run):
    one = batches(run)

    assert [await one.put(1), await one.put(2)] == [2, 4]
    assert run.calls == [[1], [2]]


async def test_what_arrives_during_a_call_shares_the_next_one_in_order(run):
    tasks = await started(batches(run), run, 1, 2, 3, 4)

    run.gate.set()

    assert await asyncio.gather(*tasks) == [2, 4, 6, 8]
    assert run.calls == [[1], [2, 3, 4]]


async def test_more_calls_may_be_on_their_way_at_once(run):
    tasks = await started(batches(run, at_once=2), run, 1, 2, 3, 4)

    assert run.calls[0] == [1]
    assert len(run.calls) == 2
    run.gate.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6, 8]
    assert [item for call in run.calls for item in call] == [1, 2, 3, 4]


async def test_a_call_takes_at_most_so_many(run):
    tasks = await started(batches(run, max_items=2), run, 0, 1, 2, 3, 4, 5)

    run.gate.set()

    assert await asyncio.gather(*tasks) == [0, 2, 4, 6, 8, 10]
    assert run.calls == [[0], [1, 2], [3, 4], [5]]


async def test_a_call_takes_at_most_so_much_but_always_one(run):
    tasks = await started(batches(run, weigh=lambda item: item, max_weight=10), run, 1, 4, 6, 1, 50, 2)

    run.gate.set()

    await asyncio.gather(*tasks)
    assert run.calls == [[1], [4, 6], [1], [50], [2]]


async def test_of_a_batch_that_fails_only_the_guilty_ones_fail(run):
    items = [1, 2, -1, 4, 5, -1, 7]

    answers = await asyncio.gather(*(batch.put(item) for batch in [batches(run)] for item in items), return_exceptions=True)

    assert answers == [2, 4, run.error, 8, 10, run.error, 14]


async def test_a_lost_database_fails_the_whole_batch_once_and_nothing_is_sent_again(run):
    run.error = DatabaseUnavailable()
    one = batches(run)

    answers = await asyncio.gather(*(one.put(item) for item in (1, -1, 3)), return_exceptions=True)

    assert [type(answer) for answer in answers] == [DatabaseUnavailable] * 3
    assert len({id(answer) for answer in answers}) == 3
    assert run.calls == [[1, -1, 3]]
    assert await one.put(4) == 8


async def test_who_stops_waiting_takes_the_item_back(run):
    tasks = await started(batches(run), run, 1, 2, 3)

    tasks[1].cancel()
    run.gate.set()

    assert [await tasks[0], await tasks[2]] == [2, 6]
    assert tasks[1].cancelled()
    assert run.calls == [[1], [3]]


async def test_who_leaves_during_the_call_disturbs_no_other(run):
    one = batches(run)
    run.gate.clear()
    tasks = [asyncio.create_task(one.put(item)) for item in (1, 2, 3)]
    await until(lambda: run.calls)

    tasks[0].cancel()
    run.gate.set()

    assert [await tasks[1], await tasks[2]] == [4, 6]
    assert tasks[0].cancelled()
    assert run.calls == [[1, 2, 3]]


async def test_nobody_waits_for_ever(run):
    tasks = await started(batches(run, patience_seconds=0.05), run, 1, 2)

    answers = await asyncio.gather(*tasks, return_exceptions=True)

    assert [type(answer) for answer in answers] == [DatabaseUnavailable] * 2
    run.gate.set()
    assert run.calls == [[1]]


async def test_an_item_that_comes_as_the_last_call_ends_is_not_forgotten(run):
    one = batches(run)

    async def put_next(item):
        return await one.put(item) if item == 50 else await put_next(await one.put(item) // 2 + 1)

    async with asyncio.timeout(10):
        assert await put_next(0) == 100


async def test_when_the_process_ends_those_who_wait_are_let_go(run):
    one = batches(run)
    tasks = await started(one, run, 1)
    [call] = [task for task in asyncio.all_tasks() if task.get_name() == "run batches"]

    call.cancel()

    await asyncio.wait({call, *tasks}, timeout=10)
    assert [task.cancelled() for task in (call, *tasks)] == [True, True]


class Read:
    """Answers with how often it was called, once the gate is open."""

    def __init__(self):
        self.calls = 0
        self.error = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self):
        self.calls += 1
        number = self.calls
        await self.gate.wait()
        if self.error:
            raise self.error
        return number


@pytest.fixture
async def read():
    return Read()


async def askers(shared, read, number):
    """Tasks that ask while the first one's read stands before the closed gate."""
    read.gate.clear()
    tasks = [asyncio.create_task(shared.get())]
    await until(lambda: read.calls)
    tasks += [asyncio.create_task(shared.get()) for _ in range(number - 1)]
    for _ in range(3):
        await asyncio.sleep(0)
    return tasks


async def test_who_asks_while_something_is_read_shares_a_read_that_begins_afterwards(read):
    shared = Shared(read)
    tasks = await askers(shared, read, 4)
    assert read.calls == 1

    read.gate.set()

    assert await asyncio.gather(*tasks) == [1, 2, 2, 2]
    assert await shared.get() == 3


async def test_who_stops_asking_disturbs_no_other_who_does(read):
    shared = Shared(read)
    tasks = await askers(shared, read, 3)

    tasks[0].cancel()
    tasks[1].cancel()
    read.gate.set()

    assert await tasks[2] == 2
    assert [tasks[0].cancelled(), tasks[1].cancelled()] == [True, True]


async def test_who_asked_meanwhile_is_told_with_the_others_that_the_database_is_away(read):
    shared = Shared(read)
    tasks = await askers(shared, read, 3)

    read.error = DatabaseUnavailable()
    read.gate.set()
    failures = await asyncio.gather(*tasks, return_exceptions=True)
    read.error = None

    assert [type(failure) for failure in failures] == [DatabaseUnavailable] * 3
    assert len(set(map(id, failures))) == 3
    assert read.calls == 1
    assert await shared.get() == 2
