"""Reports: each file of sql/reports/ runs as it stands, can't write, and ends in time."""

import re

import pytest

from jobhub.store.reporting import Report, ReportFailed, list_reports, run_report
from jobhub.store.statements import parse
from tests.factories import make_job


def report(text, **types) -> Report:
    return Report(name="x", title="x", types=types, defaults=dict.fromkeys(types, 1), statement=parse("x", text))


async def read(dsn, given, parameters=None, *, timeout_seconds=30):
    pages = [page async for page in run_report(dsn, given, parameters or {}, timeout_seconds=timeout_seconds)]
    return pages[-1][0], [row for _, rows in pages for row in rows]


@pytest.mark.parametrize("name", sorted(list_reports()))
async def test_every_report_runs_with_its_defaults(dsn, sql, alice, name):
    for status in ("pending", "running", "completed", "failed", "cancelled"):
        make_job(sql, alice, status=status)

    columns, _ = await read(dsn, list_reports()[name])

    assert columns
    assert list_reports()[name].title


async def test_a_report_is_read_to_its_end_in_pages(dsn):
    columns, rows = await read(
        dsn, report("SELECT n, n * :factor::integer AS m FROM generate_series(1, 1201) AS n", factor="integer"), {"factor": 3}
    )

    assert columns == ["n", "m"]
    assert (len(rows), rows[-1]) == (1201, [1201, 3603])


@pytest.mark.parametrize(
    "text", ["UPDATE users SET role = 'admin' RETURNING id", "SELECT setval('audit_log_id_seq', 5)", "SELECT FROM users FOR UPDATE"]
)
async def test_a_report_can_not_write(dsn, text):
    with pytest.raises(ReportFailed, match="read-only"):
        await read(dsn, report(text))


async def test_a_slow_report_is_stopped(dsn):
    with pytest.raises(ReportFailed, match=r"longer than 0\.2 s"):
        await read(dsn, report("SELECT pg_sleep(30)"), timeout_seconds=0.2)


async def test_a_report_without_a_database_fails_and_tells_no_address():
    with pytest.raises(ReportFailed) as failed:
        await read("postgresql://nobody@127.0.0.1:1/nothing", report("SELECT 1"))

    assert not re.search("127|nobody", str(failed.value))


@pytest.mark.parametrize("given", [{"unknown": 1}, {"days": "7"}, {"days": True}, {"days": 1.5}, {"days": None}])
def test_parameters_are_known_and_of_their_type(given):
    with pytest.raises(ValueError):
        report("SELECT :days::integer", days="integer").values(given)
