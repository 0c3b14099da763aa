"""What administrators see and do; that nobody else can."""

import asyncio

import httpx
import pytest

from jobhub.app import create_litestar
from jobhub.domain.jobs import JobStatus, Verb
from jobhub.domain.lifecycle import is_allowed
from jobhub.services.insight import Thresholds
from jobhub.store import reports
from jobhub.store.rollups import fold_job_stats
from jobhub.web.edge import Edge
from tests.conftest import running_lifespan
from tests.factories import KEYS, Api, job_row, make_job, make_worker

DURATIONS = {"average", "p50", "p95", "p99"}
NOTHING = dict.fromkeys(DURATIONS)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/jobs/admin/all"),
        ("GET", "/jobs/admin/statistics"),
        ("GET", "/jobs/admin/queue-status"),
        ("POST", "/jobs/admin/01890a5d-0000-7000-8000-0000deadbeef/force-complete"),
        ("DELETE", "/jobs/admin/cleanup"),
        ("PUT", "/jobs/admin/01890a5d-0000-7000-8000-0000deadbeef/pin"),
        ("DELETE", "/jobs/admin/01890a5d-0000-7000-8000-0000deadbeef/pin"),
        ("GET", "/users"),
        ("POST", "/users"),
        ("PATCH", "/users/01890a5d-0000-7000-8000-0000deadbeef"),
    ],
)
async def test_administration_is_closed_to_users(api, alice, method, path):
    response = await api.call(alice, method, path, {} if method in ("POST", "PATCH") else ...)

    assert (response.status_code, response.json()["code"]) == (403, "administrators_only")


@pytest.mark.parametrize("status", list(JobStatus))
async def test_force_complete_is_a_200_where_it_is_allowed_and_a_409_elsewhere(api, alice, admin, sql, status):
    job_id = make_job(sql, alice, status=status)
    before = job_row(sql, job_id)

    body = {"result": {"by": "hand"}, "reason": "the customer rang"}
    response = await api.call(admin, "POST", f"/jobs/admin/{job_id}/force-complete", body)

    if not is_allowed(Verb.FORCE_COMPLETE, status):
        assert (response.status_code, response.json()["job_status"]) == (409, status)
        assert job_row(sql, job_id) == before
        return
    job = response.json()
    assert response.status_code == 200
    assert (job["status"], job["result"], job["progress_percentage"]) == ("completed", {"by": "hand"}, 100)
    assert (job["error_code"], job["error_message"], job["version"]) == (None, None, 2)
    assert sql.execute("SELECT id FROM procrastinate_jobs").fetchall() == []
    audit = sql.execute("SELECT * FROM audit_log").fetchone()
    assert (audit.actor_id, audit.verb, audit.reason, audit.details) == (admin.id, "force_complete", "the customer rang", {"from": status})


@pytest.mark.parametrize("body", [..., b"", {}, {"result": None}])
async def test_force_complete_needs_no_result(api, alice, admin, sql, body):
    job_id = make_job(sql, alice)

    response = await api.call(admin, "POST", f"/jobs/admin/{job_id}/force-complete", body)

    assert (response.status_code, response.json()["result"]) == (200, None)


async def test_a_superseded_attempt_stays_on_record(api, alice, admin, sql):
    job_id = make_job(sql, alice, status="running")

    await api.call(admin, "POST", f"/jobs/admin/{job_id}/force-complete", {})

    [attempt] = (await api.call(alice, "GET", f"/jobs/{job_id}/attempts")).json()
    assert (attempt["outcome"], attempt["ended_at"] is not None) == ("superseded", True)


async def test_statistics_of_nothing_are_null(api, admin):
    for window in ("1h", "24h", "7d", "30d", "all"):
        response = await api.call(admin, "GET", f"/jobs/admin/statistics?window={window}")

        figures = response.json()
        generated_at, throughput = figures.pop("generated_at"), figures.pop("throughput")
        assert generated_at.endswith("Z")
        assert figures == {
            "window": window,
            "counts": dict.fromkeys(JobStatus, 0),
            "success_rate": None,
            "failure_rate": None,
            "processing_seconds": NOTHING,
            "waiting_seconds": NOTHING,
            "by_type": [],
            "failures": [],
            "oldest_pending_seconds": None,
        }
        assert sum(bucket["completed"] + bucket["failed"] + bucket["cancelled"] for bucket in throughput) == 0
        assert len(throughput) == {"1h": 61, "24h": 25, "7d": 29, "30d": 31, "all": 0}[window]


@pytest.mark.parametrize("are_folded", [False, True], ids=["unfolded", "folded"])
async def test_statistics_of_known_jobs_are_known_numbers(api, alice, admin, sql, db, are_folded):
    for hours, status, fields in [
        (0.5, "completed", {}),
        (0.5, "completed", {}),
        (2, "completed", {"job_type": "test.sleep"}),
        (0.5, "failed", {"error_code": "boom"}),
        (3, "failed", {"error_code": "boom"}),
        (3, "failed", {"error_code": "bang"}),
        (0.5, "cancelled", {}),
        (50, "completed", {}),
    ]:
        job_id = make_job(sql, alice, status=status, **fields)
        sql.execute("UPDATE jobs SET completed_at = now() - make_interval(secs => %s) WHERE id = %s", [hours * 3600, job_id])
        took = 8 if status == "failed" else 4
        sql.execute("UPDATE jobs SET started_at = completed_at - make_interval(secs => %s) WHERE id = %s", [took, job_id])
        if status != "cancelled":
            sql.execute(
                "INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, ended_at, outcome, error_code, error_message)"
                " SELECT id, 1, worker_id, started_at - interval '3 s', started_at, completed_at,"
                " status::text::attempt_outcome, error_code, error_message FROM jobs WHERE id = %s",
                [job_id],
            )
    sql.execute("SELECT count_history_into_stats()")
    if are_folded:
        await fold_job_stats(db)
    make_job(sql, alice, status="running")
    pending = make_job(sql, alice)
    sql.execute("UPDATE jobs SET due_at = now() - interval '90 s' WHERE id = %s", [pending])

    hour, day, all_time = [
        (await api.call(admin, "GET", f"/jobs/admin/statistics?window={window}")).json() for window in ("1h", "24h", "all")
    ]

    assert day.keys() == {
        *("window", "generated_at", "counts", "success_rate", "failure_rate", "processing_seconds", "waiting_seconds", "throughput"),
        *("by_type", "failures", "oldest_pending_seconds"),
    }
    assert hour["counts"] == {"pending": 1, "running": 1, "completed": 2, "failed": 1, "cancelled": 1}
    assert day["counts"] == {"pending": 1, "running": 1, "completed": 3, "failed": 3, "cancelled": 1}
    assert all_time["counts"]["completed"] == 4
    assert (day["success_rate"], day["failure_rate"]) == (0.5, 0.5)
    assert hour["success_rate"] == pytest.approx(2 / 3)
    assert day["processing_seconds"] == pytest.approx({"average": 6, "p50": 6, "p95": 8, "p99": 8}, rel=0.05)
    assert day["waiting_seconds"] == pytest.approx({"average": 3, "p50": 3, "p95": 3, "p99": 3}, rel=0.05)
    assert (day["processing_seconds"]["average"], day["waiting_seconds"]["average"]) == (6, 3)
    assert day["failures"] == [{"error_code": "boom", "count": 2}, {"error_code": "bang", "count": 1}]
    assert [entry["job_type"] for entry in day["by_type"]] == ["test.echo", "test.sleep"]
    echo, sleep = day["by_type"]
    assert echo.keys() == {"job_type", "counts", "success_rate", "processing_seconds", "waiting_seconds"}
    assert (echo["counts"]["completed"], sleep["counts"]["completed"], sleep["success_rate"]) == (2, 1, 1)
    assert 89 < day["oldest_pending_seconds"] < 120
    for figures in (hour, day, all_time):
        totals = {name: sum(bucket[name] for bucket in figures["throughput"]) for name in ("completed", "failed", "cancelled")}
        assert totals == {name: figures["counts"][name] for name in totals}
        assert figures["throughput"][0].keys() == {"at", "completed", "failed", "cancelled"}
    assert len(all_time["throughput"]) in (3, 4)


@pytest.mark.parametrize("case", ["statistics", "queue-status"])
async def test_what_many_administrators_ask_at_once_is_read_for_all_of_them(api, admin, monkeypatch, case):
    reads = []
    oldest_due = reports.oldest_due

    async def slow(session):
        reads.append(case)
        await asyncio.sleep(0.5)
        return await oldest_due(session)

    monkeypatch.setattr(reports, "oldest_due", slow)
    answers = await asyncio.gather(*(api.call(admin, "GET", f"/jobs/admin/{case}") for _ in range(8)))

    assert [answer.status_code for answer in answers] == [200] * 8
    assert len(reads) < 8


async def test_the_window_of_statistics_is_a_day_unless_said_otherwise(api, admin):
    assert (await api.call(admin, "GET", "/jobs/admin/statistics")).json()["window"] == "24h"


CHECKS = ("database", "oldest_due_job", "live_workers", "promotion_lag", "rescue_lag")


def checks_of(status):
    return {check["name"]: check["ok"] for check in status["checks"]}


async def test_an_idle_queue_is_healthy_as_soon_as_a_worker_lives(api, admin, sql):
    before = (await api.call(admin, "GET", "/jobs/admin/queue-status")).json()
    make_worker(sql)
    after = (await api.call(admin, "GET", "/jobs/admin/queue-status")).json()

    assert before.keys() == {"healthy", "checks", "pending", "running", "workers"}
    assert (before["healthy"], before["workers"]) == (False, [])
    assert before["pending"] == {"total": 0, "due": 0, "scheduled": 0, "by_type": []}
    assert before["running"] == {"total": 0, "by_type": []}
    assert checks_of(before) == dict.fromkeys(CHECKS, True) | {"live_workers": False}
    assert before["checks"][0].keys() == {"name", "ok", "detail", "value", "threshold"}
    assert (after["healthy"], checks_of(after)) == (True, dict.fromkeys(CHECKS, True))


async def test_the_queue_status_counts_what_waits_and_what_runs(api, alice, admin, sql):
    later = sql.execute("SELECT now() + interval '1 h' AS at").fetchone().at
    worker_id = make_worker(sql)
    running = [make_job(sql, alice, status="running", worker_id=worker_id) for _ in range(2)]
    for fields in ({}, {}, {"scheduled_for": later}, {"job_type": "test.sleep"}):
        make_job(sql, alice, **fields)

    status = (await api.call(admin, "GET", "/jobs/admin/queue-status")).json()

    assert status["pending"] == {
        "total": 4,
        "due": 3,
        "scheduled": 1,
        "by_type": [{"job_type": "test.echo", "due": 2, "scheduled": 1}, {"job_type": "test.sleep", "due": 1, "scheduled": 0}],
    }
    assert status["running"] == {"total": 2, "by_type": [{"job_type": "test.echo", "running": 2}]}
    [worker] = status["workers"]
    lease = worker.pop("lease_seconds")
    assert 50 < lease <= 60
    assert worker.pop("started_at").endswith("Z")
    assert worker == {
        "id": str(worker_id),
        "host": "test",
        "pid": 1,
        "version": "0",
        "loop_lag_ms": 0,
        "concurrency": 10,
        "running": 2,
        "current_jobs": [str(job_id) for job_id in running],
        "alive": True,
    }


# (what is done to the database, the check that fails then)
UNHEALTHY = [
    ("UPDATE jobs SET due_at = now() - interval '59 s' WHERE status = 'pending'", None),
    ("UPDATE jobs SET due_at = now() - interval '61 s' WHERE status = 'pending'", "oldest_due_job"),
    (
        "WITH held AS (UPDATE procrastinate_jobs SET held = true)"
        " UPDATE jobs SET due_at = now() - interval '61 s' WHERE status = 'pending'",
        None,
    ),
    ("UPDATE jobs SET deliver_at = now() - interval '9 s', delivery_id = NULL WHERE status = 'pending'", None),
    ("UPDATE jobs SET deliver_at = now() - interval '11 s', delivery_id = NULL WHERE status = 'pending'", "promotion_lag"),
    ("UPDATE workers SET lease_until = now() - interval '18 s' WHERE pid = 2", None),
    ("UPDATE workers SET lease_until = now() - interval '21 s' WHERE pid = 2", "rescue_lag"),
    ("UPDATE workers SET lease_until = now() - interval '1 s'", "live_workers"),
]


@pytest.mark.parametrize(("change", "failing"), UNHEALTHY)
async def test_each_check_fails_beyond_its_threshold(api, alice, admin, sql, change, failing):
    make_worker(sql)
    second = make_worker(sql)
    sql.execute("UPDATE workers SET pid = 2 WHERE id = %s", [second])
    make_job(sql, alice)
    make_job(sql, alice, status="running", worker_id=second)
    sql.execute(change)

    status = (await api.call(admin, "GET", "/jobs/admin/queue-status")).json()

    assert [name for name, ok in checks_of(status).items() if not ok] == ([failing] if failing else [])
    assert status["healthy"] is (failing is None)


# (thresholds, the check that fails by them and by no others)
THRESHOLDS = [
    (Thresholds(), set()),
    (Thresholds(max_due_seconds=40), {"oldest_due_job"}),
    (Thresholds(max_promotion_seconds=3), {"promotion_lag"}),
    (Thresholds(max_rescue_seconds=10), {"rescue_lag"}),
    (Thresholds(min_workers=2), {"live_workers"}),
    (Thresholds(max_due_seconds=0, max_promotion_seconds=0, max_rescue_seconds=0, min_workers=9), set(CHECKS) - {"database"}),
]


@pytest.mark.parametrize(("healthy", "failing"), THRESHOLDS)
async def test_what_is_healthy_is_for_the_operator_to_say(dsn, registry, alice, admin, sql, healthy, failing):
    make_worker(sql)
    dead = make_worker(sql, lease_seconds=-15)
    make_job(sql, alice, status="running", worker_id=dead)
    make_job(sql, alice)
    sql.execute("UPDATE jobs SET due_at = now() - interval '50 s' WHERE status = 'pending'")
    late = make_job(sql, alice)
    sql.execute("UPDATE jobs SET deliver_at = now() - interval '5 s', delivery_id = NULL WHERE id = %s", [late])

    litestar = create_litestar(dsn=dsn, keys=KEYS, registry=registry, healthy=healthy)
    transport = httpx.ASGITransport(Edge(litestar))
    async with running_lifespan(litestar.lifespan), httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        status = (await Api(client).call(admin, "GET", "/jobs/admin/queue-status")).json()

    assert {name for name, ok in checks_of(status).items() if not ok} == failing
    assert status["healthy"] is not bool(failing)
    assert {check["name"]: check["threshold"] for check in status["checks"]} == {
        "database": None,
        "oldest_due_job": healthy.max_due_seconds,
        "promotion_lag": healthy.max_promotion_seconds,
        "rescue_lag": healthy.max_rescue_seconds,
        "live_workers": healthy.min_workers,
    }


@pytest.fixture
def old_jobs(sql, alice):
    """One job per status, finished 31 days ago where finished; and a completed one of 29 days."""
    ids = {status: make_job(sql, alice, status=status) for status in JobStatus}
    sql.execute(
        "UPDATE jobs SET created_at = now() - interval '32 days', completed_at = now() - interval '31 days' WHERE completed_at IS NOT NULL"
    )
    ids["recent"] = make_job(sql, alice, status="completed", job_type="test.sleep")
    sql.execute("UPDATE jobs SET completed_at = now() - interval '29 days' WHERE id = %s", [ids["recent"]])
    return ids


# (query, what goes, what the answer counts)
CLEAN_UPS = [
    ("", {"completed"}, {"test.echo": 1}),
    ("days_old=30&include=completed", {"completed"}, {"test.echo": 1}),
    ("include=cancelled", {"completed", "cancelled"}, {"test.echo": 2}),
    ("include=cancelled&include=completed", {"completed", "cancelled"}, {"test.echo": 2}),
    ("days_old=0", {"completed", "recent"}, {"test.echo": 1, "test.sleep": 1}),
    ("days_old=0&include=cancelled", {"completed", "recent", "cancelled"}, {"test.echo": 2, "test.sleep": 1}),
    ("days_old=32", set(), {}),
    ("days_old=36500", set(), {}),
]


@pytest.mark.parametrize(("query", "gone", "by_type"), CLEAN_UPS)
async def test_a_clean_up_removes_what_is_old_and_never_a_failed_job(api, admin, sql, old_jobs, query, gone, by_type):
    rehearsal = await api.call(admin, "DELETE", f"/jobs/admin/cleanup?dry_run=true&{query}".rstrip("&"))
    untouched = len(sql.execute("SELECT FROM jobs").fetchall()) == len(old_jobs)
    response = await api.call(admin, "DELETE", f"/jobs/admin/cleanup?{query}".rstrip("?"))

    answer = response.json()
    left = {row.id for row in sql.execute("SELECT id FROM jobs").fetchall()}
    assert {name for name, job_id in old_jobs.items() if job_id not in left} == gone
    assert answer.keys() == {"deleted", "by_type", "cutoff", "dry_run"}
    assert (answer["deleted"], answer["by_type"], answer["dry_run"]) == (len(gone), by_type, False)
    assert untouched
    assert rehearsal.json() | {"cutoff": None, "dry_run": False} == answer | {"cutoff": None}


async def test_a_clean_up_is_on_record_and_a_rehearsal_is_not(api, admin, sql, old_jobs):
    await api.call(admin, "DELETE", "/jobs/admin/cleanup?dry_run=true")
    response = await api.call(admin, "DELETE", "/jobs/admin/cleanup")

    [audit] = sql.execute("SELECT * FROM audit_log").fetchall()
    assert (audit.actor_id, audit.verb, audit.request_id) == (admin.id, "clean_up", response.headers["x-request-id"])
    assert (audit.details["deleted"], audit.details["statuses"]) == ({"test.echo": 1}, ["completed"])


async def test_a_clean_up_takes_attempts_along_and_goes_on_until_nothing_is_left(api, alice, admin, sql):
    sql.execute(
        "WITH old AS (INSERT INTO jobs (id, owner_id, job_type, queue, title, parameters, due_at, status, created_at, completed_at)"
        " SELECT gen_random_uuid(), %s, 'test.echo', 'default', 'x', '{}', now(), 'completed',"
        " now() - interval '41 days', now() - interval '40 days'"
        " FROM generate_series(1, 2500) RETURNING id)"
        " INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, outcome)"
        " SELECT id, 1, gen_random_uuid(), now(), now(), 'completed' FROM old",
        [alice.id],
    )

    response = await api.call(admin, "DELETE", "/jobs/admin/cleanup")

    assert response.json()["deleted"] == 2500
    assert sql.execute("SELECT FROM jobs UNION ALL SELECT FROM job_attempts").fetchall() == []


async def test_a_clean_up_while_another_runs_is_refused_and_works_afterwards(api, admin, sql, old_jobs):
    sql.execute("SELECT pg_advisory_lock(7203641858)")

    refused = await api.call(admin, "DELETE", "/jobs/admin/cleanup")
    sql.execute("SELECT pg_advisory_unlock(7203641858)")
    accepted = [await api.call(admin, "DELETE", "/jobs/admin/cleanup") for _ in range(2)]

    assert (refused.status_code, refused.json()["code"]) == (409, "clean_up_in_progress")
    assert [answer.json()["deleted"] for answer in accepted] == [1, 0]
