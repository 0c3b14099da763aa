"""Logging in and out, refresh tokens, throttling, and accounts as administrators manage them."""

import asyncio
import hashlib

import argon2
import pytest

from tests import factories
from tests.factories import make_job, make_user

# Checked with its own, cheap parameters; a success replaces it by one of full strength.
CHEAP_HASH = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(factories.PASSWORD)
USER = {"id", "email", "role", "disabled", "created_at"}
TOKENS = {"access_token", "token_type", "expires_in", "refresh_token"}


@pytest.fixture
def carol(sql):
    return make_user(sql, "Carol@example.org", password_hash=CHEAP_HASH)


async def log_in(api, email="carol@example.org", password=factories.PASSWORD):
    return await api.call(None, "POST", "/auth/token", {"email": email, "password": password})


async def refresh(api, token):
    return await api.call(None, "POST", "/auth/refresh", {"refresh_token": token})


async def test_a_login_gives_tokens_that_work_and_renews_an_old_hash(api, carol, sql):
    response = await log_in(api)

    tokens = response.json()
    me = await api.call(None, "GET", "/auth/me", headers={"authorization": f"Bearer {tokens['access_token']}"})
    assert (response.status_code, tokens.keys()) == (200, TOKENS)
    assert (tokens["token_type"], tokens["expires_in"]) == ("bearer", 900)
    assert {name: me.json()[name] for name in ("id", "email", "role")} == {
        "id": str(carol.id),
        "email": "Carol@example.org",
        "role": "user",
    }
    assert sql.execute("SELECT password_hash FROM users").fetchone().password_hash.startswith("$argon2id$v=19$m=65536,t=3,p=1$")
    assert (await log_in(api)).status_code == 200


async def test_nobody_can_tell_why_a_login_failed(api, carol, sql):
    make_user(sql, "disabled@example.org", password_hash=CHEAP_HASH)
    sql.execute("UPDATE users SET disabled_at = now() WHERE email = 'disabled@example.org'")

    answers = [
        await log_in(api, password="wrong"),
        await log_in(api, email="nobody@example.org"),
        await log_in(api, email="disabled@example.org"),
    ]

    bodies = [{name: value for name, value in answer.json().items() if name != "request_id"} for answer in answers]
    assert [answer.status_code for answer in answers] == [401, 401, 401]
    assert bodies[0] == bodies[1] == bodies[2]
    assert bodies[0]["code"] == "wrong_credentials"
    assert all(answer.headers["www-authenticate"].startswith("Bearer") for answer in answers)


@pytest.mark.parametrize("email", ["carol@example.org", "nobody@example.org"])
async def test_after_five_failures_a_login_has_to_wait_whether_the_user_exists_or_not(api, carol, sql, email):
    failures = [await log_in(api, email=email, password="wrong") for _ in range(5)]
    sql.execute("UPDATE login_failures_by_account_and_network SET failures = 8")  # 8 s: a wait this test can't outlive
    throttled = await log_in(api, email=email.upper())

    assert [answer.status_code for answer in failures] == [401] * 5
    assert (throttled.status_code, throttled.json()["code"]) == (429, "too_many_attempts")
    assert 1 <= int(throttled.headers["retry-after"]) <= 8


async def test_the_fifth_failure_is_answered_and_the_sixth_is_throttled(api, carol, sql):
    fingerprint = hashlib.sha256(b"carol@example.org").digest()
    sql.execute("INSERT INTO login_failures_by_account_and_network VALUES (%s, '127.0.0.1/32', 4, now())", [fingerprint])

    answers = [(await log_in(api, password="wrong")).status_code for _ in range(2)]

    assert answers == [401, 429]


async def test_the_throttle_ends_and_a_success_forgets_the_failures(api, carol, sql):
    fingerprint = hashlib.sha256(b"carol@example.org").digest()
    sql.execute(
        "INSERT INTO login_failures_by_account_and_network VALUES (%s, '127.0.0.1', 1000, now() - interval '14 min 55 s')", [fingerprint]
    )
    throttled = await log_in(api)
    sql.execute("UPDATE login_failures_by_account_and_network SET last_failed_at = now() - interval '15 min 1 s'")

    answer = await log_in(api)

    assert (throttled.status_code, answer.status_code) == (429, 200)
    assert sql.execute("SELECT FROM login_failures_by_account_and_network").fetchall() == []


async def test_a_refresh_token_works_once_and_its_reuse_revokes_the_family(api, carol, sql):
    first = (await log_in(api)).json()["refresh_token"]
    other_login = (await log_in(api)).json()["refresh_token"]
    rotated = await refresh(api, first)
    second = rotated.json()["refresh_token"]

    reused = await refresh(api, first)
    after = await refresh(api, second)
    unharmed = await refresh(api, other_login)

    assert (rotated.status_code, rotated.json().keys()) == (200, TOKENS)
    assert [(answer.status_code, answer.json()["code"]) for answer in (reused, after)] == [(401, "invalid_refresh_token")] * 2
    assert unharmed.status_code == 200
    assert "www-authenticate" in reused.headers


async def test_a_refresh_token_used_twice_at_once_revokes_the_family(api, carol):
    token = (await log_in(api)).json()["refresh_token"]

    answers = await asyncio.gather(*(refresh(api, token) for _ in range(2)))
    winner = next(answer for answer in answers if answer.status_code == 200)

    assert sorted(answer.status_code for answer in answers) == [200, 401]
    assert (await refresh(api, winner.json()["refresh_token"])).status_code == 401


async def test_an_expired_refresh_token_is_refused(api, carol, sql):
    token = (await log_in(api)).json()["refresh_token"]
    sql.execute("UPDATE refresh_tokens SET created_at = now() - interval '31 days', expires_at = now() - interval '1 s'")

    assert (await refresh(api, token)).status_code == 401


async def test_a_refresh_token_is_kept_as_a_hash_only(api, carol, sql):
    await log_in(api)

    row = sql.execute("SELECT * FROM refresh_tokens").fetchone()
    assert (row.user_id, len(row.secret_sha256), row.used_at) == (carol.id, 32, None)


async def test_a_logout_revokes_the_family_and_may_be_repeated(api, carol):
    token = (await log_in(api)).json()["refresh_token"]

    answers = [await api.call(carol, "POST", "/auth/logout", {"refresh_token": token}) for _ in range(2)]

    assert [(answer.status_code, answer.content) for answer in answers] == [(204, b"")] * 2
    assert (await refresh(api, token)).status_code == 401


async def test_an_account_is_created_listed_and_able_to_log_in(api, admin, sql):
    created = await api.call(admin, "POST", "/users", {"email": " Dave@example.org ", "password": factories.PASSWORD, "role": "user"})
    listed = await api.call(admin, "GET", "/users")

    user = created.json()
    assert (created.status_code, user.keys()) == (201, USER)
    assert (user["email"], user["role"], user["disabled"]) == ("Dave@example.org", "user", False)
    assert [item["email"] for item in listed.json()] == ["admin@example.org", "Dave@example.org"]
    assert listed.json()[1] == user
    assert (await log_in(api, email="dave@EXAMPLE.org")).status_code == 200
    audit = sql.execute("SELECT * FROM audit_log").fetchone()
    assert (audit.actor_id, audit.verb, str(audit.user_id), audit.details) == (admin.id, "create_user", user["id"], {"role": "user"})
    assert audit.request_id == created.headers["x-request-id"]


@pytest.mark.parametrize("length", [12, 1024])
async def test_the_limits_of_a_password_are_bytes(api, admin, length):
    body = {"email": "e@example.org", "password": "ä" * (length // 2), "role": "user"}

    assert (await api.call(admin, "POST", "/users", body)).status_code == 201


async def test_one_address_makes_one_account_whatever_its_case(api, admin):
    body = {"password": factories.PASSWORD, "role": "user"}

    answers = await asyncio.gather(*(api.call(admin, "POST", "/users", body | {"email": email}) for email in ("x@y.z", "X@Y.Z")))

    assert sorted(answer.status_code for answer in answers) == [201, 409]


async def test_an_account_changes_only_where_it_was_told_to(api, alice, admin, sql):
    promoted = await api.call(admin, "PATCH", f"/users/{alice.id}", {"role": "admin"})
    unchanged = await api.call(admin, "PATCH", f"/users/{alice.id}", {"role": None, "disabled": None, "password": None})

    assert (promoted.status_code, promoted.json().keys(), promoted.json()["role"]) == (200, USER, "admin")
    assert unchanged.json() == promoted.json()
    assert (await api.call(alice, "GET", "/users")).status_code == 200  # her old token, her new role
    audit = sql.execute("SELECT verb, details FROM audit_log ORDER BY id").fetchone()
    assert (audit.verb, audit.details) == ("change_user", {"role": "admin", "password_changed": False})


async def test_a_new_password_replaces_the_old_one_and_ends_its_logins(api, carol, admin):
    token = (await log_in(api)).json()["refresh_token"]

    await api.call(admin, "PATCH", f"/users/{carol.id}", {"password": "another good password"})

    assert (await refresh(api, token)).status_code == 401
    assert (await log_in(api)).status_code == 401
    assert (await log_in(api, password="another good password")).status_code == 200


async def test_disabling_refuses_at_once_and_cancels_what_is_pending(api, carol, admin, sql):
    token = (await log_in(api)).json()["refresh_token"]
    pending, running, completed = (make_job(sql, carol, status=status) for status in ("pending", "running", "completed"))

    answer = await api.call(admin, "PATCH", f"/users/{carol.id}", {"disabled": True})

    assert answer.json()["disabled"] is True
    assert (await api.call(carol, "GET", "/auth/me")).status_code == 401
    assert (await refresh(api, token)).status_code == 401
    statuses = {job_id: factories.job_row(sql, job_id).status for job_id in (pending, running, completed)}
    assert statuses == {pending: "cancelled", running: "running", completed: "completed"}
    assert factories.job_row(sql, running).cancel_requested_at is None
    audit = sql.execute("SELECT * FROM audit_log WHERE verb = 'cancel'").fetchone()
    assert (audit.job_id, audit.actor_id, audit.reason) == (pending, admin.id, "the account was disabled")

    await api.call(admin, "PATCH", f"/users/{carol.id}", {"disabled": False})
    assert (await api.call(carol, "GET", "/auth/me")).status_code == 200


@pytest.mark.parametrize("change", [{"role": "user"}, {"disabled": True}, {"role": "admin", "disabled": True}])
async def test_the_last_administrator_stays(api, admin, sql, change):
    disabled = make_user(sql, "second@example.org", role="admin")
    sql.execute("UPDATE users SET disabled_at = now() WHERE id = %s", [disabled.id])

    answer = await api.call(admin, "PATCH", f"/users/{admin.id}", change)

    assert (answer.status_code, answer.json()["code"]) == (409, "last_administrator")
    assert (await api.call(admin, "GET", "/users")).status_code == 200


@pytest.mark.parametrize("change", [{"role": "user"}, {"disabled": True}])
async def test_two_administrators_can_not_remove_each_other_at_once(api, admin, sql, change):
    second = make_user(sql, "second@example.org", role="admin")

    answers = await asyncio.gather(
        api.call(admin, "PATCH", f"/users/{second.id}", change), api.call(second, "PATCH", f"/users/{admin.id}", change)
    )

    # Who comes second may already be no administrator any more when they are asked who they are.
    codes = sorted(answer.status_code for answer in answers)
    assert codes[0] == 200
    assert codes[1] in (401, 403, 409)
    assert len(sql.execute("SELECT FROM users WHERE role = 'admin' AND disabled_at IS NULL").fetchall()) == 1


async def test_neither_token_stands_for_the_other(api, carol):
    pair = (await log_in(api)).json()

    as_access = await api.client.get("/auth/me", headers={"Authorization": f"Bearer {pair['refresh_token']}"})
    as_refresh = await refresh(api, pair["access_token"])

    assert (as_access.status_code, as_access.json()["code"]) == (401, "invalid_token")
    assert (as_refresh.status_code, as_refresh.json()["code"]) == (401, "invalid_refresh_token")
