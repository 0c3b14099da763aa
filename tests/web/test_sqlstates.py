"""Which status each class of PostgreSQL's errors becomes over HTTP, and that nothing is stored."""

import pytest

from tests.web.test_bad_input import JOB, assert_reveals_nothing

# (SQLSTATE, status, code)
ANSWERS = [
    ("08006", 503, "database_unavailable"),
    ("22021", 400, "unstorable_value"),
    ("22P05", 400, "unstorable_value"),
    ("23505", 409, "already_exists"),
    ("25006", 503, "database_unavailable"),
    ("40001", 503, "database_unavailable"),
    ("53100", 503, "database_unavailable"),
    ("57014", 503, "database_unavailable"),
    ("23514", 500, "internal_error"),
    ("42703", 500, "internal_error"),
    ("P0001", 500, "internal_error"),
]


@pytest.mark.parametrize(("sqlstate", "status", "code"), ANSWERS)
async def test_an_error_of_postgresql_has_the_status_of_its_class(api, alice, sql, sqlstate, status, code):
    sql.execute(
        f"CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'hush' USING ERRCODE = '{sqlstate}'; END$$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION refuse()"
    )

    response = await api.call(alice, "POST", "/jobs", JOB)

    assert (response.status_code, response.json()["code"]) == (status, code)
    assert ("retry-after" in response.headers) == (status == 503)
    assert response.json()["request_id"] == response.headers["x-request-id"]
    assert "hush" not in response.text
    assert_reveals_nothing(response)
    assert sql.execute("SELECT count(*) AS n FROM jobs").fetchone().n == 0


async def test_a_race_that_is_won_at_the_third_try_is_no_error(api, alice, sql):
    sql.execute(
        "CREATE SEQUENCE tries;"
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
        " $$BEGIN IF nextval('tries') < 3 THEN RAISE EXCEPTION USING ERRCODE = '40001'; END IF; RETURN new; END$$;"
        "CREATE TRIGGER refuse BEFORE INSERT ON jobs FOR EACH ROW EXECUTE FUNCTION refuse()"
    )

    await api.submit(alice)

    assert sql.execute("SELECT count(*) AS n FROM jobs").fetchone().n == 1
