"""`GET /metrics`: what it counts, what it is called, who may read it, and that no state of the database makes it fail or wait."""

import asyncio
import re
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import httpx
import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from jobhub import app as application
from jobhub.domain.jobs import AttemptOutcome, JobStatus
from jobhub.services import figures
from jobhub.web.edge import Edge
from tests import factories
from tests.conftest import running_lifespan
from tests.web.test_health import api_on, closed_port, silent_port  # noqa: F401 - fixtures

# The promise is 3 s; the machine that runs the tests may be busy. Without the limits these would wait for ever.
BOUND_SECONDS = 8
SOME_ID = "01890a5d-0000-7000-8000-0000deadbeef"
OPERATIONS = Path(__file__).parents[2] / "docs" / "operations.md"


@asynccontextmanager
async def serving(dsn, registry, *, token=None):
    litestar = application.create_litestar(dsn=dsn, keys=factories.KEYS, registry=registry, metrics_token=token)
    async with running_lifespan(litestar.lifespan):
        transport = httpx.ASGITransport(Edge(litestar), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            yield factories.Api(client)


@pytest.fixture
async def api(dsn, registry):
    """An application of its own, which has counted nothing yet."""
    async with serving(dsn, registry) as api:
        yield api


@pytest.fixture
def at_once(monkeypatch):
    """Every scrape looks, and counts what has been committed by then."""
    monkeypatch.setattr(figures, "CACHE_SECONDS", 0)
    monkeypatch.setattr(figures, "COMMIT_LAG", timedelta(0))


async def scrape(api, **headers: str) -> dict[tuple, float]:
    """All samples by name and the values of their labels, in the order of the labels' names."""
    async with asyncio.timeout(BOUND_SECONDS):
        response = await api.client.get("/metrics", headers=headers)
    assert response.status_code == 200, response.text
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def responses(samples: dict[tuple, float]) -> dict[tuple, float]:
    """(method, route, status): how many."""
    return {key[1:]: count for key, count in samples.items() if key[0] == "jobhub_http_requests_total"}


async def test_responses_are_counted_by_the_template_of_their_route(api, alice):
    job_id = (await api.submit(alice))["id"]
    for method, path in [
        *[("GET", f"/jobs/{job_id}"), ("HEAD", f"/jobs/{job_id}"), ("GET", f"/jobs/{SOME_ID}"), ("POST", f"/jobs/{job_id}/cancel")],
        *[("OPTIONS", "/jobs"), ("GET", "/jobs?page=0"), ("GET", "/livez")],
    ]:
        await api.call(alice, method, path)
    await api.call(None, "GET", f"/jobs/{job_id}")

    counts = responses(await scrape(api))

    assert counts == {
        ("POST", "/jobs", "201"): 1,
        ("GET", "/jobs/{job_id}", "200"): 2,
        ("GET", "/jobs/{job_id}", "404"): 1,
        ("GET", "/jobs/{job_id}", "401"): 1,
        ("POST", "/jobs/{job_id}/cancel", "200"): 1,
        ("OPTIONS", "/jobs", "204"): 1,
        ("GET", "/jobs", "400"): 1,
        ("GET", "/livez", "200"): 1,
    }


async def test_nobody_makes_series_by_guessing_paths_and_methods(api):
    for number in range(20):
        await api.client.get(f"/nothing/{number}")
        await api.client.get(f"/jobs/{number}")
        await api.client.request(f"FOO{number}", "/jobs")
        await api.client.request("TRACE", f"/{number}")

    samples = await scrape(api)

    assert responses(samples) == {
        ("GET", "unmatched", "404"): 40,
        ("other", "unmatched", "405"): 20,
        ("other", "unmatched", "404"): 20,
    }
    assert {key[2] for key in samples if key[0] == "jobhub_http_request_seconds_count"} == {"unmatched"}


async def test_a_request_adds_its_seconds_to_those_of_its_route(api):
    await api.client.get("/readyz")

    samples = await scrape(api)

    assert samples["jobhub_http_request_seconds_count", "GET", "/readyz"] == 1
    assert 0 < samples["jobhub_http_request_seconds_sum", "GET", "/readyz"] < 60


async def test_the_queue_is_counted_by_job_type(api, alice, admin, sql):
    worker_id = factories.make_worker(sql, lease_seconds=12)
    factories.make_worker(sql, lease_seconds=-5)
    later = sql.execute("SELECT now() + interval '1 hour' AS at").fetchone().at
    longest = sql.execute("SELECT now() - interval '90 s' AS at").fetchone().at
    factories.make_job(sql, alice)
    factories.make_job(sql, alice, due_at=longest)
    factories.make_job(sql, alice, scheduled_for=later)
    factories.make_job(sql, alice, status=JobStatus.RUNNING, worker_id=worker_id)
    factories.make_job(sql, alice, job_type="gone.since", scheduled_for=later)
    sql.execute("UPDATE workers SET loop_lag_ms = 250 WHERE id = %s", [worker_id])

    samples = await scrape(api)

    pending = {key[1:]: count for key, count in samples.items() if key[0] == "jobhub_jobs_pending"}
    assert {key: count for key, count in pending.items() if count} == {
        ("test.echo", "due"): 2,
        ("test.echo", "scheduled"): 1,
        ("unknown", "scheduled"): 1,
    }
    assert pending["test.sleep", "due"] == 0
    assert samples["jobhub_jobs_running", "test.echo"] == 1
    assert 90 <= samples["jobhub_oldest_due_seconds",] < 900
    assert (samples["jobhub_workers", "live"], samples["jobhub_workers", "stopping"], samples["jobhub_workers", "lost"]) == (1, 0, 1)
    assert samples["jobhub_worker_slots",] == 10
    assert 0 < samples["jobhub_worker_lease_seconds",] <= 12
    assert samples["jobhub_worker_loop_lag_seconds",] == 0.25
    assert samples["jobhub_deliveries_total",] >= 2
    assert samples["jobhub_database_up",] == 1


async def test_an_idle_queue_has_figures_too(api):
    samples = await scrape(api)

    assert samples["jobhub_oldest_due_seconds",] == 0
    assert samples["jobhub_jobs_pending", "test.echo", "due"] == 0
    assert samples["jobhub_workers", "live"] == 0
    assert ("jobhub_worker_lease_seconds",) not in samples
    assert samples["jobhub_pool_connections_max",] == application.POOL_SIZE
    assert samples["jobhub_pool_connections", "busy"] == 0
    assert samples["jobhub_pool_connections", "idle"] >= 1


def end_attempt(connection, user, outcome="completed", **columns) -> None:
    """A job with one attempt that ends now, by the clock of the connection's transaction."""
    worker_id = factories.new_id()
    status = JobStatus.FAILED if outcome == "failed" else JobStatus.COMPLETED
    job_id = factories.make_job(connection, user, status=status, worker_id=worker_id, **columns)
    error = ("boom", "It went boom.") if outcome == "failed" else (None, None)
    connection.execute(
        "INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, outcome, error_code, error_message)"
        " VALUES (%s, 1, %s, now(), now(), %s, %s, %s)",
        [job_id, worker_id, outcome, *error],
    )


def ended(samples: dict[tuple, float]) -> dict[tuple, float]:
    """(job type, outcome): how many attempts."""
    return {key[1:]: count for key, count in samples.items() if key[0] == "jobhub_attempts_total"}


async def test_attempts_are_counted_once_each_from_the_first_scrape_on(api, alice, sql, at_once):
    end_attempt(sql, alice)
    first = await scrape(api)
    end_attempt(sql, alice)
    end_attempt(sql, alice, "failed")
    end_attempt(sql, alice, job_type="gone.since")
    second = await scrape(api)
    third = await scrape(api)

    assert set(ended(first).values()) == {0}
    assert {key[1] for key in ended(first)} == {str(outcome) for outcome in AttemptOutcome}
    assert {key: count for key, count in ended(second).items() if count} == {
        ("test.echo", "completed"): 1,
        ("test.echo", "failed"): 1,
        ("unknown", "completed"): 1,
    }
    assert second["jobhub_finish_statements_total",] == 3
    assert ended(third) == ended(second)


async def test_an_attempt_whose_commit_comes_late_is_counted_once(api, alice, dsn, sql, monkeypatch):
    """Its time is when its transaction began: a scrape in between must not have counted beyond that."""
    monkeypatch.setattr(figures, "CACHE_SECONDS", 0)
    monkeypatch.setattr(figures, "COMMIT_LAG", timedelta(seconds=1))
    await scrape(api)
    with psycopg.connect(dsn, row_factory=psycopg.rows.namedtuple_row) as other:
        end_attempt(other, alice)
        before = await scrape(api)
        other.commit()

    counts = []
    async with asyncio.timeout(BOUND_SECONDS):
        while not counts or counts[-1] == 0:
            counts.append(ended(await scrape(api))["test.echo", "completed"])
    end_attempt(sql, alice, "failed")
    async with asyncio.timeout(BOUND_SECONDS):
        while ended(after := await scrape(api))["test.echo", "failed"] == 0:
            pass

    assert ended(before)["test.echo", "completed"] == 0
    assert ended(after)["test.echo", "completed"] == 1


async def test_what_ended_while_nobody_scraped_for_long_is_left_out(api, alice, sql, at_once, monkeypatch):
    await scrape(api)
    end_attempt(sql, alice)
    monkeypatch.setattr(figures, "MAX_SPAN", timedelta(0))
    await scrape(api)
    monkeypatch.setattr(figures, "MAX_SPAN", timedelta(minutes=5))
    end_attempt(sql, alice)

    assert ended(await scrape(api))["test.echo", "completed"] == 1


async def test_claims_and_the_outcomes_recorded_together_are_counted_by_statement(api, alice, sql, at_once):
    await scrape(api)
    with sql.transaction():
        worker_id = factories.make_worker(sql)
        jobs = [factories.make_job(sql, alice, status=JobStatus.COMPLETED, worker_id=worker_id) for _ in range(5)]
        sql.execute("INSERT INTO claims (worker_id, job_ids) VALUES (%s, %s)", [worker_id, jobs])
        sql.execute(
            "INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, outcome)"
            " SELECT id, 1, %s, now(), now(), 'completed' FROM unnest(%s::uuid[]) AS id",
            [worker_id, jobs],
        )

    samples = await scrape(api)

    assert ended(samples)["test.echo", "completed"] == 5
    assert samples["jobhub_finish_statements_total",] == 1
    assert samples["jobhub_claim_statements_total",] == 1


async def test_scrapes_at_once_share_one_look(api, monkeypatch):
    looks = 0
    look = figures.FigureReader._look

    async def counting(reader):
        nonlocal looks
        looks += 1
        return await look(reader)

    monkeypatch.setattr(figures.FigureReader, "_look", counting)

    await asyncio.gather(*(scrape(api) for _ in range(20)))

    assert looks == 1


@pytest.mark.parametrize("port", ["closed_port", "silent_port"])
async def test_without_a_database_it_says_so_in_time(request, registry, port):
    async with api_on(request.getfixturevalue(port), registry) as api:
        samples = await scrape(api)

    assert samples["jobhub_database_up",] == 0
    assert not any(key[0].startswith(("jobhub_jobs", "jobhub_workers", "jobhub_attempts")) for key in samples)
    assert ("jobhub_pool_connections", "busy") in samples


async def test_an_unmigrated_database_is_down(empty_dsn, registry):
    async with api_on(empty_dsn, registry) as api:
        assert (await scrape(api))["jobhub_database_up",] == 0


async def test_a_database_that_does_not_answer_in_time_is_down_until_it_does(api, alice, sql, at_once):
    await scrape(api)
    with sql.transaction():
        sql.execute("LOCK TABLE job_attempts")
        locked = await scrape(api)
    end_attempt(sql, alice)
    freed = await scrape(api)

    assert (locked["jobhub_database_up",], freed["jobhub_database_up",]) == (0, 1)
    assert ended(freed)["test.echo", "completed"] == 1


@pytest.mark.parametrize("token", ["s3cret", "geheim für alle"])
async def test_where_a_token_is_set_nothing_else_opens_it(dsn, registry, admin, token):
    wrong = ["", "Bearer", "Bearer wrong", f"Basic {token}", f"Bearer {token}x", f"Bearer {factories.token(admin)}", "Bearer \xff"]
    async with serving(dsn, registry, token=token) as api:
        refused = [await api.client.get("/metrics", headers=[(b"authorization", value.encode())]) for value in wrong]
        without = await api.client.get("/metrics")
        headed = await api.client.head("/metrics")
        opened = await api.client.get("/metrics", headers=[(b"authorization", f"Bearer {token}".encode())])

    assert {response.status_code for response in (*refused, without, headed)} == {401}
    assert all("www-authenticate" in response.headers for response in (*refused, without))
    assert all("jobhub_" not in response.text for response in refused)
    assert opened.status_code == 200
    assert opened.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"


async def test_every_figure_is_documented_and_every_documented_one_is_there(api):
    text = (await api.client.get("/metrics")).text
    told = set(re.findall(r"^# TYPE (jobhub_\w+)", text, re.MULTILINE))

    documented = set(re.findall(r"\bjobhub_[a-z_]+\b", OPERATIONS.read_text(encoding="utf-8"))) - {"jobhub_report"}  # a role

    assert told
    assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in documented} == told


async def test_the_next_scrape_comes_from_memory(api, alice, sql, monkeypatch):
    monkeypatch.setattr(figures, "CACHE_SECONDS", 3600)
    first = await scrape(api)
    factories.make_job(sql, alice)
    second = await scrape(api)

    assert second["jobhub_jobs_pending", "test.echo", "due"] == first["jobhub_jobs_pending", "test.echo", "due"] == 0
