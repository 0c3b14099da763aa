"""Statistics are right to the edge of their window, in any state of the fold, and as exact as they say."""

import asyncio
import math
import random
from datetime import UTC, datetime, timedelta

import pytest

from jobhub.domain.histogram import BUCKET_SECONDS
from jobhub.domain.spans import begin_of, spans_since
from jobhub.services import insight
from jobhub.services.insight import Window
from jobhub.store import reports as store
from jobhub.store.rollups import fold_job_stats
from tests.store.test_rollups import fold_all

RANDOM = random.Random(7)
# Lengths of time in seconds that are awkward for buckets that grow by a tenth: names and lengths.
DISTRIBUTIONS = {
    "one": [3.3],
    "two far apart": [0.004, 4000.0],
    "the same": [1.0] * 50,
    "edges of buckets": [0.001 * 1.1**n for n in range(0, 150, 3)],
    "just below the edges": [math.nextafter(0.001 * 1.1**n, 0) for n in range(1, 150, 3)],
    "even": [n / 7 for n in range(1, 1000)],
    "two humps": [0.02] * 500 + [300.0] * 499,
    "a long tail": [RANDOM.lognormvariate(-3, 2.5) for _ in range(2000)],
    "a very long tail": [0.01 * RANDOM.paretovariate(0.7) for _ in range(2000)],
    "days": [86400.0 * n for n in range(1, 40)],
    "below a millisecond": [RANDOM.uniform(0, 0.0009) for _ in range(100)],
}


def record_attempts(sql, owner, lengths: list[float]) -> None:
    """A completed job and attempt for each: it waited so long, and ran ten times as long."""
    sql.execute(
        """
        WITH given AS (SELECT gen_random_uuid() AS id, length FROM unnest(%s::float8 []) AS length),
        made AS (
            INSERT INTO jobs (id, owner_id, job_type, queue, title, parameters, due_at, status, attempt, completed_at)
            SELECT id, %s, 'test.echo', 'default', 'x', '{}', now(), 'completed', 1, now() FROM given
        )
        INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, ended_at, outcome)
        SELECT id, 1, id, now() - 11 * make_interval(secs => length), now() - 10 * make_interval(secs => length), now(), 'completed'
        FROM given
        """,
        [lengths, owner.id],
    )


def exact_percentiles(sql, length: str) -> dict[str, float]:
    row = sql.execute(
        f"SELECT percentile_cont(ARRAY[0.5, 0.95, 0.99]) WITHIN GROUP (ORDER BY extract(EPOCH FROM {length})) AS p, "
        f"extract(EPOCH FROM avg({length}))::float8 AS average FROM job_attempts"
    ).fetchone()
    return {"average": row.average, "p50": row.p[0], "p95": row.p[1], "p99": row.p[2]}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
async def test_percentiles_are_within_five_percent_and_the_average_is_exact(db, sql, alice, name):
    record_attempts(sql, alice, DISTRIBUTIONS[name])
    sql.execute("SELECT count_history_into_stats()")

    figures = await insight.statistics(db, Window.HOUR)

    for found, length in (
        (figures.waiting_seconds, "started_at - due_at"),
        (figures.processing_seconds, "ended_at - started_at"),
        (figures.by_type[0].waiting_seconds, "started_at - due_at"),
    ):
        expected = exact_percentiles(sql, length)
        assert found.average == pytest.approx(expected["average"], rel=1e-6, abs=1e-6)
        for share in ("p50", "p95", "p99"):
            assert getattr(found, share) == pytest.approx(expected[share], rel=0.05, abs=0.0005), share


def test_a_bucket_stands_for_lengths_within_five_percent(sql):
    row = sql.execute(
        """
        SELECT
            max(abs(stat_bucket_seconds(stat_bucket(length)) / length - 1)) AS worst,
            bool_and(stat_bucket(length) <= 300) AS fits
        FROM (SELECT 0.001 * power(10, n / 1000.0) AS length FROM generate_series(0, 11999) AS n) AS given
        """
    ).fetchone()

    assert row.worst < 0.05
    assert row.fits


@pytest.mark.parametrize(
    ("length", "bucket"), [("0", 0), ("-5", 0), ("0.00099", 0), ("0.001", 1), ("1e9", 300), ("'infinity'", 300), ("NULL", None)]
)
def test_every_length_has_a_bucket(sql, length, bucket):
    assert sql.execute(f"SELECT stat_bucket({length}::float8) AS bucket").fetchone().bucket == bucket


def test_buckets_stand_for_the_same_in_sql_and_in_python(sql):
    in_sql = sql.execute(
        "SELECT array_agg(stat_bucket_seconds(n::smallint) ORDER BY n) AS seconds FROM generate_series(0, 300) AS n"
    ).fetchone()

    assert in_sql.seconds == pytest.approx(BUCKET_SECONDS, rel=1e-12)


@pytest.mark.parametrize(
    ("buckets", "counts", "histogram"),
    [([2, 0], [5, 7], [7, 0, 5]), ([], [], []), ([0, 9], [1, 0], [1]), ([300], [2**40], [0] * 300 + [2**40])],
)
def test_a_histogram_has_a_count_for_each_bucket_up_to_the_last(sql, buckets, counts, histogram):
    made = sql.execute("SELECT stat_histogram(%s::smallint[], %s::bigint[]) AS histogram", [buckets, counts]).fetchone().histogram

    assert made == histogram


def test_histograms_of_any_length_are_added_up(sql):
    row = sql.execute("SELECT stat_histogram_sum('{1,2,3}', '{10}') AS shorter, stat_histogram_sum('{}', '{0,4}') AS empty").fetchone()

    assert (row.shorter, row.empty) == ([11, 2, 3], [0, 4])


EDGES = [
    (Window.HOUR, timedelta(hours=1), timedelta(minutes=1)),
    (Window.DAY, timedelta(days=1), timedelta(hours=1)),
    (Window.WEEK, timedelta(days=7), timedelta(hours=6)),
    (Window.MONTH, timedelta(days=30), timedelta(days=1)),
]


def finish_at(sql, *moments: datetime) -> None:
    for moment in moments:
        sql.execute(
            "INSERT INTO job_stat_changes (at, job_type, status, jobs) VALUES (%s, 'test.echo', 'completed', 1),"
            " (%s, 'test.echo', 'cancelled', 1)",
            [moment, moment],
        )
        sql.execute(
            "INSERT INTO job_stat_changes (at, job_type, status, error_code, jobs) VALUES (%s, 'test.echo', 'failed', 'boom', 1)", [moment]
        )


@pytest.mark.parametrize("are_folded", [False, True], ids=["unfolded", "folded"])
@pytest.mark.parametrize(("window", "back", "bucket"), EDGES, ids=[window for window, _, _ in EDGES])
async def test_a_window_begins_with_the_bucket_in_which_its_length_ends(db, sql, window, back, bucket, are_folded):
    now = sql.execute("SELECT now() AS now").fetchone().now
    origin = datetime(2000, 1, 1, tzinfo=UTC)
    begins_at = now - back - (now - back - origin) % bucket
    finish_at(sql, begins_at - timedelta(microseconds=1), begins_at, now)
    if are_folded:
        await fold_all(db)

    figures = await insight.statistics(db, window)

    assert (figures.counts.completed, figures.counts.failed, figures.counts.cancelled) == (2, 2, 2)
    assert [(failure.error_code, failure.count) for failure in figures.failures] == [("boom", 2)]
    filled = [slot for slot in figures.throughput if slot.completed]
    assert figures.throughput[0].at == begins_at
    assert [(slot.completed, slot.failed, slot.cancelled) for slot in filled] == [(1, 1, 1)] * 2
    assert filled[0].at == begins_at


# How long attempts of a type wait, in seconds; they run twice as long.
OF_TYPE = {"test.fast": 1.0, "test.slow": 4.0}


async def test_what_is_taken_away_again_is_in_no_figure_of_a_window(db, sql):
    """A window from 8:11 to 9:11 has the hour from 8:00, less ten minutes and one: here, whatever the clock says."""
    eight = begin_of(datetime.now(UTC), timedelta(days=1)) - timedelta(hours=16)
    since = eight + timedelta(minutes=11)
    moments = [eight + timedelta(minutes=minutes) for minutes in (5, 10, 11, 59, 65)]
    finish_at(sql, *moments)
    for moment in moments:
        for job_type, seconds in OF_TYPE.items():
            sql.execute(
                "INSERT INTO job_stat_changes (at, job_type, status, error_code, jobs, outcome, attempts, waiting_microseconds,"
                " processing_microseconds, waiting_buckets, processing_buckets)"
                " VALUES (%(at)s, %(type)s, 'failed', 'boom', 1, 'failed', 1, %(seconds)s * 1e6, 2e6 * %(seconds)s,"
                " ARRAY[stat_bucket(%(seconds)s)], ARRAY[stat_bucket(2 * %(seconds)s)])",
                {"at": moment, "type": job_type, "seconds": seconds},
            )
    await fold_all(db)
    window = store.Window(since=since, spans=spans_since(since, now=since + timedelta(hours=1)))
    assert {span.sign for span in window.spans} == {1, -1}

    finished = await store.count_finished(db, window)
    of_all, of_types = await store.measure_attempts(db, window)

    assert [(one.completed, one.failed, one.cancelled) for one in finished] == [(3, 3, 3), (0, 3, 0), (0, 3, 0)]
    assert [(one.waiting_seconds, one.processing_seconds) for one in finished] == [(0, 0), (3, 6), (12, 24)]
    assert [(failure.error_code, failure.count) for failure in await store.count_failures(db, window)] == [("boom", 9)]
    for measured, lengths in ((of_types["test.fast"], [1.0]), (of_types["test.slow"], [4.0]), (of_all, [1.0, 4.0])):
        assert held(measured.waiting) == [(pytest.approx(length, rel=0.05), 3) for length in lengths]
        assert held(measured.processing) == [(pytest.approx(2 * length, rel=0.05), 3) for length in lengths]


def held(histogram) -> list[tuple[float, int]]:
    return [(BUCKET_SECONDS[bucket], count) for bucket, count in enumerate(histogram) if count]


@pytest.mark.parametrize("are_folded", [False, True], ids=["unfolded", "folded"])
async def test_all_time_has_what_is_older_than_any_chart(db, sql, are_folded):
    now = sql.execute("SELECT now() AS now").fetchone().now
    finish_at(sql, now - timedelta(days=1500), now - timedelta(days=900), now)
    if are_folded:
        await fold_all(db)

    figures = await insight.statistics(db, Window.ALL)

    assert figures.counts.completed == 3
    assert len(figures.throughput) == 1000
    assert sum(slot.completed for slot in figures.throughput) == 2


async def test_a_type_of_which_all_finishes_were_taken_back_is_not_listed(db, sql):
    now = sql.execute("SELECT now() AS now").fetchone().now
    finish_at(sql, now)
    sql.execute(
        "INSERT INTO job_stat_changes (at, job_type, status, error_code, jobs)"
        " SELECT at, job_type, status, error_code, -1 FROM job_stat_changes"
    )
    await fold_all(db)

    figures = await insight.statistics(db, Window.DAY)

    assert (figures.by_type, figures.failures, figures.success_rate) == ([], [], None)


@pytest.mark.parametrize("are_folded", [False, True], ids=["unfolded", "folded"])
async def test_failures_by_type_are_counted_in_the_windows_of_the_statistics(db, sql, are_folded):
    now = sql.execute("SELECT now() AS now").fetchone().now
    begins = {window: begin_of(now - back, bucket) for window, back, bucket in EDGES}
    for window in (Window.HOUR, Window.DAY, Window.WEEK):
        finish_at(sql, begins[window], begins[window] - timedelta(microseconds=1))
    if are_folded:
        await fold_all(db)

    [found] = await insight.failures_by_type(db)

    assert (found.job_type, found.error_code, found.within_hour, found.within_day, found.within_week) == ("test.echo", "boom", 1, 3, 5)
    assert found.latest_at == begins[Window.HOUR]


async def test_a_failure_that_was_retried_counts_no_more_and_is_not_the_latest(db, sql):
    now = sql.execute("SELECT now() AS now").fetchone().now
    finish_at(sql, now - timedelta(hours=30))
    sql.execute(
        "INSERT INTO job_stat_changes (at, job_type, status, error_code, jobs) VALUES"
        " (%(at)s, 'test.echo', 'failed', 'boom', 1), (%(at)s, 'test.echo', 'failed', 'boom', -1),"
        " (%(at)s, 'test.echo', 'failed', 'gone', 1), (%(at)s, 'test.echo', 'failed', 'gone', -1)",
        {"at": now},
    )
    await fold_all(db)

    [found] = await insight.failures_by_type(db)

    assert (found.error_code, found.within_hour, found.within_day, found.within_week) == ("boom", 0, 0, 1)
    assert found.latest_at == begin_of(now - timedelta(hours=30), timedelta(hours=6))


async def test_one_answer_is_of_one_moment_whoever_finishes_and_folds_meanwhile(db, sql):
    """Counts, buckets and codes are read one after the other: read from different moments, they would differ."""
    ended = asyncio.Event()

    async def finish_and_fold() -> None:
        while not ended.is_set():
            await asyncio.to_thread(finish_at, sql, datetime.now(UTC))
            await fold_job_stats(db)

    finishing = asyncio.create_task(finish_and_fold())
    try:
        answers = [await insight.statistics(db, Window.HOUR) for _ in range(40)]
    finally:
        ended.set()
        await finishing

    for figures in answers:
        in_buckets = sum(slot.failed for slot in figures.throughput)
        by_code = sum(failure.count for failure in figures.failures)
        assert in_buckets == by_code == figures.counts.failed == sum(entry.counts.failed for entry in figures.by_type)
    assert answers[-1].counts.failed > answers[0].counts.failed
