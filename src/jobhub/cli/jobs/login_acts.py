"""What `login`, `logout` and `completion` do."""

import os
import sys
from urllib.parse import urlsplit

import rich_click as click
from click import get_current_context
from click.shell_completion import get_completion_class

from jobhub.cli.jobs.connection import PATIENCE_SECONDS, told
from jobhub.cli.jobs.profiles import Profile, Profiles, ProfileTokens
from jobhub.client import Client, Tokens, Unauthenticated
from jobhub.domain.errors import OperatorError


def log_in(url: str, *, email: str, has_password_on_stdin: bool, profile: str) -> None:
    """Get tokens for an account and keep them under a name."""
    if urlsplit(url).scheme == "http" and urlsplit(url).hostname not in ("127.0.0.1", "::1", "localhost"):
        click.echo("jobhub: The password goes over the network as it is, since the address begins with http:.", err=True)
    password = sys.stdin.readline().rstrip("\r\n") if has_password_on_stdin else click.prompt("Password", hide_input=True, err=True)
    with told(), Client(url, tokens=Tokens(), patience_seconds=PATIENCE_SECONDS) as client:
        pair = client.log_in(email, password)
        me = client.me()
    kept = Profile(url=url.rstrip("/"), email=me.email, access_token=pair.access_token, refresh_token=pair.refresh_token)
    Profiles.of_user(os.environ).put(profile, kept)
    click.echo(f"{me.role.value} {me.email} at {kept.url}")


def log_out(name: str) -> None:
    """Revoke a login, and forget it even if the service knows it no more."""
    profiles = Profiles.of_user(os.environ)
    profile = profiles.read().get(name)
    if profile is None:
        raise OperatorError(f"There is no login with the name {name!r}.")
    with told():
        try:
            with Client(profile.url, tokens=ProfileTokens(profiles, name), patience_seconds=PATIENCE_SECONDS) as client:
                client.log_out()
        except Unauthenticated:
            pass  # it has ended already
        profiles.put(name, None)


def print_completion(shell: str) -> None:
    """The script that a shell has to read."""
    kind = get_completion_class(shell)
    assert kind is not None  # the choices are click's own
    click.echo(kind(get_current_context().find_root().command, {}, "jobhub", "_JOBHUB_COMPLETE").source())
