"""Which spellings of an address are the account: its case may differ, but another character stays another address.

PostgreSQL's lower() makes `i` of U+0130 and `k` of U+212A too, so somebody else's address could stand for an account of ours.
"""

import argon2
import pytest

from jobhub.store import users
from tests import factories
from tests.factories import make_user

CHEAP_HASH = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(factories.PASSWORD)

# (the account, another case of it)
SAME = [
    ("admin@example.org", "ADMIN@Example.ORG"),
    ("Kate@example.org", "kATE@example.org"),
    ("j\u00f6rg@example.org", "J\u00d6RG@example.org"),
    ("\u03b1\u03c3@example.org", "\u0391\u03a3@example.org"),
    ("\u0438\u0433\u043e\u0440\u044c@example.org", "\u0418\u0413\u041e\u0420\u042c@example.org"),
]
# (the account, an address that looks like it)
OTHER = [
    ("admin@example.org", "adm\u0130n@example.org"),
    ("admin@example.org", "adm\u0131n@example.org"),
    ("kate@example.org", "\u212aate@example.org"),
    ("Kate@example.org", "\u212aate@example.org"),
    ("sam@example.org", "\u017fam@example.org"),
    ("\u00e5sa@example.org", "\u212bsa@example.org"),
    ("\u03c9@example.org", "\u2126@example.org"),
    ("admin@example.org", "admin@e\u2024xample.org"),
    ("admin@example.org", "admin@example.org "),
]


@pytest.mark.parametrize(("ours", "given"), SAME)
async def test_the_case_of_an_address_makes_no_difference(db, sql, ours, given):
    user = make_user(sql, ours)

    for spelling in (ours, given):
        found = await users.get_user_by_email(db, spelling)
        assert found is not None
        assert found[0].id == user.id


@pytest.mark.parametrize(("ours", "given"), OTHER)
async def test_a_look_alike_is_another_address(db, sql, ours, given):
    make_user(sql, ours)

    assert await users.get_user_by_email(db, given) is None


async def test_no_character_of_another_script_stands_for_a_letter(db, sql):
    """All those that lower() takes for one: which they are depends on the locale of the database."""
    folded = sql.execute(
        "SELECT chr(code) AS other, lower(chr(code)) AS letter FROM generate_series(128, 1114111) AS code"
        " WHERE code NOT BETWEEN 55296 AND 57343 AND lower(chr(code)) BETWEEN 'a' AND 'z' AND length(lower(chr(code))) = 1"
        " AND octet_length(lower(chr(code))) = 1"
    ).fetchall()
    for letter in {row.letter for row in folded}:
        make_user(sql, f"{letter}@example.org")

    found = {row.other: await users.get_user_by_email(db, f"{row.other}@example.org") for row in folded}

    assert found == dict.fromkeys(found)


async def test_guesses_for_a_look_alike_are_no_guesses_for_the_account(api, sql):
    """Each address is counted by itself, so an account that is reached by many has as many counters."""
    make_user(sql, "initial@example.org", password_hash=CHEAP_HASH)

    for email, status in (("\u0130nitial@example.org", 401), ("in\u0130t\u0130al@example.org", 401), ("INITIAL@example.org", 200)):
        answer = await api.call(None, "POST", "/auth/token", {"email": email, "password": factories.PASSWORD})
        assert answer.status_code == status, email
