"""Reading Postgres by the role that can only read, and saying in a person's words why it did not work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import psycopg2
from psycopg2 import errors
from psycopg2.extensions import ISOLATION_LEVEL_REPEATABLE_READ
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import NamedTupleCursor

from lakehouse.errors import LakehouseError

CONNECT_TIMEOUT_S = 3
STATEMENT_TIMEOUT_S = 8
SHARED_FOR_S = 1.0
"""Viewers within a second share an answer. Not longer: the shortest refresh is a second."""
TEXT_SHOWN = 200
"""Characters of a text of users that a table's cell is given; a query cuts it."""


class Unavailable(LakehouseError):
    """Postgres does not answer, or not in time."""


class TooSlow(Unavailable):
    """Postgres answers, but not this in time."""


class NotMigrated(LakehouseError):
    """Postgres answers, but the tables that are read here are not there."""


@contextmanager
def snapshot(dsn: str) -> Iterator[Cursor]:
    """A cursor whose queries all see one moment, for rows as named tuples. Raises Unavailable, NotMigrated."""
    try:
        with closing(_connect(dsn)) as conn, conn.cursor(cursor_factory=NamedTupleCursor) as cursor:
            yield cursor
    except errors.QueryCanceled:
        raise TooSlow(
            f"Postgres at {_host_port(dsn)} took longer than {STATEMENT_TIMEOUT_S} s to answer; choose a shorter range"
        ) from None
    except (errors.UndefinedTable, errors.UndefinedColumn, errors.InsufficientPrivilege) as error:
        reason = str(error).splitlines()[0]
        raise NotMigrated(f"the tables of Postgres at {_host_port(dsn)} are not as needed: {reason}") from None
    except psycopg2.ProgrammingError as error:  # an address that cannot be parsed; libpq quotes it with its password
        if error.pgcode is not None:
            raise
        raise Unavailable("the address of Postgres cannot be read") from None
    except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
        raise Unavailable(f"Postgres at {_host_port(dsn)} does not answer: {' '.join(str(error).split())}") from None


def rows(cursor: Cursor, query: str, parameters: Mapping[str, Any] | None = None) -> list[Any]:
    cursor.execute(query, parameters)
    return cursor.fetchall()


def exists(cursor: Cursor, table: str) -> bool:
    """Whether the table is there: a figure of a mirror that came with a later release is left out before it."""
    (found,) = rows(
        cursor, "SELECT to_regclass('public.' || quote_ident(%(table)s)) IS NOT NULL AS there", {"table": table}
    )
    return bool(found.there)


def _connect(dsn: str) -> psycopg2.extensions.connection:
    conn = psycopg2.connect(
        dsn,
        connect_timeout=CONNECT_TIMEOUT_S,
        application_name="lakehouse dashboard",
        options=f"-c statement_timeout={STATEMENT_TIMEOUT_S * 1000} -c timezone=UTC",
        keepalives_idle=5,
        keepalives_interval=2,
        keepalives_count=2,
    )
    conn.set_session(isolation_level=ISOLATION_LEVEL_REPEATABLE_READ, readonly=True)
    return conn


def _host_port(dsn: str) -> str:
    address = urlsplit(dsn)
    return f"{address.hostname or 'localhost'}:{address.port or 5432}"
