"""Signing keys and tokens; what the API makes of bad ones stands in tests/web/test_auth.py."""

import time
from types import SimpleNamespace

import jwt
import pytest

from jobhub.domain.errors import OperatorError, Unauthenticated
from jobhub.services import tokens
from tests import factories

GOOD = "Zk3vQ9xW1rT7yU5iO2pA8sD4fG6hJ0kL"


def test_a_new_secret_is_a_good_one():
    assert tokens.check_secret(tokens.new_secret())


@pytest.mark.parametrize(
    "secret", ["", "x" * 31, "x" * 64, "change-me-" * 5, "your-256-bit-secret-goes-here-please", "my-example-key-of-some-length-abcdef"]
)
def test_a_short_or_well_known_secret_is_refused_with_advice(secret):
    with pytest.raises(OperatorError, match="token_urlsafe"):
        tokens.check_secret(secret)


def test_thirty_two_bytes_are_enough():
    assert tokens.check_secret(GOOD) == GOOD.encode()


# (seconds since it was signed, whether it is accepted): a lifetime of 900 s and 5 s of leeway
@pytest.mark.parametrize(("age", "is_accepted"), [(0, True), (890, True), (903, True), (907, False)])
def test_a_token_lives_fifteen_minutes_and_a_little_clock_skew(age, is_accepted):
    user_id = factories.new_id()
    token = tokens.sign(factories.KEYS, user_id, now=time.time() - age)

    if is_accepted:
        assert tokens.verify(factories.KEYS, token) == user_id
    else:
        with pytest.raises(Unauthenticated) as refused:
            tokens.verify(factories.KEYS, token)
        assert refused.value.code == "token_expired"


def test_a_token_that_was_good_before_is_refused_once_it_has_expired(monkeypatch):
    now = time.time()
    token = tokens.sign(factories.KEYS, factories.new_id(), now=now)
    tokens.verify(factories.KEYS, token)

    monkeypatch.setattr(tokens, "time", SimpleNamespace(time=lambda: now + tokens.LIFETIME_SECONDS + tokens.CLOCK_SKEW_SECONDS + 1))

    with pytest.raises(Unauthenticated) as refused:
        tokens.verify(factories.KEYS, token)
    assert refused.value.code == "token_expired"


def test_a_token_that_was_good_before_is_good_under_its_own_key_alone():
    token = tokens.sign(factories.KEYS, factories.new_id(), now=time.time())
    tokens.verify(factories.KEYS, token)

    for other in (factories.KEY + b"!", factories.KEY[:-1]):
        with pytest.raises(Unauthenticated):
            tokens.verify(tokens.Keys(other), token)


NEW = b"a newer key for tests, of more than 32 bytes"


def test_while_keys_are_changed_both_are_good_and_the_new_one_signs():
    user_id, now = factories.new_id(), time.time()
    before, rotating = factories.KEYS, tokens.Keys(NEW, factories.KEY)
    old, new = tokens.sign(before, user_id, now=now), tokens.sign(rotating, user_id, now=now)

    assert tokens.verify(rotating, old) == tokens.verify(rotating, new) == user_id
    assert tokens.verify(tokens.Keys(NEW), new) == user_id
    for keys, token in ((before, new), (tokens.Keys(NEW), old)):
        with pytest.raises(Unauthenticated):
            tokens.verify(keys, token)


def test_the_kid_names_the_key_and_an_unknown_one_is_refused():
    user_id = factories.new_id()
    token = tokens.sign(factories.KEYS, user_id, now=time.time())
    assert jwt.get_unverified_header(token)["kid"] == tokens.key_id(factories.KEY) != tokens.key_id(NEW)

    claims = jwt.decode(token, options={"verify_signature": False})
    rotating = tokens.Keys(NEW, factories.KEY)
    for kid in ("0" * 16, "", tokens.key_id(NEW), tokens.key_id(factories.KEY).upper()):
        with pytest.raises(Unauthenticated) as refused:
            tokens.verify(rotating, jwt.encode(claims, factories.KEY, algorithm="HS256", headers={"kid": kid}))
        assert refused.value.code == "invalid_token"


def test_a_token_without_kid_is_tried_with_both_keys():
    user_id = factories.new_id()
    claims = jwt.decode(tokens.sign(factories.KEYS, user_id, now=time.time()), options={"verify_signature": False})
    rotating = tokens.Keys(NEW, factories.KEY)

    for key in rotating.accepted:
        assert tokens.verify(rotating, jwt.encode(claims, key, algorithm="HS256")) == user_id
    with pytest.raises(Unauthenticated):
        tokens.verify(rotating, jwt.encode(claims, NEW + b"!", algorithm="HS256"))
