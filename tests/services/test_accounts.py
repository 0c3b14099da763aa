"""The races and rules of accounts that HTTP alone can't pin."""

import asyncio

import pytest

from jobhub.domain.errors import DatabaseUnavailable, InvalidInput, LastAdministrator
from jobhub.domain.users import Role
from jobhub.services import accounts
from jobhub.services.passwords import Passwords, password_problem
from jobhub.store.jobs import Act
from tests.factories import make_job, make_user

ACT = Act(actor_id=None)


@pytest.fixture
def passwords():
    passwords = Passwords()
    yield passwords
    passwords.close()


@pytest.mark.parametrize("change", [{"role": Role.USER, "disabled": None}, {"role": None, "disabled": True}])
async def test_of_the_last_two_administrators_one_stays(db, sql, passwords, admin, change):
    second = make_user(sql, "second@example.org", role="admin")

    answers = await asyncio.gather(
        *(accounts.change_user(db, passwords, user.id, password=None, act=ACT, **change) for user in (admin, second)),
        return_exceptions=True,
    )

    assert sorted(type(answer).__name__ for answer in answers) == ["LastAdministrator", "User"]
    assert len(sql.execute("SELECT FROM users WHERE role = 'admin' AND disabled_at IS NULL").fetchall()) == 1


async def test_a_refused_change_changes_nothing_at_all(db, sql, passwords, admin):
    job_id = make_job(sql, admin)

    with pytest.raises(LastAdministrator):
        await accounts.change_user(db, passwords, admin.id, role=None, password=None, disabled=True, act=ACT)

    assert sql.execute("SELECT status FROM jobs WHERE id = %s", [job_id]).fetchone().status == "pending"
    assert sql.execute("SELECT FROM audit_log").fetchall() == []


async def test_more_pending_jobs_than_one_batch_are_cancelled(db, sql, passwords, alice):
    sql.execute(
        "INSERT INTO jobs (id, owner_id, job_type, queue, title, parameters, due_at, deliver_at)"
        " SELECT gen_random_uuid(), %s, 'test.echo', 'default', 'x', '{}', now(), now() FROM generate_series(1, 2001)",
        [alice.id],
    )

    await accounts.change_user(db, passwords, alice.id, role=None, password=None, disabled=True, act=ACT)

    assert sql.execute("SELECT DISTINCT status FROM jobs").fetchall() == [("cancelled",)]


async def test_a_deadlock_is_an_outage_for_the_caller_and_no_bug(db, sql, passwords, alice):
    first, second = make_job(sql, alice), make_job(sql, alice)

    with sql.transaction():
        sql.execute("SELECT FROM jobs WHERE id = %s FOR UPDATE", [second])
        task = asyncio.create_task(accounts.change_user(db, passwords, alice.id, role=None, password=None, disabled=True, act=ACT))
        await wait_until_blocked(sql)
        # Takes the one it holds, in the other order; the one that waited first finds out first.
        await asyncio.to_thread(sql.execute, "SELECT FROM jobs WHERE id = %s FOR UPDATE", [first])

    with pytest.raises(DatabaseUnavailable):
        await task


async def wait_until_blocked(sql):
    async with asyncio.timeout(10):
        while sql.execute("SELECT count(*) AS n FROM pg_locks WHERE NOT granted").fetchone().n == 0:
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("password", "is_taken"), [("x" * 11, False), ("x" * 12, True), ("ä" * 6, True), ("ä" * 512, True), ("ä" * 513, False)]
)
def test_a_password_has_12_to_1024_bytes(password, is_taken):
    assert (password_problem(password) is None) is is_taken


@pytest.mark.parametrize("fields", [{"email": "x", "password": "x" * 12}, {"email": "a@b.c", "password": "x"}])
async def test_the_command_line_is_held_to_the_same_rules(db, passwords, fields):
    with pytest.raises(InvalidInput):
        await accounts.create_user(db, passwords, role=Role.USER, act=ACT, **fields)


async def test_without_a_hash_no_password_is_right(passwords):
    assert not await passwords.verify("anything", None)
