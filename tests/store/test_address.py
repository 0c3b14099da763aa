"""Addresses that can't work are told from those that may work later."""

import pytest

from jobhub.domain.errors import OperatorError
from jobhub.store.address import check_address


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://u@h/d",
        "postgres://u:p%40@h:5432/d?sslmode=disable",
        "postgresql://u@/d?host=/run/postgresql",
        "postgresql://u@h1:5432,h2:5433/d?target_session_attrs=read-write",
        "postgresql://u@[::1]:5432/d",
    ],
)
def test_an_address_either_driver_understands_passes(dsn):
    check_address(dsn)


@pytest.mark.parametrize(
    "dsn",
    [
        "nonsense",
        "host=h dbname=d password=secret",
        "mysql://u:secret@h/d",
        "postgresql+asyncpg://u:secret@h/d",
        "postgresql://u:secret@h:port/d",
        "postgresql://u:secret@h:70000/d",
        "postgresql://u:secret@[::1/d",
        "postgresql://u:secret@h/d?sslmode=maybe",
        "postgresql://u:secret@h/d?no_such_option=1",
    ],
)
def test_one_that_neither_does_is_refused_without_being_repeated(dsn):
    with pytest.raises(OperatorError, match="JOBHUB_DATABASE_URL") as refused:
        check_address(dsn)

    assert "secret" not in str(refused.value)
