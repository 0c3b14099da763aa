"""The two clients: the same operations, the same signatures, and addresses that make sense."""

import inspect

import pytest

from jobhub.client import AsyncClient, Client


def operations(client: type) -> dict[str, str]:
    own = {"run", "iterate", "renew", "close"}
    return {
        name: str(inspect.signature(member).replace(return_annotation=inspect.Signature.empty))
        for name, member in vars(client).items()
        if inspect.isfunction(member) and not name.startswith("_") and name not in own
    }


def test_both_have_the_same_operations_with_the_same_arguments():
    assert len(operations(Client)) > 20
    assert operations(Client) == operations(AsyncClient)


def test_every_operation_says_what_it_does():
    assert [name for name in operations(Client) if not inspect.getdoc(getattr(Client, name))] == []


@pytest.mark.parametrize("url", ["jobs.example.org", "ftp://jobs.example.org", "http://", "http://ada:secret@jobs.example.org"])
def test_an_address_that_makes_no_sense_is_refused(url):
    with pytest.raises(ValueError, match="address") as raised:
        Client(url)
    assert "secret" not in str(raised.value)


def test_a_password_without_an_address_is_refused():
    with pytest.raises(ValueError, match="needs a password"):
        Client("http://127.0.0.1", email="ada@example.org")


@pytest.mark.parametrize("token", ["", "secret\nx", "secrét", "a secret"])
def test_a_token_that_cannot_be_sent_is_refused_without_being_shown(token):
    with pytest.raises(ValueError, match="no token") as raised:
        Client("http://127.0.0.1", token=token)
    assert "secr" not in str(raised.value)


@pytest.mark.parametrize("key", ["", "two words", "schlüssel", "x" * 201])
def test_a_key_that_cannot_be_sent_is_refused_before_anything_is(key):
    with Client("http://127.0.0.1:9", token="x") as client, pytest.raises(ValueError, match="200 visible ASCII"):
        client.submit("demo.sleep", idempotency_key=key)
