"""Who gets in: tokens of every bad kind, the header they come in, and the list of doors that are open."""

import base64
import json
import time

import jwt
import pytest

from tests import factories
from tests.factories import KEY


def claims(user, **changes):
    now = int(time.time())
    given = {"iss": "jobhub", "aud": "jobhub", "sub": str(user.id), "iat": now, "exp": now + 60, "jti": "j"}
    return {name: value for name, value in (given | changes).items() if value is not None}


def signed(user, *, key=KEY, algorithm="HS256", headers=None, **changes):
    return jwt.encode(claims(user, **changes), key, algorithm=algorithm, headers=headers)


def segment(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


async def me(api, *authorizations: str):
    return await api.client.get("/auth/me", headers=[("authorization", value) for value in authorizations])


async def test_no_token_is_a_challenge(api):
    response = await api.client.get("/auth/me")

    assert (response.status_code, response.json()["code"]) == (401, "unauthenticated")
    assert response.headers["www-authenticate"] == 'Bearer realm="jobhub"'


async def test_a_token_of_ours_is_accepted_with_the_scheme_in_any_case(api, alice):
    for scheme in ("Bearer", "bearer", "BEARER", "bEaReR"):
        assert (await me(api, f"{scheme} {signed(alice)}")).status_code == 200, scheme


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
async def test_every_bad_token_is_a_401(api, alice, sql):
    now = int(time.time())
    header, payload, signature = signed(alice).split(".")
    cases = {
        "expired beyond the leeway": signed(alice, exp=now - 6),
        "not valid before": signed(alice, nbf=now + 60),
        "from the future": signed(alice, iat=now + 60),
        "another secret": signed(alice, key=b"another key for tests, of more than 32 bytes"),
        "another algorithm": signed(alice, algorithm="HS512"),
        "alg none": jwt.encode(claims(alice), None, algorithm="none"),
        "alg none with our signature": f"{jwt.encode(claims(alice), None, algorithm='none').rpartition('.')[0]}.{signature}",
        "no signature": f"{header}.{payload}.",
        "a changed payload": f"{header}.{jwt.encode(claims(alice, role='admin'), KEY).split('.')[1]}.{signature}",
        "another type": signed(alice, headers={"typ": "logout+jwt"}),
        "an unknown key id": signed(alice, headers={"kid": "0" * 16}),
        **{f"alg {name}": f"{segment({'alg': name, 'typ': 'JWT'})}.{payload}." for name in ("None", "NONE", "nOnE", "", None, 5)},
        "no alg": f"{segment({'typ': 'JWT'})}.{payload}.{signature}",
        "a header that is no object": f"{segment([])}.{payload}.{signature}",
        "a header of many levels": f"{base64.urlsafe_b64encode(b'[' * 6000).decode()}.{payload}.{signature}",
        "a time without end": signed(alice, exp=float("inf")),
        "a payload apart": signed(alice, headers={"b64": False, "crit": ["b64"]}),
        "another issuer": signed(alice, iss="elsewhere"),
        "another audience": signed(alice, aud="elsewhere"),
        "an unknown critical header": signed(alice, headers={"crit": ["x"], "x": 1}),
        **{f"no {claim}": signed(alice, **{claim: None}) for claim in ("iss", "aud", "sub", "iat", "exp", "jti")},
        "nobody's id": signed(alice, sub=str(factories.new_id())),
        "no id": signed(alice, sub="alice"),
        "a number for an id": signed(alice, sub=5),
        "a text for a time": signed(alice, exp="soon"),
        "a refresh token": "A" * 64,
        "garbage": "x",
        "dots": "...",
        "a claim set that is no object": jwt.api_jws.encode(b"[]", KEY, algorithm="HS256"),
        "not ASCII": "ä.ö.ü",
        "very long": "A" * 20_000,
    }

    answers = {case: await me(api, f"Bearer {token}".encode("latin-1")) for case, token in cases.items()}

    wrong = {case: answer.text for case, answer in answers.items() if answer.status_code != 401}
    assert wrong == {}
    assert {answer.headers["www-authenticate"].partition(",")[0] for answer in answers.values()} == {'Bearer realm="jobhub"'}
    assert answers["expired beyond the leeway"].json()["code"] == "token_expired"
    assert {answer.json()["code"] for case, answer in answers.items() if not case.startswith("expired")} == {"invalid_token"}


async def test_five_seconds_of_clock_skew_are_allowed(api, alice):
    now = int(time.time())

    assert (await me(api, f"Bearer {signed(alice, exp=now - 2)}")).status_code == 200
    assert (await me(api, f"Bearer {signed(alice, iat=now + 3)}")).status_code == 200


async def test_every_bad_authorization_header_is_a_401(api, alice):
    token = signed(alice)
    cases = [
        (f"Bearer {token}", f"Bearer {token}"),
        (f"Bearer {token}", "Basic YTpi"),
        (token,),
        ("Bearer",),
        ("Bearer ",),
        (f"Basic {token}",),
        (f"Bearer{token}",),
        (f"Bearer {token} {token}",),
        (f"Bearer {token},{token}",),
        (f"Bearer token={token}",),
    ]

    answers = [await me(api, *case) for case in cases]

    assert [answer.status_code for answer in answers] == [401] * len(cases)


async def test_a_token_in_the_query_opens_nothing(api, alice):
    response = await api.client.get(f"/jobs?access_token={signed(alice)}")

    assert response.status_code == 401


async def test_a_disabled_user_is_refused_at_once(api, alice, sql):
    before = await api.call(alice, "GET", "/auth/me")
    sql.execute("UPDATE users SET disabled_at = now()")

    after = await api.call(alice, "GET", "/auth/me")

    assert (before.status_code, after.status_code, after.json()["code"]) == (200, 401, "invalid_token")


async def test_options_reveals_methods_and_nothing_else(api):
    for path in ("/jobs", "/jobs/admin/all", "/users"):
        response = await api.client.options(path)

        assert (response.status_code, response.content) == (204, b"")
        assert "OPTIONS" in response.headers["allow"]
