"""What a clean-up costs those who work meanwhile, how long its batches take, and whether tables that are filled and cleaned keep growing.

    .venv/bin/python -m bench.retention [--old 5000000] [--jobs 60000] [--rate 1000] [--cycles 3] [--cycle-jobs 300000] [--runs 5]
        [--data-dir DIR] [--fill]

One database gets --old finished jobs of one to thirty days, each with an attempt; 2 % of them failed and stay. One worker process drains
--jobs jobs that do nothing, --runs times, alone; then as often as a clean-up of the older half lasts; then --runs times alone again. The other
half is cleaned up while --rate jobs a second become due. On another database --cycle-jobs are filled in and all cleaned up again, --cycles
times, with autovacuum as it is set; then indexes that are nearly empty are made anew, as a worker does every night. What --data-dir keeps is
used up by a run.
"""

import argparse
import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import psycopg

from bench import run, starts
from bench.feeding import feeding
from bench.goals import at_most
from bench.peers import jobhub_peer
from bench.processes import Unmeasured, running_workers
from bench.server import Server
from bench.tables import Table, median, percentile, ratio
from jobhub.services.reindexing import reindex_daily
from jobhub.store.database import Database

TITLE = "Cleaning up beside the work"
QUICK = {"old": 100_000, "jobs": 20_000, "cycle_jobs": 20_000, "cycles": 1}
BATCH_MS = 200.0
SECONDS = 120.0  # a drain that is not done by then is not measured
CLEAN_UP_SECONDS = 3600.0
VACUUM_SECONDS = 300.0
SETTLE_SECONDS = 0.2
HALF_DAYS, ALL_DAYS = 15.5, 1.0  # how old the older half is, and how old all are
_PART = 250_000  # rows of a statement

_OLD = """
WITH made AS MATERIALIZED (
    SELECT uuidv7() AS id, n, CASE WHEN n %% 50 = 0 THEN 'failed' ELSE 'completed' END AS status,
        now() - interval '1 day' - make_interval(secs => (%(jobs)s - n) * 29 * 86400.0 / %(jobs)s) AS at
    FROM generate_series(%(first)s::bigint, %(last)s::bigint) AS n
),
stored AS (
    INSERT INTO jobs (id, owner_id, job_type, queue, title, parameters, status, due_at, attempt, failed_attempts, created_at, updated_at,
        started_at, completed_at, worker_id, error_code, error_message, progress_percentage, version)
    SELECT id, '00000000-0000-7000-8000-000000000001', 'bench.type' || n %% 20, 'default', 'Report ' || n, jsonb_build_object('n', n),
        status::job_status, at, 1, (status = 'failed')::integer, at - interval '2 s', at, at - interval '1 s', at, gen_random_uuid(),
        CASE status WHEN 'failed' THEN 'boom' END, CASE status WHEN 'failed' THEN 'It went boom.' END, 100, 3
    FROM made
)
INSERT INTO job_attempts (job_id, number, worker_id, due_at, started_at, ended_at, outcome, error_code, error_message)
SELECT id, 1, gen_random_uuid(), at - interval '2 s', at - interval '1 s', at, status::attempt_outcome,
    CASE status WHEN 'failed' THEN 'boom' END, CASE status WHEN 'failed' THEN 'It went boom.' END
FROM made
"""


# One vacuum is not enough where it began before the clean-up ended.
_TIDY = """
SELECT count(*) FROM pg_stat_user_tables
WHERE relname IN ('jobs', 'job_attempts') AND last_autovacuum > %s AND n_dead_tup < 1000 + n_live_tup / 10
"""
_WAITING = "SELECT count(*) FROM procrastinate_jobs"


class Batch(msgspec.Struct, frozen=True):
    """One batch of a clean-up: when it ended, how long it took, how many jobs it deleted."""

    at_ns: int
    milliseconds: float
    deleted: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--old", type=int, default=5_000_000, help="0 leaves this part out")
    parser.add_argument("--jobs", type=int, default=60_000, help="drained without and with a clean-up")
    parser.add_argument("--rate", type=int, default=1000, help="jobs a second beside the second half of the clean-up")
    parser.add_argument("--cycles", type=int, default=3, help="0 leaves this part out")
    parser.add_argument("--cycle-jobs", type=int, default=300_000)
    run.add_data_dir(parser)


def tables(server: Server, options: argparse.Namespace) -> Iterator[Table]:
    empty = server.template("jobhub-empty", jobhub_peer.prepare)
    if options.old:
        name = f"{options.old} old jobs"
        with server.kept(name, empty, lambda dsn: _fill_and_vacuum(dsn, options.old)) as dsn:
            if not options.fill:
                yield _beside_the_work(dsn, options)
                server.drop_kept(name)
    if options.cycles and not options.fill:
        with server.database(empty) as dsn:
            yield _cycles(dsn, options)


def _beside_the_work(dsn: str, options: argparse.Namespace) -> Table:
    alone = [_drain(dsn, options.jobs) for _ in range(options.runs)]
    beside: list[float] = []
    with TemporaryDirectory(prefix="jobhub-bench-") as directory:
        with _cleaner(dsn, HALF_DAYS, Path(directory) / "drains") as cleaner:
            while cleaner.poll() is None:
                beside.append(_drain(dsn, options.jobs))
                run.say(f"beside a clean-up {beside[-1]:,.0f} jobs/s")
        alone += [_drain(dsn, options.jobs) for _ in range(options.runs)]
        run.say(f"alone {median(alone)} jobs/s")
        with running_workers(jobhub_peer, dsn), feeding(dsn, options.rate), _cleaner(dsn, ALL_DAYS, Path(directory) / "rate") as cleaner:
            cleaner.wait(timeout=CLEAN_UP_SECONDS)
        drains, rate = (_read(Path(directory) / name) for name in ("drains", "rate"))
    # The last drain may have ended after the clean-up: it counts as beside it, and so does any pause between two drains.
    return Table(
        title=f"{TITLE}: {options.old:,} old jobs",
        command=f"python -m bench.retention --old {options.old} --jobs {options.jobs} --rate {options.rate} --runs {options.runs} --cycles 0",
        note=f"Batches look at 1,000 jobs each. One worker process drains {options.jobs:,} jobs alone at {median(alone)} jobs/s, beside the "
        f"clean-up, {len(beside)} times one after the other, at {median(beside)}: × {ratio(beside, alone)}.",
        header=["beside", "batches", "p50, ms", "p99, ms", "longest, ms", "longer than 200 ms", "jobs deleted", "minutes"],
        rows=[_row("drains", drains), _row(f"{options.rate:,} jobs/s", rate)],
        goals=[
            *at_most("drain beside a clean-up, how much slower", 1.2, "×", [statistics.median(alone) / statistics.median(beside)]),
            *at_most("batch of a clean-up beside drains, the longest", BATCH_MS, "ms", [_longest(drains)]),
            *at_most(f"batch of a clean-up beside {options.rate:,} jobs/s, the longest", BATCH_MS, "ms", [_longest(rate)]),
        ],
    )


def _row(beside: str, batches: list[Batch]) -> list[str]:
    took = [batch.milliseconds for batch in batches]
    deleted = sum(batch.deleted for batch in batches)
    minutes = (batches[-1].at_ns - batches[0].at_ns) / 6e10
    figures = (percentile(took, 0.5), percentile(took, 0.99), max(took), sum(one > BATCH_MS for one in took), deleted)
    return [beside, f"{len(took):,}", *(f"{value:,.0f}" for value in figures), f"{minutes:.1f}"]


def _longest(batches: list[Batch]) -> float:
    return max(batch.milliseconds for batch in batches)


def _drain(dsn: str, jobs: int) -> float:
    """Starts a second, from a moment after the first until nearly all have started."""
    jobhub_peer.fill(dsn, jobs)
    with running_workers(jobhub_peer, dsn) as workers:
        workers.wait_for(lambda: workers.started() > 0.95 * jobs, seconds=SECONDS, every_seconds=0.05)
        counts = starts.counted(workers.directory)
        with psycopg.connect(dsn, autocommit=True) as watcher:
            workers.wait_for(lambda: watcher.execute(_WAITING).fetchone() == (0,), seconds=SECONDS, every_seconds=0.1)
    kept = [(at, count) for at, count in counts if at - counts[0][0] > SETTLE_SECONDS * 1e9]
    if len(kept) < 2:
        raise Unmeasured("too few starts to measure")
    return (kept[-1][1] - kept[0][1]) / (kept[-1][0] - kept[0][0]) * 1e9


@contextmanager
def _cleaner(dsn: str, days: float, file: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A clean-up of all that is older than so many days, and the file it writes its batches to; ended after the block."""
    with file.open("wb") as output:
        process = subprocess.Popen([sys.executable, "-m", "bench.cleaner", dsn, str(days)], stdout=output)
        try:
            yield process
        finally:
            process.terminate()
            process.wait()


def _read(file: Path) -> list[Batch]:
    # The last line may have been cut off with its process.
    lines = file.read_text().rpartition("\n")[0].splitlines()
    return [Batch(int(at), float(took), int(deleted)) for at, took, deleted in (line.split() for line in lines)]


def _cycles(dsn: str, options: argparse.Namespace) -> Table:
    """Sizes after each fill, after each clean-up, once autovacuum has come by, and after the night. Nobody else vacuums."""
    rows: list[list[str]] = []
    totals: list[float] = []
    with TemporaryDirectory(prefix="jobhub-bench-") as directory:
        for cycle in range(1, options.cycles + 1):
            _fill(dsn, options.cycle_jobs)
            filled = _sizes(dsn)
            began_at = time.monotonic()
            with _cleaner(dsn, ALL_DAYS, Path(directory) / str(cycle)) as cleaner:
                cleaner.wait(timeout=CLEAN_UP_SECONDS)
            seconds = time.monotonic() - began_at
            vacuumed = _wait_for_autovacuum(dsn)
            totals.append(sum(filled))
            cleaned_up = sum(_sizes(dsn))
            reindexed = asyncio.run(_reindex(dsn))
            sizes = (*filled, sum(filled), cleaned_up, sum(_sizes(dsn)), seconds, vacuumed, reindexed)
            rows.append([str(cycle), *(f"{size:,.0f}" for size in sizes)])
            run.say(f"cycle {rows[-1]}")
    return Table(
        title=f"Filling and cleaning again: {options.cycle_jobs:,} jobs a time",
        command=f"python -m bench.retention --old 0 --cycles {options.cycles} --cycle-jobs {options.cycle_jobs}",
        note="MB after each fill, after the clean-up that follows, when autovacuum has nothing left to do, and after indexes larger than 64 MiB "
        "that are nearly empty were made anew. The fiftieth part that failed stays, so that the tables grow by as much each time.",
        header=[
            "cycle",
            "jobs",
            "its indexes",
            "job_attempts",
            "its indexes",
            "all",
            "all, cleaned up",
            "all, indexes made anew",
            "clean-up, s",
            "until vacuumed, s",
            "REINDEX, s",
        ],
        rows=rows,
        goals=at_most(f"size after fill {options.cycles}, of that after the first", 1.3, "times", [totals[-1] / totals[0]])
        if len(totals) > 1
        else [],
    )


async def _reindex(dsn: str) -> float:
    """Do what is done once a day, now; seconds."""
    began_at = time.monotonic()
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("DELETE FROM upkeep")
    async with Database.open(dsn, max_size=1, application_name="bench reindex") as db:
        await reindex_daily(db, hour=datetime.now(UTC).hour)
    return time.monotonic() - began_at


def _wait_for_autovacuum(dsn: str) -> float:
    """Seconds until autovacuum has nothing left to do for both tables."""
    began_at = time.monotonic()
    with psycopg.connect(dsn, autocommit=True) as connection:
        row = connection.execute("SELECT now()").fetchone()
        assert row is not None
        while connection.execute(_TIDY, row).fetchone() != (2,):
            if time.monotonic() - began_at > VACUUM_SECONDS:
                raise Unmeasured(f"autovacuum was not done within {VACUUM_SECONDS:.0f} s")
            time.sleep(0.5)
    return time.monotonic() - began_at


def _fill_and_vacuum(dsn: str, jobs: int) -> None:
    _fill(dsn, jobs)
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("VACUUM ANALYZE")


def _fill(dsn: str, jobs: int) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("SET synchronous_commit = off")
        for first in range(1, jobs + 1, _PART):
            connection.execute(_OLD, {"jobs": jobs, "first": first, "last": min(jobs, first + _PART - 1)})


def _sizes(dsn: str) -> list[float]:
    """MB of jobs, its indexes, job_attempts, its indexes."""
    found = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        for table in ("jobs", "job_attempts"):
            row = connection.execute(
                "SELECT pg_table_size(%s::regclass) / 1e6, pg_indexes_size(%s::regclass) / 1e6", [table] * 2
            ).fetchone()
            assert row is not None
            found += [float(size) for size in row]
    return found


def main() -> None:
    module: Any = sys.modules[__name__]
    run.alone(module)


if __name__ == "__main__":
    main()
