"""The pages as a browser without JavaScript sees them: a cookie, links and forms."""

import re
from html import unescape

import argon2
import httpx

from jobhub.domain.users import User
from tests import factories
from tests.factories import make_user

CHEAP_HASH = argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(factories.PASSWORD)


def make_person(sql, email: str, *, role: str = "user") -> User:
    """A user who can sign in with `factories.PASSWORD`."""
    return make_user(sql, email, role=role, password_hash=CHEAP_HASH)


class Browser:
    """One browser on the API of a test. It keeps cookies, follows nothing by itself, and fills in forms as they stand."""

    def __init__(self, api: factories.Api) -> None:
        self.client = httpx.AsyncClient(transport=api.client._transport, base_url="http://api")

    async def get(self, path: str, **options) -> httpx.Response:
        return await self.client.get(path, **options)

    async def post(self, path: str, **fields) -> httpx.Response:
        """A form with the token of this session's pages."""
        return await self.client.post(path, data={"form_token": await self.form_token(), **fields})

    async def sign_in(self, email: str, password: str = factories.PASSWORD, **options) -> httpx.Response:
        return await self.client.post("/ui/sign-in", data={"email": email, "password": password}, **options)

    async def form_token(self) -> str:
        return token_of(await self.get("/ui/jobs"))

    async def text(self, path: str) -> str:
        """What a person reads on a page."""
        answer = await self.get(path)
        assert answer.status_code == 200, (path, answer.status_code, answer.text[:500])
        return words_of(answer.text)


def token_of(answer: httpx.Response) -> str:
    found = re.search(r'name="form_token" value="([0-9a-f]{64})"', answer.text)
    assert found, answer.text[:500]
    return found[1]


def words_of(html: str) -> str:
    """A page's text without tags, spaces collapsed."""
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", html)).split())


async def signed_in(api, user: User) -> Browser:
    """A browser of a person made by `make_person`."""
    browser = Browser(api)
    answer = await browser.sign_in(user.email)
    assert answer.status_code == 303, answer.text
    return browser
