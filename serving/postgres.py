"""Connections to Postgres: bounded in every way, and with errors that name the server and never the password."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from lakehouse.errors import Unavailable

CONNECT_TIMEOUT_S = 5.0
STATEMENT_TIMEOUT_S = 300.0
LOCK_TIMEOUT_S = 30.0

# A server that vanished without a word is noticed after about half a minute, not after TCP's two hours.
_KEEPALIVES: dict[str, Any] = {
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}


def connect(
    dsn: str,
    *,
    application_name: str = "lakehouse",
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    statement_timeout_s: float = STATEMENT_TIMEOUT_S,
    lock_timeout_s: float = LOCK_TIMEOUT_S,
) -> Connection:
    """A connection to the ``postgresql://`` address ``dsn`` whose session is in UTC, not in autocommit.

    A statement is cancelled by the server after ``statement_timeout_s``, or when it has waited ``lock_timeout_s`` for
    a lock; 0 means never. Raises LakehouseError that names HOST:PORT and the reason.
    """
    options = (
        f"-c statement_timeout={int(statement_timeout_s * 1000)} -c lock_timeout={int(lock_timeout_s * 1000)}"
        # The notices of CREATE … IF NOT EXISTS are of no use to anyone. COPY sends times in UTC without a zone.
        " -c client_min_messages=warning -c timezone=UTC -c datestyle=ISO"
    )
    try:
        conn: Connection = psycopg2.connect(
            dsn,
            connect_timeout=max(2, round(connect_timeout_s)),  # libpq takes whole seconds, at least two
            application_name=application_name,
            options=options,
            **_KEEPALIVES,
        )
    except psycopg2.Error as error:
        raise unreachable(dsn, error) from None
    return conn


def unreachable(dsn: str, error: psycopg2.Error) -> Unavailable:
    """What a person is told when the server at ``dsn`` does not answer as it should."""
    return Unavailable(
        f"Postgres at {host_port(dsn)} does not answer: {reason(error)}; `lakehouse status` shows whether it runs"
    )


def host_port(dsn: str) -> str:
    """HOST:PORT of a ``postgresql://`` address, without role and password."""
    address = urlsplit(dsn)
    try:
        return f"{address.hostname or 'localhost'}:{address.port or 5432}"
    except ValueError:
        return "an address that cannot be read"


def reason(error: BaseException) -> str:
    """The server's or libpq's reason in one line; never an address that could not be parsed, with its password."""
    if isinstance(error, psycopg2.ProgrammingError):  # libpq quotes the part that it could not parse
        return "its postgresql:// address cannot be read"
    return " ".join(str(error).split()) or type(error).__name__


@contextmanager
def transaction(conn: Connection, limit_s: float | None = None) -> Iterator[Cursor]:
    """One transaction: commits at the end, rolls back on any error and raises it.

    Whatever was left open on ``conn`` before is rolled back first, so that it is not committed along. With ``limit_s``
    a server that has not answered by then is given up: psycopg2.OperationalError.
    """
    with _deadline(conn, limit_s):
        conn.rollback()
        try:
            with conn.cursor() as cursor:
                yield cursor
            conn.commit()
        except BaseException:
            if not conn.closed:  # the rollback would hide the error that closed it
                conn.rollback()
            raise


@contextmanager
def _deadline(conn: Connection, limit_s: float | None) -> Iterator[None]:
    """Cuts the connection after ``limit_s``. A server that hangs keeps its end of the line open, so that neither its
    own timeouts nor TCP's ever end the wait for it."""
    if limit_s is None:
        yield
        return
    late = threading.Event()
    with socket.socket(fileno=os.dup(conn.fileno())) as line:

        def cut() -> None:
            late.set()
            with suppress(OSError):
                line.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(limit_s, cut)
        timer.daemon = True
        timer.start()
        try:
            yield
        except psycopg2.Error as error:
            if late.is_set():
                raise psycopg2.OperationalError(f"no answer within {limit_s:g} s") from error
            raise
        finally:
            timer.cancel()
            timer.join()
