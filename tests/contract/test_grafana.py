"""The dashboard of docs/grafana/: every query in it runs under the role of reports, whatever is chosen in its lists."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.factories import make_job
from tests.reporting import make_stats

pytestmark = pytest.mark.xdist_group("reporting_role")

DASHBOARD = json.loads((Path(__file__).parents[2] / "docs" / "grafana" / "jobhub.json").read_text(encoding="utf-8"))
VARIABLES = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
SPANS = VARIABLES["span"]["query"].split(",")
PANELS = {panel["title"]: panel for panel in DASHBOARD["panels"]}
NOW = datetime.now(UTC)


def filled_in(query: str, span: str) -> str:
    """What Grafana makes of a query: its macros and variables are gone."""
    query = re.sub(r"\$__timeFilter\((\w+)\)", rf"\1 BETWEEN '{(NOW - timedelta(days=2)).isoformat()}' AND '{NOW.isoformat()}'", query)
    return query.replace("${span}", span).replace("${job_type:sqlstring}", "'test.echo','it''s'")


@pytest.fixture
def some_of_everything(sql, alice):
    make_job(sql, alice)
    make_job(sql, alice, status="running")
    make_stats(sql, NOW - timedelta(minutes=1), ran=[1.0, 2.0], waited=[1.0], completed=2, failures={"boom": 1}, attempts_worker_lost=1)
    return sql


@pytest.mark.parametrize("span", SPANS)
@pytest.mark.parametrize("title", PANELS)
def test_each_query_runs_for_the_role_and_finds_something(some_of_everything, reader, title, span):
    for target in PANELS[title]["targets"]:
        query = filled_in(target["rawSql"], span)
        assert "$" not in query

        rows = reader.execute(query).fetchall()

        assert rows
        if target["format"] == "time_series":
            assert isinstance(rows[0].time, datetime)
            assert all(isinstance(value, int | float | str) for value in rows[0][1:])


def test_the_list_of_job_types_is_filled(some_of_everything, reader):
    assert reader.execute(VARIABLES["job_type"]["query"]).fetchall() == [("test.echo",)]


def test_it_asks_nobody_but_the_data_source_that_was_chosen():
    def sources(node: Any) -> set[str]:
        if isinstance(node, list):
            return set().union(*map(sources, node)) if node else set()
        if isinstance(node, dict):
            own = {node["datasource"]["uid"]} if "datasource" in node else set()
            return own.union(*map(sources, node.values()))
        return set()

    assert sources(DASHBOARD) == {"${datasource}"}
    assert SPANS == ["minute", "hour", "day"]


def test_panels_have_ids_of_their_own_and_do_not_overlap():
    panels = DASHBOARD["panels"]
    squares = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len(PANELS) == len(panels)
    assert len(set(squares)) == len(squares)
    assert max(x for x, _ in squares) == 23
