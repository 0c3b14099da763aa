"""Databases on a test server, made from a template and dropped again."""

import itertools
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_numbers = itertools.count(1)


def as_url(given: Mapping[str, Any]) -> str:
    """An address that is given in its parts."""
    user, password = given.get("user", "postgres"), given.get("password")
    login = f"{user}:{quote(password, safe='')}@" if password else f"{user}@"
    host, port, name = str(given.get("host", "")), given.get("port"), given["dbname"]
    if host.startswith("/"):
        return f"postgresql://{login}/{name}?host={host}"
    return f"postgresql://{login}{host}{f':{port}' if port else ''}/{name}"


class Databases:
    """One server, reached as somebody who may create databases."""

    def __init__(self, server_dsn: str) -> None:
        self._server_dsn = server_dsn

    def dsn(self, name: str) -> str:
        """The address of a database, as a URL: asyncpg takes no other form."""
        return as_url(conninfo_to_dict(self._server_dsn) | {"dbname": name})

    @contextmanager
    def create(self, template: str | None = None) -> Iterator[tuple[str, str]]:
        """A database's name and address, for the time of the block."""
        name = f"test_{os.getpid()}_{next(_numbers)}"
        source = sql.SQL("TEMPLATE {} STRATEGY file_copy").format(sql.Identifier(template)) if template else sql.SQL("")
        with psycopg.connect(make_conninfo(self._server_dsn), autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} {}").format(sql.Identifier(name), source))
            try:
                yield name, self.dsn(name)
            finally:
                connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
