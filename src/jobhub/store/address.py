"""Whether the address of a database can be understood at all; if not, trying again helps nobody. Not here: whether somebody answers."""

from urllib.parse import urlsplit

import psycopg
from psycopg.conninfo import conninfo_to_dict

from jobhub.domain.errors import OperatorError

_EXAMPLE = "It looks like postgresql://user:password@host:5432/name."
_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")


def check_address(dsn: str) -> None:
    """Raise OperatorError if neither driver could make sense of it. The message never repeats the address: it may hold a password."""
    try:
        parts = urlsplit(dsn)
        known = conninfo_to_dict(dsn)
    except (ValueError, psycopg.ProgrammingError):
        raise OperatorError(f"JOBHUB_DATABASE_URL can't be understood. {_EXAMPLE}") from None
    if parts.scheme not in ("postgresql", "postgres"):
        raise OperatorError(f"JOBHUB_DATABASE_URL has to begin with postgresql://. {_EXAMPLE}")
    if not _ports_are_valid(str(known.get("port", ""))):
        raise OperatorError(f"JOBHUB_DATABASE_URL has a port that is no number from 1 to 65535. {_EXAMPLE}")
    if known.get("sslmode", "prefer") not in _SSL_MODES:
        raise OperatorError(f"JOBHUB_DATABASE_URL has an sslmode that is none of {', '.join(_SSL_MODES)}.")


def _ports_are_valid(listed: str) -> bool:
    """Several hosts, separated by commas, may each have one."""
    ports = [port for port in listed.split(",") if port]
    return all(port.isdecimal() and 0 < int(port) < 65536 for port in ports)
