"""The machine can fail: it finds the broken statements of `mutants`; all of them under `make model`, else the essential ones."""

import asyncpg
import pytest
from hypothesis.errors import Flaky
from hypothesis.stateful import run_state_machine_as_test

from jobhub.store.statements import statements
from tests.model.connections import Connections
from tests.model.machine import JobMachine
from tests.model.mutants import ESSENTIAL, MUTANTS
from tests.model.profiles import EXAMPLES, SEEKING

# A statement that is no SQL any more would raise something else, and prove nothing. Flaky: the failure it found looked different when it
# was repeated, as the races of a statement that doesn't lock may.
FOUND = (AssertionError, asyncpg.IntegrityConstraintViolationError, Flaky)


@pytest.mark.parametrize("defect", MUTANTS if EXAMPLES else ESSENTIAL)
def test_the_machine_finds_that(dsn, monkeypatch, defect):
    mutant = MUTANTS[defect]
    monkeypatch.setitem(statements(), mutant.statement, mutant.broken())

    with Connections.open(dsn) as connections, pytest.raises(FOUND):
        run_state_machine_as_test(lambda: JobMachine(connections), settings=SEEKING)


@pytest.mark.parametrize("defect", MUTANTS)
def test_the_defect_can_be_put_in(defect):
    mutant = MUTANTS[defect]

    assert mutant.broken().sql != statements()[mutant.statement].sql
