"""Which service a command speaks to and as whom, and what becomes of an error on the way."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import rich_click as click
from click import get_current_context

from jobhub.cli.jobs.exits import Exit, exit_of_error
from jobhub.cli.jobs.printing import printable
from jobhub.cli.jobs.profiles import Profiles, ProfileTokens
from jobhub.client import Client, ClientError, InvalidRequest, Tokens
from jobhub.domain.errors import OperatorError

DEFAULT_URL = "http://127.0.0.1:8000"
DEFAULT_PROFILE = "default"
PATIENCE_SECONDS = 6.0  # somebody is waiting at a terminal; a restarted service is back in less
LOG_IN = "log in with `jobhub login URL`, or set JOBHUB_TOKEN (and JOBHUB_URL)"


def access(environ: Mapping[str, str], *, profile: str | None) -> tuple[str, Tokens]:
    """The address and the tokens: of the profile that is named, else of JOBHUB_URL and JOBHUB_TOKEN, else of the profile `default`.

    Raises:
        OperatorError: there are none.
    """
    profiles = Profiles.of_user(environ)
    name = profile or environ.get("JOBHUB_PROFILE")
    url, token = environ.get("JOBHUB_URL", "").rstrip("/"), environ.get("JOBHUB_TOKEN", "").strip()
    if name is None and token:
        return url or DEFAULT_URL, Tokens(token)
    known = profiles.read()
    name = name or DEFAULT_PROFILE
    if name not in known:
        raise OperatorError(f"There is no login with the name {name!r}: {LOG_IN}.")
    if url and url != known[name].url and profile is None:
        # A token must never go to a service it is not for.
        raise OperatorError(f"JOBHUB_URL is {url}, but the login {name!r} is for {known[name].url}: {LOG_IN}.")
    return known[name].url, ProfileTokens(profiles, name)


@contextmanager
def connected() -> Iterator[Client]:
    """A client for the command that runs. An error is told on standard error, and ends the command with the status that says so."""
    with told():
        url, tokens = access(os.environ, profile=_profile())
        with _client(url, tokens) as client:
            yield client


def _profile() -> str | None:
    """What `jobhub jobs --profile` was given."""
    context = get_current_context()
    return context.obj if isinstance(context.obj, str) else None


def _client(url: str, tokens: Tokens) -> Client:
    try:
        return Client(url, tokens=tokens, patience_seconds=PATIENCE_SECONDS)
    except ValueError as error:
        raise OperatorError(str(error)) from None


@contextmanager
def told() -> Iterator[None]:
    """Tell errors of the client, and end with their status."""
    try:
        yield
    except ClientError as error:
        for line in _lines(error):
            print(f"jobhub: {printable(line)}", file=sys.stderr)
        raise SystemExit(exit_of_error(error)) from None
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(Exit.INTERRUPTED) from None


def _lines(error: ClientError) -> list[str]:
    if isinstance(error, InvalidRequest) and len(error.errors) > 1:
        return [f"{wrong.pointer}: {wrong.detail}" for wrong in error.errors]
    return [str(error)]
