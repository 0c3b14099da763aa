"""Lists of jobs over HTTP: filters, pages, cursors; the same for users and administrators."""

from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import pytest

from jobhub.domain.errors import InvalidInput
from jobhub.services.listing import PageRequest, list_jobs
from jobhub.services.tokens import Keys
from jobhub.store import database
from jobhub.store.matching import JobFilter
from tests.factories import KEYS, make_job, make_worker

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


async def ids(api, user, query="", path="/jobs"):
    response = await api.call(user, "GET", f"{path}?{query}" if query else path)
    assert response.status_code == 200, response.text
    return [job["id"] for job in response.json()["jobs"]]


@pytest.fixture
def jobs(sql, alice, bob):
    """Five of Alice's, an hour apart, oldest first; one of Bob's."""
    fields = [
        {"status": "completed", "tags": ["a", "b"], "title": "one 100% sure"},
        {"status": "failed", "tags": ["a"], "title": "two under_score"},
        {"status": "running", "tags": ["b"], "job_type": "test.sleep", "title": "three \\ back"},
        {"status": "cancelled", "title": "four"},
        {"status": "pending", "job_type": "test.sleep", "title": "FIVE"},
    ]
    own = [str(make_job(sql, alice, created_at=NOON + timedelta(hours=hour), **given)) for hour, given in enumerate(fields)]
    return [*own, str(make_job(sql, bob, created_at=NOON, title="Bob's"))]


# (query, which of Alice's, oldest first)
FILTERS = [
    ("", [0, 1, 2, 3, 4]),
    ("status=completed", [0]),
    ("status=completed&status=running", [0, 2]),
    ("job_type=test.sleep", [2, 4]),
    ("job_type=test.sleep&job_type=test.echo", [0, 1, 2, 3, 4]),
    ("job_type=test.nothing", []),
    ("tag=a", [0, 1]),
    ("tag=a&tag=b", [0]),
    ("tag=c", []),
    ("created_after=2026-05-01T14:00:00Z", [2, 3, 4]),
    ("created_after=2026-05-01T16:00:00%2B02:00", [2, 3, 4]),
    ("created_before=2026-05-01T14:00:00Z", [0, 1]),
    ("created_after=2026-05-01t13:00:00.000z&created_before=2026-05-01T15:00:00Z", [1, 2]),
    ("created_after=2026-05-02T00:00:00Z&created_before=2026-05-01T00:00:00Z", []),
    ("status=failed&tag=a&job_type=test.echo", [1]),
    ("page=99", []),
    ("page=2&per_page=2", [1, 2]),
    ("page=3&per_page=2", [0]),
    ("page=10000&per_page=1", []),
    ("status=completed&job_type='; DROP TABLE jobs --", []),
]


async def test_every_filter_finds_the_right_jobs_newest_first(api, alice, jobs):
    for query, expected in FILTERS:
        assert await ids(api, alice, query.replace(" ", "%20")) == [jobs[number] for number in reversed(expected)], query


# (query, which jobs; 5 is Bob's)
ADMIN_FILTERS = [
    ("", {0, 1, 2, 3, 4, 5}),
    ("owner=BOB@example.org", {5}),
    ("owner=nobody@example.org", set()),
    ("owner=x", set()),
    ("q=five", {4}),
    ("q=100%25", {0}),
    ("q=%25", {0}),
    ("q=_", {1}),
    ("q=%5C", {2}),
    ("q=Bob%27s", {5}),
    ("q=(a%2B)%2B$", set()),
    ("q=o&status=cancelled", {3}),
    ("worker=01890a5d-0000-7000-8000-0000deadbeef", set()),
]


async def test_administrators_filter_everybodys_jobs(api, admin, alice, jobs):
    for query, expected in ADMIN_FILTERS:
        assert set(await ids(api, admin, query, "/jobs/admin/all")) == {jobs[number] for number in expected}, query
    assert set(await ids(api, admin, f"owner={alice.id}", "/jobs/admin/all")) == set(jobs[:5])


async def test_administrators_see_whose_a_job_is_and_who_runs_it(api, admin, alice, sql):
    worker_id = make_worker(sql)
    job_id = make_job(sql, alice, status="running", worker_id=worker_id)

    page = (await api.call(admin, "GET", f"/jobs/admin/all?worker={worker_id}")).json()

    [job] = page["jobs"]
    assert page["per_page"] == 50
    assert job["owner"] == {"id": str(alice.id), "email": "alice@example.org"}
    assert (job["id"], job["worker"]) == (str(job_id), str(worker_id))


async def test_a_list_of_nothing_has_no_pages(api, alice):
    page = (await api.call(alice, "GET", "/jobs")).json()

    assert (page["jobs"], page["total"], page["total_pages"], page["next_cursor"]) == ([], 0, 0, None)


@pytest.mark.parametrize("per_page", [1, 2, 5, 100])
async def test_following_the_cursor_meets_every_job_once(api, alice, jobs, sql, per_page):
    sql.execute("UPDATE jobs SET created_at = '2026-05-01T12:00:00.123456Z'")  # ids alone tell them apart
    seen, query = [], f"per_page={per_page}"
    while True:
        page = (await api.call(alice, "GET", f"/jobs?{query}")).json()
        seen += [job["id"] for job in page["jobs"]]
        if page["next_cursor"] is None:
            break
        query = f"per_page={per_page}&cursor={page['next_cursor']}"
        assert page["total"] == 5

    assert seen == sorted(jobs[:5], reverse=True)
    assert page["page"] == (None if per_page < 5 else 1)


async def test_a_cursor_survives_what_comes_in_meanwhile(api, alice, jobs):
    page = (await api.call(alice, "GET", "/jobs?per_page=2")).json()
    await api.submit(alice)

    assert await ids(api, alice, f"per_page=2&cursor={page['next_cursor']}") == [jobs[2], jobs[1]]


async def test_a_cursor_of_another_list_is_refused(api, alice, bob, admin, jobs):
    cursor = (await api.call(alice, "GET", "/jobs?per_page=1")).json()["next_cursor"]
    flipped = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    cases = [
        (bob, "/jobs?cursor=", cursor),
        (alice, "/jobs?status=failed&cursor=", cursor),
        (admin, "/jobs/admin/all?cursor=", cursor),
        (alice, "/jobs?cursor=", flipped),
        (alice, "/jobs?cursor=", cursor[:-1]),
        (alice, "/jobs?cursor=", cursor + "A"),
        (alice, "/jobs?cursor=", quote(cursor + "\n")),
    ]

    answers = [await api.call(user, "GET", path + value) for user, path, value in cases]

    assert [(answer.status_code, answer.json()["code"]) for answer in answers] == [(400, "invalid_cursor")] * len(cases)


async def test_the_total_is_exact_up_to_ten_thousand(api, alice, sql):
    sql.execute(
        "INSERT INTO jobs (id, owner_id, job_type, queue, title, parameters, due_at, status, completed_at)"
        " SELECT gen_random_uuid(), %s, 'test.echo', 'default', 'x', '{}', now(), 'completed', now() FROM generate_series(1, 10000)",
        [alice.id],
    )

    exact = (await api.call(alice, "GET", "/jobs?per_page=100&page=100")).json()
    make_job(sql, alice)
    capped = (await api.call(alice, "GET", "/jobs?per_page=100&page=100")).json()

    assert (exact["total"], exact["total_is_capped"], exact["total_pages"], exact["next_cursor"]) == (10_000, False, 100, None)
    assert (capped["total"], capped["total_is_capped"], capped["total_pages"]) == (10_000, True, 100)
    assert len(await ids(api, alice, f"cursor={capped['next_cursor']}&per_page=100")) == 1


async def test_a_cursor_signed_with_the_previous_key_is_good_until_that_is_dropped(db, alice, jobs):
    new = b"a newer key for tests, of more than 32 bytes"
    where, first = JobFilter(owner_id=alice.id), PageRequest(page=None, per_page=2)
    cursor = (await list_jobs(db, where, first, keys=KEYS)).next_cursor
    second = PageRequest(page=None, per_page=2, cursor=cursor)

    page = await list_jobs(db, where, second, keys=Keys(new, KEYS.current))
    assert page.jobs
    with pytest.raises(InvalidInput):
        await list_jobs(db, where, second, keys=Keys(new))


@pytest.mark.parametrize("path", ["/jobs?status=completed", "/jobs/admin/all?q=x"])
async def test_a_search_that_takes_too_long_says_what_to_narrow(api, admin, sql, monkeypatch, path):
    monkeypatch.setattr(database, "LISTING_SECONDS", 0.3)
    make_job(sql, admin, status="completed")
    sql.execute("ALTER TABLE jobs RENAME TO real_jobs")
    sql.execute("CREATE VIEW jobs AS SELECT real_jobs.* FROM real_jobs, pg_sleep(20)")

    answer = await api.call(admin, "GET", path)

    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, "filter_too_broad")
    assert "created_after" in problem["detail"]
    assert "Retry-After" not in answer.headers  # again would take as long again
