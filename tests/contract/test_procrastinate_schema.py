"""Our first migration is Procrastinate's own schema, and nothing has been added to it since."""

import re
from importlib.metadata import version

from procrastinate.schema import SchemaManager

from jobhub.postgres.files import migration_files


def test_the_first_migration_is_the_schema_of_the_installed_procrastinate():
    copied = migration_files()[0].read_text()

    assert copied.endswith(SchemaManager.get_schema()), "Procrastinate's schema has changed: copy its new migrations into new files here"
    assert f"Procrastinate {version('procrastinate')}'s own schema" in copied


def test_the_names_we_rely_on_are_there(sql):
    arguments = sql.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = 'procrastinate_job_to_defer_v1'::regclass AND attnum > 0 ORDER BY attnum"
    ).fetchall()

    assert [row.attname for row in arguments] == ["queue_name", "task_name", "priority", "lock", "queueing_lock", "args", "scheduled_at"]


def test_procrastinate_notifies_on_the_channel_the_workers_listen_on(sql):
    from jobhub.worker.service import QUEUE_CHANNEL

    body = sql.execute("SELECT prosrc FROM pg_proc WHERE proname = 'procrastinate_notify_queue_job_inserted_v1'").fetchone().prosrc

    assert re.search(rf"pg_notify\('{re.escape(QUEUE_CHANNEL)}' \|\| NEW\.queue_name", body)
