"""The named statements: how they are read, and that the server accepts every one of them."""

import re

import pytest

from jobhub.postgres.files import sql_directory
from jobhub.store import statements as module
from jobhub.store.statements import bind, parse, statements

# (text, what goes to the server, its parameters)
CASES = [
    ("SELECT :a::int", "SELECT $1::int", ("a",)),
    ("SELECT :b, :a, :b", "SELECT $1, $2, $1", ("b", "a")),
    ("-- :gone\nSELECT 1;\n", "SELECT 1", ()),
    ("SELECT 'x'::text", "SELECT 'x'::text", ()),
    ("SELECT :a::text []", "SELECT $1::text []", ("a",)),
    ("SELECT a.b::int, :job_id2::uuid", "SELECT a.b::int, $1::uuid", ("job_id2",)),
]


@pytest.mark.parametrize(("text", "sql", "parameters"), CASES)
def test_names_become_numbers(text, sql, parameters):
    statement = parse("x", text)

    assert (statement.sql, statement.parameters) == (f"/* x */ {sql}", parameters)


def test_a_name_given_twice_is_refused(tmp_path, monkeypatch):
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "a.sql").write_text("-- name: x\nSELECT 1;\n\n-- name: x\nSELECT 2;\n")
    monkeypatch.setattr(module, "sql_directory", lambda: tmp_path)

    with pytest.raises(ValueError, match=r"a\.sql.*'x'"):
        statements.__wrapped__()


@pytest.mark.parametrize("parameters", [{}, {"job_id": 1}, {"job_id": 1, "owner": 2}, {"job_id": 1, "owner_id": 2, "more": 3}])
def test_missing_and_surplus_parameters_are_refused(parameters):
    with pytest.raises(KeyError):
        bind("get_job", parameters)


async def test_the_server_accepts_every_statement(db):
    async with db._pool.acquire() as connection:
        for statement in statements().values():
            prepared = await connection.prepare(statement.sql)

            assert len(prepared.get_parameters()) == len(statement.parameters), statement.name


def test_every_statement_is_used_and_every_used_one_is_there():
    source = "\n".join(path.read_text() for path in (sql_directory().parent / "src" / "jobhub").rglob("*.py"))
    used = set(re.findall(r'(?:fetch|fetch_row|execute|bind)\(\s*"(\w+)"', source))

    assert used == set(statements())


def test_no_cast_is_forgotten():
    bare = {
        (path.name, name)
        for path in (sql_directory() / "queries").glob("*.sql")
        for name in re.findall(r"(?<![:\w]):([a-z]\w*)(?!\w*::)\b(?!::)", re.sub(r"--.*", "", path.read_text()))
    }

    assert bare == set()
