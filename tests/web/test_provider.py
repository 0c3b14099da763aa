"""Tokens of an identity provider: whom they let in, what its key set may do, and attacks."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from contextlib import ExitStack, asynccontextmanager

import httpx
import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from jobhub.app import create_litestar
from jobhub.domain.errors import OperatorError
from jobhub.services import provider as provider_module
from jobhub.services.provider import provider_options
from jobhub.web.edge import Edge
from tests.conftest import running_lifespan
from tests.factories import KEYS, token
from tests.web.provider import running_provider


@pytest.fixture
def idp():
    with running_provider() as provider:
        yield provider


@asynccontextmanager
async def accepting(idp, dsn, registry, options=None):
    litestar = create_litestar(dsn=dsn, keys=KEYS, registry=registry, provider=options or idp.options)
    async with running_lifespan(litestar.lifespan):
        transport = httpx.ASGITransport(Edge(litestar), raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            yield client


@pytest.fixture
async def client(dsn, registry, idp):
    async with accepting(idp, dsn, registry) as client:
        yield client


async def me(client, bearer):
    return await client.get("/auth/me", headers={"Authorization": f"Bearer {bearer}"})


async def codes(client, cases):
    answers = {case: await me(client, bearer) for case, bearer in cases.items()}
    return {case: (answer.status_code, answer.json().get("code")) for case, answer in answers.items()}


def refused(cases, code="invalid_token"):
    return dict.fromkeys(cases, (401, code))


async def test_the_email_finds_the_account_and_ours_work_beside(client, idp, alice):
    answers = [
        await me(client, idp.token(alice.email.upper(), email_verified=True)),
        await me(client, idp.token(alice.email, kid="two", role="admin")),
        await me(client, token(alice)),
    ]

    assert [answer.status_code for answer in answers] == [200] * 3
    assert {(answer.json()["id"], answer.json()["role"]) for answer in answers} == {(str(alice.id), "user")}
    assert idp.requests == ["/keys"]


async def test_who_has_no_account_here_is_told_so(client, idp, alice, bob, sql):
    sql.execute("UPDATE users SET disabled_at = now() WHERE id = %s", [bob.id])
    cases = {
        "nobody": idp.token("nobody@example.org"),
        "disabled": idp.token(bob.email),
        "unconfirmed": idp.token(alice.email, email_verified=False),
        "not a word of it": idp.token(alice.email, email_verified=None),
        "confirmed by a text": idp.token(alice.email, email_verified="true"),
        "no address": idp.token(None),
        **{f"address {odd!r}": idp.token(odd) for odd in ("", 5, [alice.email], {"a": 1}, True, "a\0b", "\ud800")},
    }

    assert await codes(client, cases) == refused(cases, "unknown_account")


async def test_attacks_are_refused_and_nothing_they_name_is_fetched(client, idp, alice):
    now, elsewhere = int(time.time()), f"{idp.url}/evil"
    header, payload, signature = idp.token(alice.email).split(".")
    public = idp.private["one"].public_key()
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    claims, stranger = idp.claims(alice.email), rsa.generate_private_key(public_exponent=65537, key_size=2048)
    other_jwk = idp.jwk("two")
    cases = {
        **{f"alg {alg}": f"{segment({'alg': alg, 'kid': 'one'})}.{payload}." for alg in ("none", "None", "NONE", "nOnE", "", None, 5)},
        "HS256 with the PEM": hs256(claims, pem),
        "HS256 with the raw key": hs256(claims, raw),
        "HS256 with our key": jwt.encode(claims, KEYS.current, algorithm="HS256", headers={"kid": "one"}),
        "RS256": jwt.encode(claims, stranger, algorithm="RS256", headers={"kid": "one"}),
        "another key's signature": idp.token(alice.email, kid="two", headers={"kid": "one"}),
        "a key it brings": idp.token(alice.email, kid="two", headers={"kid": "one", "jwk": other_jwk}),
        "a key set it names": idp.token(alice.email, kid="two", headers={"kid": "evil", "jku": elsewhere}),
        "a certificate it names": idp.token(alice.email, kid="two", headers={"kid": "evil", "x5u": elsewhere}),
        "critical": idp.token(alice.email, headers={"crit": ["x"], "x": 1}),
        "payload apart": f"{segment({'alg': 'EdDSA', 'kid': 'one', 'b64': False, 'crit': ['b64']})}.{payload}.{signature}",
        "no kid": jwt.encode(claims, idp.private["one"], algorithm="EdDSA"),
        "unknown kid": idp.token(alice.email, headers={"kid": "three"}),
        "another type": idp.token(alice.email, headers={"typ": "logout+jwt"}),
        "another issuer": idp.token(alice.email, iss="https://other.example.org"),
        "our issuer": idp.token(alice.email, iss="jobhub", aud="jobhub", sub=str(alice.id)),
        "issuers": f"{header}.{segment(claims | {'iss': []})}.{signature}",
        "another audience": idp.token(alice.email, aud="jobhub"),
        "not valid before": idp.token(alice.email, nbf=now + 60),
        "from the future": idp.token(alice.email, iat=now + 60),
        "a time without end": idp.token(alice.email, exp=float("inf")),
        **{f"no {claim}": idp.token(alice.email, **{claim: None}) for claim in ("iss", "aud", "sub", "iat", "exp", "jti")},
        "a number for a subject": jwt.api_jws.encode(
            json.dumps(claims | {"sub": 5}).encode(), idp.private["one"], algorithm="EdDSA", headers={"kid": "one"}
        ),
        "empty signature": f"{header}.{payload}.",
        "changed payload": f"{header}.{segment(claims | {'email': 'admin@example.org'})}.{signature}",
        "100 KB": idp.token(alice.email, filler="x" * 75_000),
    }

    assert await codes(client, cases) == refused(cases)
    assert await codes(client, {"old": idp.token(alice.email, exp=now - 6)}) == refused(["old"], "token_expired")
    assert set(idp.requests) == {"/keys"}


async def test_a_new_key_is_fetched_once_for_all_and_not_too_often(client, idp, alice, monkeypatch):
    idp.published = ["one"]
    assert (await me(client, idp.token(alice.email))).status_code == 200
    idp.published = ["two"]

    early = await me(client, idp.token(alice.email, kid="two"))
    assert (early.status_code, idp.requests) == (401, ["/keys"])

    monkeypatch.setattr(provider_module, "REFETCH_SECONDS", 0.0)
    answers = await asyncio.gather(*(me(client, idp.token(alice.email, kid="two")) for _ in range(5)))
    assert [answer.status_code for answer in answers] == [200] * 5
    assert idp.requests == ["/keys"] * 2

    assert (await me(client, idp.token(alice.email, headers={"kid": "one"}))).status_code == 401


async def test_a_key_that_was_withdrawn_is_refused_once_the_keys_are_old(client, idp, alice, monkeypatch):
    assert (await me(client, idp.token(alice.email))).status_code == 200
    idp.published = ["two"]
    assert (await me(client, idp.token(alice.email))).status_code == 200

    monkeypatch.setattr(provider_module, "MAX_AGE_SECONDS", 0.0)
    async with asyncio.timeout(20):
        while (await me(client, idp.token(alice.email))).status_code != 401:
            await asyncio.sleep(0.01)


GARBAGE = [
    b"",
    b"<html>",
    b"[]",
    b'{"keys": 5}',
    b'{"keys": [5]}',
    b'{"keys": []}',
    b"[" * 100_000,
    b" " * 300_000,
    b"\xff\x00",
    b'{"keys": [{"a": ' + b"[" * 50_000,
]


async def test_known_keys_go_on_whatever_the_provider_answers(client, idp, alice, monkeypatch):
    monkeypatch.setattr(provider_module, "REFETCH_SECONDS", 0.0)
    assert (await me(client, idp.token(alice.email))).status_code == 200
    unknown = idp.token(alice.email, headers={"kid": "three"})

    for status, body in [(500, None), (302, None), *((200, garbage) for garbage in GARBAGE)]:
        idp.status, idp.body = status, body
        assert (await me(client, unknown)).status_code == 401, body
        assert (await me(client, idp.token(alice.email))).status_code == 200, body
    assert set(idp.requests) == {"/keys"}


async def test_known_keys_go_on_while_the_provider_is_away(dsn, registry, alice, monkeypatch):
    monkeypatch.setattr(provider_module, "REFETCH_SECONDS", 0.0)
    with ExitStack() as stack:
        idp = stack.enter_context(running_provider())
        async with accepting(idp, dsn, registry) as client:
            assert (await me(client, idp.token(alice.email))).status_code == 200
            stack.close()

            assert (await me(client, idp.token(alice.email, headers={"kid": "three"}))).status_code == 401
            assert (await me(client, idp.token(alice.email))).status_code == 200


async def test_requests_with_known_keys_do_not_wait_for_a_fetch(client, idp, alice, monkeypatch):
    monkeypatch.setattr(provider_module, "REFETCH_SECONDS", 0.0)
    idp.published = ["one"]
    assert (await me(client, idp.token(alice.email))).status_code == 200
    idp.may_answer.clear()
    idp.published = ["one", "two"]

    waiting = [asyncio.create_task(me(client, idp.token(alice.email, kid="two"))) for _ in range(3)]
    async with asyncio.timeout(5):
        while len(idp.requests) < 2:
            await asyncio.sleep(0.01)
    known = await me(client, idp.token(alice.email))
    assert (known.status_code, [task.done() for task in waiting]) == (200, [False] * 3)
    waiting.pop().cancel()

    idp.may_answer.set()
    assert [answer.status_code for answer in await asyncio.gather(*waiting)] == [200] * 2
    assert idp.requests == ["/keys"] * 2


async def test_a_provider_that_never_answers_costs_a_refusal(client, idp, alice, monkeypatch):
    monkeypatch.setattr(provider_module, "FETCH_SECONDS", 0.1)
    idp.may_answer.clear()

    assert (await me(client, idp.token(alice.email))).status_code == 401
    idp.may_answer.set()


async def test_rsa_keys_verify_rs256_and_are_no_secret(dsn, registry, idp, alice):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = key.public_key()
    jwk = jwt.algorithms.RSAAlgorithm.to_jwk(public, as_dict=True) | {"kid": "one"}
    idp.body = json.dumps(
        {"keys": [jwk, idp.jwk("two"), {"kty": "oct", "k": "AAAA", "kid": "oct"}, {"kty": "RSA", "n": 5, "kid": "x"}]}
    ).encode()
    claims, options = idp.claims(alice.email), msgspec.structs.replace(idp.options, algorithm="RS256")
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    bad = {
        "HS256 with the PEM": hs256(claims, pem),
        "RS512": jwt.encode(claims, key, algorithm="RS512", headers={"kid": "one"}),
        "PS256": jwt.encode(claims, key, algorithm="PS256", headers={"kid": "one"}),
        "EdDSA": idp.token(alice.email, kid="two"),
        "a key that is none": jwt.encode(claims, key, algorithm="RS256", headers={"kid": "x"}),
    }

    async with accepting(idp, dsn, registry, options) as client:
        assert (await me(client, jwt.encode(claims, key, algorithm="RS256", headers={"kid": "one"}))).status_code == 200
        assert await codes(client, bad) == refused(bad)


ALL = {"jwks_url": "https://idp/keys", "issuer": "https://idp", "audience": "jobhub", "algorithm": "RS256"}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        *(({name: None}, "must be set too") for name in ALL),
        *(({"algorithm": name}, "JOBHUB_JWKS_ALGORITHM must be one of") for name in ("none", "HS256", "rs256")),
        *(
            ({"jwks_url": url}, "JOBHUB_JWKS_URL must be")
            for url in ("file:///etc/passwd", "ftp://idp/", "https://", "http://[", "idp/keys")
        ),
        ({"issuer": "jobhub"}, "JOBHUB_JWKS_ISSUER can't be"),
    ],
)
def test_a_provider_that_is_half_configured_is_refused(changes, said):
    with pytest.raises(OperatorError, match=said):
        provider_options(**(ALL | changes))


def test_no_provider_is_fine():
    assert provider_options(**dict.fromkeys(ALL)) is None


def segment(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def hs256(claims, secret):
    """Signed by hand: the library itself refuses a public key as a secret."""
    signed = f"{segment({'alg': 'HS256', 'typ': 'JWT', 'kid': 'one'})}.{segment(claims)}"
    return f"{signed}.{base64.urlsafe_b64encode(hmac.digest(secret, signed.encode(), hashlib.sha256)).rstrip(b'=').decode()}"
