"""Accounts and tokens in the database: case, throttling by the clock, what is forgotten when."""

import asyncio

import pytest

from jobhub.domain.users import Role
from jobhub.store import guessing
from jobhub.store import users as store
from jobhub.store.jobs import Act
from tests import factories

FINGERPRINT = b"f" * 32
NETWORK = "192.0.2.1/32"
ACT = Act(actor_id=None, request_id="r")


async def test_an_account_is_found_whatever_the_case_of_its_address(db, alice):
    found = [await store.get_user_by_email(db, email) for email in ("alice@example.org", "ALICE@Example.ORG", "alice@example.com")]

    assert [user and user[0].id for user in found] == [alice.id, alice.id, None]


async def test_a_taken_address_makes_no_account_and_no_audit_row(db, sql, alice):
    given = {"user_id": factories.new_id(), "email": "Alice@Example.org", "password_hash": "$argon2id$x", "role": Role.USER}

    assert await store.create_user(db, act=ACT, **given) is None
    assert sql.execute("SELECT FROM audit_log").fetchall() == []


def make_failures(sql, failures, ago, *, network=NETWORK):
    sql.execute(
        "INSERT INTO login_failures_by_account_and_network VALUES (%s, %s, %s, now() - %s::interval)", [FINGERPRINT, network, failures, ago]
    )


# (failures so far, seconds since the last, whether the next has to wait)
DELAYS = [
    (4, 0, False),
    (5, 0, True),
    (5, 2, False),
    (6, 1, True),
    (6, 3, False),
    (10, 30, True),
    (10, 33, False),
    (99, 890, True),
    (99, 901, False),
]


@pytest.mark.parametrize(("failures", "seconds_ago", "must_wait"), DELAYS)
async def test_each_failure_after_the_fifth_doubles_the_wait_up_to_fifteen_minutes(db, sql, failures, seconds_ago, must_wait):
    make_failures(sql, failures, f"{seconds_ago} s")

    assert (await guessing.login_delay(db, FINGERPRINT, network=NETWORK) > 0) is must_wait
    assert await guessing.count_login(db, FINGERPRINT, network=NETWORK) is not must_wait


@pytest.mark.parametrize(("hours_ago", "failures"), [(23, 8), (25, 1)])
async def test_after_a_day_the_count_starts_anew(db, sql, hours_ago, failures):
    make_failures(sql, 7, f"{hours_ago} h")

    assert await guessing.count_login(db, FINGERPRINT, network=NETWORK)

    assert sql.execute("SELECT failures FROM login_failures_by_account_and_network").fetchone().failures == failures


@pytest.mark.parametrize(("minutes_ago", "failures", "must_wait"), [(0, 2, False), (59, 3, True), (61, 3, False), (0, 0, False)])
async def test_an_account_has_its_limit_of_failures_an_hour_wherever_they_come_from(db, sql, minutes_ago, failures, must_wait):
    sql.execute(
        "INSERT INTO login_failures VALUES (%s, %s, now(), now() - make_interval(mins => %s))", [FINGERPRINT, failures, minutes_ago]
    )

    assert await guessing.count_login_for_account(db, FINGERPRINT, limit=3) is not must_wait
    assert 0 < await guessing.account_login_delay(db, FINGERPRINT) <= 3600
    assert (await guessing.account_login_delay(db, FINGERPRINT) <= 60) is must_wait


async def test_only_counters_nobody_adds_to_any_more_are_forgotten(db, sql):
    make_failures(sql, 3, "25 h", network="192.0.2.2/32")
    make_failures(sql, 3, "23 h")
    for fingerprint, minutes_ago in ((FINGERPRINT, 59), (b"g" * 32, 61)):
        sql.execute("INSERT INTO login_failures VALUES (%s, 9, now(), now() - make_interval(mins => %s))", [fingerprint, minutes_ago])

    assert [await guessing.remove_old_login_failures(db), await guessing.remove_old_account_failures(db)] == [1, 1]
    assert sql.execute("SELECT network::text FROM login_failures_by_account_and_network").fetchall() == [(NETWORK,)]
    assert sql.execute("SELECT email_sha256 FROM login_failures").fetchall() == [(FINGERPRINT,)]


async def test_a_hash_is_renewed_only_if_it_is_still_the_same(db, sql, alice):
    await store.replace_password_hash(db, alice.id, old_hash="$argon2id$another", new_hash="$argon2id$new")

    assert sql.execute("SELECT password_hash FROM users").fetchone().password_hash == "$argon2id$no-password-fits"


async def test_only_expired_tokens_are_forgotten(db, sql, alice):
    kept, expired = factories.new_id(), factories.new_id()
    for token_id in (kept, expired):
        await store.add_refresh_token(
            db, token_id=token_id, family_id=token_id, user_id=alice.id, secret_sha256=FINGERPRINT, lifetime_seconds=60
        )
    sql.execute(
        "UPDATE refresh_tokens SET created_at = now() - interval '9 s', expires_at = now() - interval '1 s' WHERE id = %s", [expired]
    )

    assert await store.remove_expired_tokens(db) == 1
    assert [row.id for row in sql.execute("SELECT id FROM refresh_tokens").fetchall()] == [kept]


async def test_the_right_id_with_the_wrong_secret_neither_uses_nor_revokes(db, alice):
    token_id = factories.new_id()
    await store.add_refresh_token(
        db, token_id=token_id, family_id=token_id, user_id=alice.id, secret_sha256=FINGERPRINT, lifetime_seconds=60
    )

    assert await store.use_refresh_token(db, token_id=token_id, secret_sha256=b"g" * 32) is None
    assert await store.revoke_family_of_token(db, token_id=token_id, secret_sha256=b"g" * 32) == 0
    assert await store.use_refresh_token(db, token_id=token_id, secret_sha256=FINGERPRINT) == (alice.id, token_id)


async def test_accounts_asked_for_together_are_looked_up_together(db, alice, bob, monkeypatch):
    looks = looks_of(monkeypatch)
    accounts, nobody = store.Accounts(db), factories.new_id()

    found = await asyncio.gather(*(accounts.get(user_id) for user_id in (alice.id, nobody, bob.id, alice.id)))

    assert [user and user.email for user in found] == [alice.email, None, bob.email, alice.email]
    assert looks == [{alice.id, bob.id, nobody}]


async def test_an_account_asked_for_after_it_was_disabled_is_never_answered_from_an_earlier_look(db, sql, alice, monkeypatch):
    gate = asyncio.Event()
    looks = looks_of(monkeypatch, gate)
    accounts = store.Accounts(db)
    before = asyncio.create_task(accounts.get(alice.id))
    async with asyncio.timeout(10):
        while not looks:
            await asyncio.sleep(0.01)

    sql.execute("UPDATE users SET disabled_at = now()")
    after = asyncio.create_task(accounts.get(alice.id))
    await asyncio.sleep(0)
    gate.set()

    assert [(await before).disabled, (await after).disabled] == [False, True]


def looks_of(monkeypatch, gate=None):
    """The ids of each look-up, which has seen the table and holds its answer back until the gate opens."""
    looks, real = [], store.get_users

    async def get_users(db, user_ids):
        found = await real(db, user_ids)
        looks.append(user_ids)
        if gate:
            await gate.wait()
        return found

    monkeypatch.setattr(store, "get_users", get_users)
    return looks


async def test_only_counters_whose_hour_is_over_are_forgotten(db, sql):
    sql.execute("INSERT INTO login_failures_by_network VALUES ('192.0.2.1/32', 9, now() - interval '59 min')")
    sql.execute("INSERT INTO login_failures_by_network VALUES ('192.0.2.2/32', 9, now() - interval '61 min')")

    assert await guessing.remove_old_network_failures(db) == 1
    assert sql.execute("SELECT network::text FROM login_failures_by_network").fetchall() == [("192.0.2.1/32",)]
