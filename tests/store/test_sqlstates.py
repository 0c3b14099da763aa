"""Which of our errors each class of PostgreSQL's becomes, provoked in the server and run through the pool."""

import asyncpg
import pytest

from jobhub.domain.errors import AlreadyExists, DatabaseUnavailable, InvalidInput

RAISED = {
    "08006": DatabaseUnavailable,
    "22021": InvalidInput,
    "22P05": InvalidInput,
    "23505": AlreadyExists,
    "25006": DatabaseUnavailable,
    "40001": DatabaseUnavailable,
    "40P01": DatabaseUnavailable,
    "53100": DatabaseUnavailable,
    "53300": DatabaseUnavailable,
    "57014": DatabaseUnavailable,
    "57P01": DatabaseUnavailable,
    "58030": DatabaseUnavailable,
    "23514": asyncpg.CheckViolationError,
    "42703": asyncpg.UndefinedColumnError,
    "P0001": asyncpg.RaiseError,
    "XX000": asyncpg.InternalServerError,
}
REAL = {
    "SELECT 9223372036854775807 + 1": InvalidInput,
    "SELECT 1 / 0": InvalidInput,
    "SELECT 'x'::int": InvalidInput,
    "SELECT chr(0)": asyncpg.ProgramLimitExceededError,  # 54000: a limit of the server
    r"""SELECT '"\u0000"'::jsonb ->> 0""": InvalidInput,
    "INSERT INTO users SELECT * FROM users": AlreadyExists,
    "SELECT nothing FROM users": asyncpg.UndefinedColumnError,
}


@pytest.fixture
def raising(sql):
    sql.execute("CREATE SEQUENCE tries")
    sql.execute(
        "CREATE FUNCTION raising(state text, times int) RETURNS bigint LANGUAGE plpgsql AS"
        " $$BEGIN IF nextval('tries') <= times THEN RAISE EXCEPTION USING ERRCODE = state; END IF; RETURN currval('tries'); END$$"
    )


@pytest.mark.parametrize("sqlstate", RAISED)
async def test_a_raised_sqlstate_is_the_error_of_its_class(db, raising, sqlstate):
    with pytest.raises(RAISED[sqlstate]) as caught:
        await db.fetch_composed("SELECT raising($1, 99)", [sqlstate])

    assert type(caught.value) is RAISED[sqlstate]
    found = caught.value if isinstance(caught.value, asyncpg.PostgresError) else caught.value.__cause__
    assert found.sqlstate == sqlstate


@pytest.mark.parametrize("statement", REAL)
async def test_a_real_cause_is_the_error_of_its_class(db, alice, statement):
    with pytest.raises(REAL[statement]) as caught:
        await db.fetch_composed(statement, [])

    assert type(caught.value) is REAL[statement]


@pytest.mark.parametrize("sqlstate", ["40001", "40P01"])
async def test_a_lost_race_is_tried_again(db, raising, sqlstate):
    assert (await db.fetch_composed("SELECT raising($1, 2) AS tries", [sqlstate]))[0]["tries"] == 3


async def test_a_refused_value_tells_nothing_of_what_the_server_said(db, sql):
    sql.execute("CREATE TABLE secrets (word text PRIMARY KEY)")
    sql.execute("INSERT INTO secrets VALUES ('hush')")

    with pytest.raises(AlreadyExists) as caught:
        await db.fetch_composed("INSERT INTO secrets VALUES ('hush')", [])

    assert "hush" not in str(caught.value)
