"""Signing keys and tokens; what the API makes of bad ones stands in tests/web/test_auth.py."""

import time
from types import SimpleNamespace

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
    token = tokens.sign(factories.KEY, user_id, now=time.time() - age)

    if is_accepted:
        assert tokens.verify(factories.KEY, token) == user_id
    else:
        with pytest.raises(Unauthenticated) as refused:
            tokens.verify(factories.KEY, token)
        assert refused.value.code == "token_expired"


def test_a_token_that_was_good_before_is_refused_once_it_has_expired(monkeypatch):
    now = time.time()
    token = tokens.sign(factories.KEY, factories.new_id(), now=now)
    tokens.verify(factories.KEY, token)

    monkeypatch.setattr(tokens, "time", SimpleNamespace(time=lambda: now + tokens.LIFETIME_SECONDS + tokens.CLOCK_SKEW_SECONDS + 1))

    with pytest.raises(Unauthenticated) as refused:
        tokens.verify(factories.KEY, token)
    assert refused.value.code == "token_expired"


def test_a_token_that_was_good_before_is_good_under_its_own_key_alone():
    token = tokens.sign(factories.KEY, factories.new_id(), now=time.time())
    tokens.verify(factories.KEY, token)

    for other in (factories.KEY + b"!", factories.KEY[:-1]):
        with pytest.raises(Unauthenticated):
            tokens.verify(other, token)
