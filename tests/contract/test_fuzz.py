"""Whatever the OpenAPI document lets a client send, and what it doesn't, is answered as the document says, and never with a 500.

schemathesis makes the requests, to a running `jobhub serve`. A few per operation here; `make fuzz` takes its time.
"""

import os

import psycopg
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi import checks

from tests.acceptance.serving import serving
from tests.factories import make_user, token

FEW = settings(
    max_examples=int(os.environ.get("JOBHUB_FUZZ_EXAMPLES", "3")),
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
# Which of well-formed requests are refused is more than a schema can say: job types, limits, times. tests/web/test_bad_input.py knows.
NOT_ASKED = [checks.positive_data_acceptance, checks.negative_data_rejection]
ENDLESS = "follow_own"  # a stream; tests/web/test_events.py reads it

pytestmark = pytest.mark.xdist_group("fuzz")  # one process for all of it


@pytest.fixture(scope="module")
def service(databases, template):
    """The running service's log and document, and somebody of each role."""
    with databases.create(template) as (_, dsn), serving(dsn, JOBHUB_DEMO="1") as served:
        with psycopg.connect(dsn, autocommit=True, row_factory=psycopg.rows.namedtuple_row) as sql:
            users = {role: make_user(sql, f"{role}@example.org", role=role) for role in ("user", "admin")}
        yield served, schemathesis.openapi.from_url(f"{served.url}/openapi.json"), users


def failures_of(operation, mode, user) -> str | None:
    """What an operation did wrong."""

    @FEW
    @given(case=operation.as_strategy(generation_mode=mode))
    def answers(case):
        if case.query and type(case.query.get("wait")) is int:
            case.query["wait"] = min(case.query["wait"], 1)  # it is waited for; what is wrong stays wrong
        case.call_and_validate(headers={"Authorization": f"Bearer {token(user)}"}, excluded_checks=NOT_ASKED)

    try:
        answers()
    except BaseExceptionGroup as failures:
        return "\n".join(str(failure) for failure in failures.exceptions)
    return None


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize("role", ["user", "admin"])
def test_every_operation_answers_as_the_document_says(service, role, mode):
    served, document, users = service
    operations = [found.ok() for found in document.exclude(operation_id=ENDLESS).get_all_operations()]
    found = {operation.label: failures_of(operation, mode, users[role]) for operation in operations if can_be(operation, mode)}

    assert len(found) > 10
    assert {label: failure for label, failure in found.items() if failure} == {}
    assert "request_failed" not in served.log
    assert "Traceback" not in served.log


def can_be(operation, mode) -> bool:
    """There is no wrong way to ask for what takes no input."""
    takes_input = any((operation.body, operation.query, operation.path_parameters, operation.headers))
    return takes_input or mode is schemathesis.GenerationMode.POSITIVE
