"""Waiting for changes: one look for all who wait, none for nobody, and no answer from a look that began too early."""

import asyncio

import pytest

from jobhub.domain.errors import DatabaseUnavailable
from jobhub.store import watching
from jobhub.store.watching import Watch


class World:
    """What there is to look at. Each look says that it has begun, and reads what there is when it may go on."""

    def __init__(self) -> None:
        self.states: dict[str, int] = {}
        self.looks: list[list[str]] = []
        self.begun = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.failures: list[Exception] = []

    async def look(self, known: dict[str, int]) -> dict[str, int]:
        self.looks.append(sorted(known))
        found = {key: self.states.get(key, 0) for key in known if self.states.get(key, 0) != known[key]}
        self.begun.set()
        await self.may_answer.wait()
        if self.failures:
            raise self.failures.pop(0)
        return found


@pytest.fixture
def world():
    return World()


@pytest.fixture
async def watch(world):
    watch = Watch(world.look, pause_seconds=0.001)
    yield watch
    await watch.close()


async def begin(watch, key, known=0, seconds=20.0):
    task = asyncio.create_task(watch.until_changed(key, known, seconds=seconds))
    await asyncio.sleep(0)
    return task


async def test_a_change_is_answered_with_the_new_state(world, watch):
    waiting = await begin(watch, "a")
    await world.begun.wait()
    assert not waiting.done()

    world.states["a"] = 1

    assert await waiting == 1


async def test_what_has_changed_before_is_answered_at_once(world, watch):
    world.states["a"] = 5

    assert await watch.until_changed("a", 4, seconds=20) == 5


async def test_all_who_wait_share_a_look_and_the_others_go_on(world, watch):
    world.states = {"a": 1}
    waiting = [asyncio.create_task(watch.until_changed(key, 0, seconds=20)) for key in ("a", "a", "b")]

    assert await asyncio.gather(*waiting[:2]) == [1, 1]
    assert world.looks[0] == ["a", "b"]
    assert not waiting[2].done()


@pytest.mark.parametrize("present", [1, 2, 3])
async def test_who_knows_something_else_of_the_same_is_answered_for_themselves(world, watch, present):
    world.states["a"] = present
    waiting = [asyncio.create_task(watch.until_changed("a", known, seconds=20)) for known in (1, 2)]

    told = [waiter for known, waiter in zip((1, 2), waiting, strict=True) if known != present]

    assert await asyncio.gather(*told) == [present] * len(told)
    assert [waiter.done() for waiter in waiting] == [known != present for known in (1, 2)]


async def test_nobody_waits_and_nobody_looks(world, watch):
    assert await watch.until_changed("a", 0, seconds=0.01) == 0
    async with asyncio.timeout(20):
        while watch._looking:
            await asyncio.sleep(0)
    looks = len(world.looks)
    for _ in range(20):
        await asyncio.sleep(0.001)
    assert len(world.looks) == looks

    world.states["a"] = 1
    assert await watch.until_changed("a", 0, seconds=20) == 1


async def test_a_look_that_began_before_does_not_answer_whoever_came_after_it(world, watch):
    world.may_answer.clear()
    first = await begin(watch, "a")
    await world.begun.wait()
    world.states["a"] = 1  # the look has seen 0; who reads now knows 1
    second = await begin(watch, "a", known=1)

    world.may_answer.set()

    assert await first == 1
    assert not second.done()
    world.states["a"] = 2
    assert await second == 2


async def test_after_the_time_what_is_known_is_the_answer(world, watch):
    world.may_answer.clear()

    assert await watch.until_changed("a", 7, seconds=0.01) == 7
    assert await watch.until_changed("a", 7, seconds=0) == 7


@pytest.mark.parametrize("error", [DatabaseUnavailable(), RuntimeError("a bug")], ids=["an outage", "a bug"])
async def test_a_look_that_fails_ends_no_wait(world, watch, error, monkeypatch):
    monkeypatch.setattr(watching, "_LONGEST_PAUSE_SECONDS", 0.001)
    world.failures = [error, error]
    world.states["a"] = 1

    assert await watch.until_changed("a", 0, seconds=20) == 1
    assert len(world.looks) == 3


async def test_the_end_answers_everybody_now_and_later(world, watch):
    world.states = {"a": 3, "b": 4}
    waiting = [await begin(watch, "a", 3), await begin(watch, "b", 4)]

    watch.end()

    assert await asyncio.gather(*waiting) == [3, 4]
    assert await watch.until_changed("a", 3, seconds=20) == 3


async def test_whoever_goes_away_is_forgotten(world, watch):
    staying, going = await begin(watch, "a"), await begin(watch, "b")
    going.cancel()
    await asyncio.wait({going})

    world.looks.clear()
    async with asyncio.timeout(20):
        while len(world.looks) < 2:
            await asyncio.sleep(0.001)
    world.states["a"] = 1

    assert await staying == 1
    assert world.looks[-1] == ["a"]
