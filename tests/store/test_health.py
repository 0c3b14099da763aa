"""What `jobhub doctor` finds of what somebody changed in the database."""

import pytest

from jobhub.store import health

CHANGES = [
    (
        "ALTER TABLE procrastinate_jobs ENABLE TRIGGER procrastinate_trigger_delete_jobs_v1",
        "DISABLE TRIGGER procrastinate_trigger_delete_jobs_v1",
    ),
    ("DROP INDEX deliveries_best_idx", "the index deliveries_best_idx is missing"),
    ("DROP INDEX deliveries_held_idx", "the index deliveries_held_idx is missing"),
    ("ALTER TABLE jobs SET (autovacuum_enabled = false)", "ALTER TABLE jobs RESET (autovacuum_enabled)"),
]


async def test_a_database_as_migrated_has_no_faults(db):
    assert await health.list_setup_faults(db) == []


@pytest.mark.parametrize(("change", "said"), CHANGES, ids=["trigger", "index", "index of held", "autovacuum"])
async def test_each_change_is_found_with_its_remedy(db, sql, change, said):
    sql.execute(change)

    [fault] = await health.list_setup_faults(db)

    assert said in fault
