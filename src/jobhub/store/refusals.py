"""What PostgreSQL refuses because of what it was given, as errors of our own tree, by SQLSTATE class.

Not here: outages (`store.connections.AWAY`) and lost races (`store.database`). Any other error of the server is a bug of
ours and stays as it is.
"""

from typing import NoReturn

import asyncpg
import structlog

from jobhub.domain.errors import AlreadyExists, InvalidInput

REFUSED = (
    asyncpg.DataError,  # 22: a value that can't be stored or computed with; our own checks should have found it
    asyncpg.UniqueViolationError,  # 23505: two callers made the same thing at once
)

_log = structlog.get_logger("jobhub.store")


def raise_refusal(error: asyncpg.PostgresError) -> NoReturn:
    """Raise what the caller did, not what the server said: its words quote values, and neither an answer nor the log may."""
    if error.severity is None:  # no server said it: our own code gave asyncpg something that can't be encoded, which is a bug
        raise error
    _log.warning("statement_refused", sqlstate=error.sqlstate, cause=type(error).__name__, constraint=error.constraint_name)
    if isinstance(error, asyncpg.UniqueViolationError):
        raise AlreadyExists from error
    raise InvalidInput(message="A value in this request can't be stored.", code="unstorable_value") from error
