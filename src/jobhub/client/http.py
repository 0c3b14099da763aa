"""How requests, answers and errors of the steps become those of httpx: the only part of the client, with its two shells, that knows it."""

from urllib.parse import urlsplit

import httpx

from jobhub import __version__
from jobhub.client.errors import NoAnswer
from jobhub.client.steps import Answer, Request

USER_AGENT = f"jobhub-client/{__version__}"


def base_url(url: str) -> str:
    """An address a client can work with. Raises ValueError: not http or https, no host, or with a password in it."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is not the address of a service, such as https://jobs.example.org.")
    if parts.username is not None:
        raise ValueError(
            "An address must not hold a user's name or password: give the client an e-mail address and a password, or a token."
        )
    return url.rstrip("/")


def request(client: httpx.Client | httpx.AsyncClient, base: str, asked: Request) -> httpx.Request:
    """One to be sent by this client."""
    return client.build_request(
        asked.method,
        base + asked.path,
        params=asked.query or None,
        headers={"accept": "application/json, text/event-stream", "user-agent": USER_AGENT, **asked.headers},
        content=asked.body,
        timeout=httpx.Timeout(asked.timeout_seconds, connect=min(10.0, asked.timeout_seconds)),
    )


def answer(response: httpx.Response, body: bytes = b"") -> Answer:
    """What a response says."""
    return Answer(status=response.status_code, headers={name.lower(): value for name, value in response.headers.items()}, body=body)


def no_answer(error: httpx.RequestError) -> NoAnswer:
    """What the loss of a connection means. Only while it is being made is it sure that nothing was sent."""
    never_sent = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.ProxyError, httpx.UnsupportedProtocol)
    return NoAnswer(f"{type(error).__name__}: {error}".rstrip(": "), may_have_been_done=not isinstance(error, never_sent))
