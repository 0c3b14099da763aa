"""What a client shows to be let in, and what it can get a new token with. Not here: getting one (`operations.renew`)."""

import re
from contextlib import AbstractContextManager, nullcontext

from jobhub.contract.accounts import TokenPair

_TOKEN = re.compile(r"[!-~]+", re.ASCII)


class Tokens:
    """An access token, a refresh token, an e-mail address with its password: whatever there is of them.

    Subclass it to keep tokens elsewhere, as `jobhub login` does: `exclusive` and `keep` are for that.
    """

    def __init__(
        self,
        access_token: str | None = None,
        *,
        refresh_token: str | None = None,
        email: str | None = None,
        password: str | None = None,
    ) -> None:
        if (email is None) != (password is None):
            raise ValueError("An e-mail address needs a password, and a password an e-mail address.")
        if access_token is not None and not _TOKEN.fullmatch(access_token):
            raise ValueError("This is no token: it must have visible ASCII characters only.")  # without showing it
        self.access_token = access_token
        self.refresh_token = refresh_token
        self.credentials = (email, password) if email is not None and password is not None else None

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"  # nothing of it belongs in a log

    @property
    def can_renew(self) -> bool:
        """Whether there is anything to get an access token with."""
        return self.refresh_token is not None or self.credentials is not None

    def exclusive(self) -> AbstractContextManager[object]:
        """Held while a token is renewed: keeps out others with the same refresh token, which works once; and reads what they kept."""
        return nullcontext()

    def keep(self, pair: TokenPair) -> None:
        """Use these from now on."""
        self.access_token, self.refresh_token = pair.access_token, pair.refresh_token

    def forget(self) -> None:
        """Have none any more."""
        self.access_token = self.refresh_token = self.credentials = None
