"""Databases on a test server, made from a template and dropped again."""

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_numbers = itertools.count(1)


class Databases:
    """One server, reached as somebody who may create databases."""

    def __init__(self, server_dsn: str) -> None:
        self._server_dsn = server_dsn

    def dsn(self, name: str) -> str:
        """The address of a database, as a URL: asyncpg takes no other form."""
        given = conninfo_to_dict(self._server_dsn)
        user, password = given.get("user", "postgres"), given.get("password")
        login = f"{user}:{password}@" if password else f"{user}@"
        host, port = str(given.get("host", "")), given.get("port")
        if host.startswith("/"):
            return f"postgresql://{login}/{name}?host={host}"
        return f"postgresql://{login}{host}{f':{port}' if port else ''}/{name}"

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
