"""`GET /jobs/{job_id}?wait=`: the answer comes with the change, at the end of the time at the latest, and costs nothing meanwhile."""

import asyncio
import time
from contextlib import asynccontextmanager

import pytest

from jobhub.app import POOL_SIZE
from jobhub.domain.jobs import JobStatus
from tests.factories import make_job
from tests.web.test_health import api_on
from tests.worker.relay import relay_to

FINISHED = [status for status in JobStatus if status.is_finished]


def complete(sql, job_id, version=2):
    sql.execute(
        "UPDATE jobs SET status = 'completed', completed_at = now(), progress_percentage = 100, version = %s WHERE id = %s",
        [version, job_id],
    )


@asynccontextmanager
async def waiting(sql, api, user, path, **options):
    """A request under way, known to wait: nothing is to be seen of it but that the program looks for it."""
    task = asyncio.create_task(api.call(user, "GET", path, **options))
    async with asyncio.timeout(20):
        while not task.done() and not has_looked(sql):
            await asyncio.sleep(0.01)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


def has_looked(sql):
    query = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '/* changed_jobs */%'"
    return sql.execute(query).rowcount > 0


async def soon(task):
    async with asyncio.timeout(20):
        return await task


@pytest.mark.parametrize("status", FINISHED)
async def test_a_finished_job_is_waited_for_no_longer(api, alice, sql, status):
    job_id = make_job(sql, alice, status=status)

    response = await soon(api.call(alice, "GET", f"/jobs/{job_id}?wait=60"))

    assert (response.status_code, response.json()["status"]) == (200, status)


async def test_the_answer_comes_when_the_job_is_finished_and_not_before(api, alice, sql):
    job_id = make_job(sql, alice, status="running")
    async with waiting(sql, api, alice, f"/jobs/{job_id}?wait=60") as task:
        sql.execute("UPDATE jobs SET progress_percentage = 50, version = 2")
        done, _ = await asyncio.wait({task}, timeout=0.3)
        assert not done

        complete(sql, job_id, version=3)
        response = await soon(task)

    assert (response.status_code, response.json()["status"], response.headers["etag"]) == (200, "completed", '"3"')


async def test_with_a_tag_any_change_is_the_answer(api, alice, sql):
    job_id = make_job(sql, alice, status="running")
    async with waiting(sql, api, alice, f"/jobs/{job_id}?wait=60", headers={"if-none-match": '"1"'}) as task:
        sql.execute("UPDATE jobs SET progress_percentage = 50, version = 2")
        response = await soon(task)

    assert (response.status_code, response.json()["progress_percentage"], response.headers["etag"]) == (200, 50, '"2"')


async def test_what_has_changed_already_is_answered_at_once(api, alice, sql):
    job_id = make_job(sql, alice, status="running", version=5)

    response = await soon(api.call(alice, "GET", f"/jobs/{job_id}?wait=60", headers={"if-none-match": '"3", "4"'}))

    assert (response.status_code, response.json()["version"]) == (200, 5)


async def test_of_several_known_versions_none_ends_the_wait(api, alice, sql):
    job_id = make_job(sql, alice, status="running")
    async with waiting(sql, api, alice, f"/jobs/{job_id}?wait=60", headers={"if-none-match": '"1", "2"'}) as task:
        sql.execute("UPDATE jobs SET version = 2")
        done, _ = await asyncio.wait({task}, timeout=0.3)
        assert not done

        sql.execute("UPDATE jobs SET version = 3")
        assert (await soon(task)).headers["etag"] == '"3"'


async def test_a_finished_job_with_a_tag_is_waited_for_until_it_is_retried(api, alice, sql):
    job_id = make_job(sql, alice, status="failed")
    async with waiting(sql, api, alice, f"/jobs/{job_id}?wait=60", headers={"if-none-match": '"1"'}) as task:
        await api.call(alice, "POST", f"/jobs/{job_id}/retry")
        response = await soon(task)

    assert (response.status_code, response.json()["status"]) == (200, "pending")


async def test_whatever_is_known_there_is_nothing_to_wait_for(api, alice, sql):
    job_id = make_job(sql, alice, status="running")

    response = await soon(api.call(alice, "GET", f"/jobs/{job_id}?wait=60", headers={"if-none-match": "*"}))

    assert response.status_code == 304


async def test_after_the_time_the_job_is_answered_as_it_is(api, alice, sql):
    job_id = make_job(sql, alice, status="running")
    started = time.monotonic()

    plain, known = await asyncio.gather(
        api.call(alice, "GET", f"/jobs/{job_id}?wait=1"),
        api.call(alice, "GET", f"/jobs/{job_id}?wait=1", headers={"if-none-match": '"1"'}),
    )

    assert (plain.status_code, plain.json()["status"]) == (200, "running")
    assert (known.status_code, known.content, known.headers["etag"]) == (304, b"", '"1"')
    assert time.monotonic() - started >= 1


@pytest.mark.parametrize("value", ["61", "-1", "1.5", "x", "", "1&wait=2"])
async def test_only_0_to_60_whole_seconds_can_be_waited_for(api, alice, sql, value):
    response = await api.call(alice, "GET", f"/jobs/{make_job(sql, alice)}?wait={value}")

    assert response.status_code == 400
    assert [error["pointer"] for error in response.json()["errors"]] == ["?wait"]


async def test_a_job_of_somebody_else_is_a_404_at_once(api, alice, bob, sql):
    job_id = make_job(sql, alice)

    response = await soon(api.call(bob, "GET", f"/jobs/{job_id}?wait=60"))

    assert response.status_code == 404


async def test_a_job_that_is_deleted_meanwhile_is_a_404(api, alice, sql):
    job_id = make_job(sql, alice, status="running")
    async with waiting(sql, api, alice, f"/jobs/{job_id}?wait=60") as task:
        sql.execute("DELETE FROM jobs")

        assert (await soon(task)).status_code == 404


async def test_a_user_who_is_disabled_meanwhile_learns_nothing_more(api, alice, sql):
    job_id = make_job(sql, alice, status="running")
    async with waiting(sql, api, alice, f"/jobs/{job_id}?wait=60") as task:
        sql.execute("UPDATE users SET disabled_at = now()")
        complete(sql, job_id)
        response = await soon(task)

    assert (response.status_code, response.json()["code"]) == (401, "invalid_token")


async def test_an_administrator_who_is_none_any_more_learns_nothing_more(api, alice, admin, sql):
    job_id = make_job(sql, alice, status="running")
    async with waiting(sql, api, admin, f"/jobs/{job_id}?wait=60") as task:
        sql.execute("UPDATE users SET role = 'user'")
        complete(sql, job_id)

        assert (await soon(task)).status_code == 404


async def test_a_hundred_who_wait_hold_no_connection_and_all_are_told(api, alice, sql):
    job_ids = [make_job(sql, alice, status="running") for _ in range(4)]
    tasks = [asyncio.create_task(api.call(alice, "GET", f"/jobs/{job_ids[n % 4]}?wait=60")) for n in range(100)]
    async with asyncio.timeout(20):
        while not has_looked(sql):
            await asyncio.sleep(0.01)

    others = [await soon(api.call(alice, "GET", "/jobs")) for _ in range(3)]
    used = sql.execute("SELECT FROM pg_stat_activity WHERE application_name = 'jobhub api' AND datname = current_database()").rowcount
    busy = "SELECT FROM pg_stat_activity WHERE application_name = 'jobhub api' AND datname = current_database() AND state <> 'idle'"
    is_idle = [sql.execute(busy).rowcount == 0 for _ in range(100)]
    for job_id in job_ids:
        complete(sql, job_id)
    responses = [await soon(task) for task in tasks]

    assert [other.status_code for other in others] == [200] * 3
    assert used <= POOL_SIZE
    assert any(is_idle)
    assert [(response.status_code, response.json()["status"]) for response in responses] == [(200, "completed")] * 100


async def test_an_outage_ends_no_wait(dsn, registry, alice, sql):
    job_id = make_job(sql, alice, status="running")
    async with relay_to(dsn) as relay, api_on(relay.dsn, registry) as api, waiting(sql, api, alice, f"/jobs/{job_id}?wait=60") as task:
        relay.cut()
        done, _ = await asyncio.wait({task}, timeout=0.5)
        assert not done
        complete(sql, job_id)

        relay.restore()
        response = await soon(task)

    assert (response.status_code, response.json()["status"]) == (200, "completed")


async def test_the_stop_of_the_process_answers_everybody(dsn, registry, alice, sql):
    job_id = make_job(sql, alice, status="running")
    stopping = asyncio.Event()
    async with (
        api_on(dsn, registry, stopping=stopping) as api,
        waiting(sql, api, alice, f"/jobs/{job_id}?wait=60") as task,
    ):
        stopping.set()
        response = await soon(task)

    assert (response.status_code, response.json()["status"]) == (200, "running")
