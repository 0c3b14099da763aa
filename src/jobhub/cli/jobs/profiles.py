"""Logins that are kept: which service, and the tokens for it. One file of the user's, with mode 0600; never a password."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from jobhub.cli.private_files import write_private
from jobhub.client import Tokens
from jobhub.contract.accounts import TokenPair
from jobhub.domain.errors import OperatorError


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """One login."""

    url: str
    email: str
    access_token: str
    refresh_token: str


class Profiles:
    """All logins, by name, in a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @classmethod
    def of_user(cls, environ: Mapping[str, str]) -> "Profiles":
        """Where the XDG base directory specification has them: `$XDG_CONFIG_HOME/jobhub/profiles.json`."""
        config = environ.get("XDG_CONFIG_HOME", "")
        home = Path(config) if config.startswith("/") else Path.home() / ".config"
        return cls(home / "jobhub" / "profiles.json")

    def read(self) -> dict[str, Profile]:
        """All there are. Raises OperatorError: the file can't be read."""
        try:
            return msgspec.json.decode(self.file.read_bytes(), type=dict[str, Profile])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError) as error:
            raise OperatorError(
                f"The logins in {self.file} can't be read ({error}): put it right, or delete it and log in again."
            ) from error

    def put(self, name: str, profile: Profile | None) -> None:
        """Keep a login under a name, or with None forget it."""
        with self.locked():
            profiles = {other: kept for other, kept in self.read().items() if other != name}
            self.write(profiles if profile is None else profiles | {name: profile})

    def write(self, profiles: Mapping[str, Profile]) -> None:
        """Replace all there are; while it is locked. Raises OperatorError: the disk is full, or the like."""
        try:
            write_private(self.file, msgspec.json.encode(profiles))
        except OSError as error:
            raise self._not_kept(error) from error

    def _not_kept(self, error: OSError) -> OperatorError:
        return OperatorError(f"The login can't be kept in {self.file} ({error.strerror}): put that right, and log in again.")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from changing it. Not twice in one thread. Raises OperatorError: it can't be."""
        try:
            self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._not_kept(error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


class ProfileTokens(Tokens):
    """The tokens of a login, shared with every other command that runs: a refresh token works once."""

    def __init__(self, profiles: Profiles, name: str) -> None:
        self._profiles = profiles
        self._name = name
        profile = profiles.read()[name]
        super().__init__(profile.access_token, refresh_token=profile.refresh_token)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Held by one process at a time, with the tokens that are in the file now."""
        with self._profiles.locked():
            profile = self._profiles.read().get(self._name)
            if profile is not None:
                self.access_token, self.refresh_token = profile.access_token, profile.refresh_token
            yield

    def keep(self, pair: TokenPair) -> None:
        """In the file too; while it is held."""
        super().keep(pair)
        profiles = self._profiles.read()
        if self._name in profiles:
            fresh = msgspec.structs.replace(profiles[self._name], access_token=pair.access_token, refresh_token=pair.refresh_token)
            self._profiles.write(profiles | {self._name: fresh})
