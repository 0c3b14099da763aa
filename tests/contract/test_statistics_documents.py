"""The SQL of docs/statistics.md runs as it stands there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(r"^```sql\n(.*?)^```$", (ROOT / "docs/statistics.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.split()[0].lower())
def test_the_sql_of_the_page_on_statistics_runs(sql, block):
    for statement in block.strip().rstrip(";").split(";"):
        sql.execute(statement)

    assert sql.info.transaction_status.name == "IDLE"
