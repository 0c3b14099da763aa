"""The program and the database use the same words."""

import pytest

from jobhub.domain.jobs import AttemptOutcome, Intervener, JobStatus
from jobhub.domain.spans import Resolution
from jobhub.domain.users import Role


@pytest.mark.parametrize(
    ("kind", "type_name"),
    [
        (JobStatus, "job_status"),
        (AttemptOutcome, "attempt_outcome"),
        (Intervener, "intervener"),
        (Resolution, "stat_resolution"),
        (Role, "user_role"),
    ],
)
def test_the_enum_has_the_labels_of_the_database_type(sql, kind, type_name):
    labels = sql.execute(
        "SELECT enumlabel FROM pg_enum JOIN pg_type ON pg_type.oid = enumtypid WHERE typname = %s ORDER BY enumsortorder", [type_name]
    ).fetchall()

    assert [row.enumlabel for row in labels] == [member.value for member in kind]
