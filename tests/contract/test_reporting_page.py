"""docs/reporting.md says what the database says, and what it tells people to type works."""

import os
import re
import subprocess
import sys

import pytest

from tests.contract.reporting_page import DOCS, PAGE, render
from tests.factories import make_job
from tests.reporting import psql, set_up_reader

pytestmark = pytest.mark.xdist_group("reporting_role")

TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```sql\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


def test_the_page_is_what_the_template_and_the_comments_make(sql):
    assert render(sql) == TEXT, "run `make docs-reporting`"
    assert "{{" not in TEXT


@pytest.mark.parametrize("block", [block for block in BLOCKS if "_private_" not in block])
def test_each_step_of_the_tour_works_for_the_role(sql, alice, reader_dsn, block):
    make_job(sql, alice, status="running")

    assert psql(reader_dsn, script=block)


def test_the_steps_with_private_words_work_once_they_are_allowed(sql, alice, dsn):
    make_job(sql, alice, status="failed")
    [block] = [block for block in BLOCKS if "_private_" in block]

    assert "alice@example.org |      1" in psql(set_up_reader(dsn, may_read_private=True), script=block)


def test_the_tour_is_there():
    assert len(BLOCKS) >= 7


def test_the_example_in_python_runs(sql, alice, reader_dsn):
    make_job(sql, alice, status="failed")

    done = subprocess.run(
        [sys.executable, "-W", "error", str(DOCS / "examples" / "read_reports.py")],
        env=os.environ | {"JOBHUB_REPORT_URL": reader_dsn},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert "test.echo" in done.stdout
    assert "boom" in done.stdout
