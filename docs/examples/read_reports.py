"""Read jobhub's published views with SQLAlchemy, cell by cell.

    JOBHUB_REPORT_URL=postgresql://jobhub_report:…@db.example.org/jobhub python docs/examples/read_reports.py

It needs `sqlalchemy` and `psycopg`; in a notebook, `pandas.read_sql(query, engine)` takes the same queries.
"""

# %% Connect as the role that `jobhub migrate --reporting-role` makes
import os

import sqlalchemy as sa

url = sa.make_url(os.environ["JOBHUB_REPORT_URL"]).set(drivername="postgresql+psycopg")
# The role has a connection limit, and the server ends connections that are idle for long.
engine = sa.create_engine(url, pool_size=1, max_overflow=0, pool_pre_ping=True)


def show(query: sa.Select) -> None:
    """Print a result as a table."""
    with engine.connect() as connection:
        result = connection.execute(query)
        print(" | ".join(result.keys()))
        for row in result:
            print(" | ".join(str(value) for value in row))
        print()


# %% The views describe themselves
views = sa.MetaData(schema="reporting")
jobs, queue, days, failures = (
    sa.Table(name, views, autoload_with=engine) for name in ("jobs_v1", "queue_now_v1", "job_stats_by_day_v1", "failures_v1")
)
for column in queue.columns:
    print(f"{column.name} ({column.type}): {column.comment}")
print()

# %% What waits and runs now
show(sa.select(queue.c.job_type, queue.c.due, queue.c.scheduled, queue.c.running).order_by(queue.c.due.desc(), queue.c.job_type))

# %% Success by job type over a month: counts can be added up
month_ago = sa.func.now() - sa.text("interval '30 days'")
completed, failed = sa.func.sum(days.c.completed), sa.func.sum(days.c.failed)
show(
    sa.select(
        days.c.job_type,
        completed.label("completed"),
        failed.label("failed"),
        sa.func.round(100 * completed / sa.func.nullif(completed + failed, 0), 1).label("percent_successful"),
    )
    .where(days.c.at > month_ago)
    .group_by(days.c.job_type)
    .order_by(days.c.job_type)
)

# %% Averages are added up by their totals, not averaged
attempts = sa.func.sum(days.c.attempts_completed + days.c.attempts_failed)
show(
    sa.select(days.c.at, (sa.func.sum(days.c.processing_seconds_total) / sa.func.nullif(attempts, 0)).label("average_seconds"))
    .where(days.c.at > month_ago)
    .group_by(days.c.at)
    .order_by(days.c.at)
)

# %% The most frequent failures of the week
show(
    sa.select(failures.c.error_code, sa.func.sum(failures.c.failed).label("failed"))
    .where(failures.c.at > sa.func.now() - sa.text("interval '7 days'"))
    .group_by(failures.c.error_code)
    .order_by(sa.desc("failed"), failures.c.error_code)
    .limit(10)
)

# %% The latest failed jobs: a range of created_at keeps this quick however long the history is
show(
    sa.select(jobs.c.id, jobs.c.job_type, jobs.c.error_code, jobs.c.attempt, jobs.c.completed_at)
    .where(jobs.c.created_at > sa.func.now() - sa.text("interval '1 day'"), jobs.c.status == "failed")
    .order_by(jobs.c.created_at.desc())
    .limit(10)
)

# %% Done
engine.dispose()
