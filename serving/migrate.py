"""Brings Postgres to the newest schema, with two roles that may do what they need and nothing else.

``python -m serving.migrate`` does it for the running stack. It may be run at any time and by several at once.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.extensions import encrypt_password
from sqlalchemy import create_engine
from sqlalchemy.pool import NullPool

from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from lakehouse.faultpoints import arm
from lakehouse.home import Home
from lakehouse.settings import load_settings
from serving.postgres import connect, host_port, transaction

MIGRATIONS = Path(__file__).with_name("migrations")
ADVISORY_LOCK = 7_301_155_864_902
"""Any number that nothing else on the server uses."""

WRITABLE = (
    "raw_events",
    "funnel_summary",
    "funnel_windows",
    "session_funnel",
    "cohorts",
    "churn_prediction",
    "churn_prediction_history",
    "quality_results",
    "quality_decisions",
    "mirror_ledger",
    "pipeline_status",
    "pipeline_history",
)
READABLE = (*WRITABLE, "churn_score_days", "alembic_version")
WRITER_FUNCTIONS = ("make_raw_events_day(date)", "drop_expired_raw_events(integer)")


def migrate(endpoints: Endpoints) -> None:
    """Makes the roles of the writer's and the reader's address, the newest schema, and grants what each role needs.

    Idempotent; a second run beside it waits. Raises LakehouseError where the server does not answer or an address
    lacks role or password.
    """
    owner = endpoints.postgres_owner
    with closing(connect(owner, application_name="lakehouse migrate", lock_timeout_s=0)) as conn, _alone(conn):
        writer, reader = _role(endpoints.postgres_writer), _role(endpoints.postgres_reader)
        with transaction(conn) as cursor:
            _make_role(cursor, *writer)
            _make_role(cursor, *reader)
        _upgrade(owner)
        with transaction(conn) as cursor:
            _grant(cursor, writer[0], reader[0])


def head() -> str:
    """The revision that the code at hand expects of the database."""
    return str(ScriptDirectory(str(MIGRATIONS)).get_current_head())


@contextmanager
def _alone(conn: Connection) -> Iterator[None]:
    """Holds an advisory lock of the session; it ends with the session at the latest."""
    with transaction(conn) as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_LOCK,))
    try:
        yield
    finally:
        if not conn.closed:
            with transaction(conn) as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", (ADVISORY_LOCK,))


def _role(dsn: str) -> tuple[str, str]:
    """Role and password of a ``postgresql://`` address."""
    address = urlsplit(dsn)
    if not address.username or not address.password:
        raise LakehouseError(f"the address of Postgres at {host_port(dsn)} needs a role and a password")
    return unquote(address.username), unquote(address.password)


def _make_role(cursor: Cursor, name: str, password: str) -> None:
    # Hashed here, so that no log of the server ever shows it.
    secret = sql.Literal(encrypt_password(password, name, cursor.connection, "scram-sha-256"))
    cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (name,))
    verb = sql.SQL("CREATE ROLE" if cursor.fetchone() is None else "ALTER ROLE")
    cursor.execute(sql.SQL("{} {} LOGIN PASSWORD {}").format(verb, sql.Identifier(name), secret))


def _upgrade(owner: str) -> None:
    """Runs the steps that are missing, in one transaction, on a connection of its own."""
    engine = create_engine(
        "postgresql+psycopg2://",
        creator=lambda: connect(owner, application_name="lakehouse migrate"),
        poolclass=NullPool,
    )
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.connect() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
        connection.commit()


def _grant(cursor: Cursor, writer: str, reader: str) -> None:
    both = sql.SQL(", ").join([sql.Identifier(writer), sql.Identifier(reader)])
    cursor.execute("SELECT current_database()")
    (database,) = cursor.fetchone() or ("",)
    statements = [
        # Up to PostgreSQL 14 everyone may create tables here.
        sql.SQL("REVOKE CREATE ON SCHEMA public FROM PUBLIC"),
        sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(database), both),
        # For the staging tables.
        sql.SQL("GRANT TEMPORARY ON DATABASE {} TO {}").format(sql.Identifier(database), sql.Identifier(writer)),
        sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(both),
        sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON {} TO {}").format(
            _names(WRITABLE), sql.Identifier(writer)
        ),
        sql.SQL("GRANT SELECT ON {} TO {}").format(_names(READABLE), both),
        sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(
            sql.SQL(", ").join([sql.SQL("public." + name) for name in WRITER_FUNCTIONS]), sql.Identifier(writer)
        ),
        sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(sql.Identifier(reader)),
        sql.SQL("ALTER ROLE {} SET idle_in_transaction_session_timeout = '60s'").format(sql.Identifier(reader)),
    ]
    for statement in statements:
        cursor.execute(statement)


def _names(tables: tuple[str, ...]) -> sql.Composable:
    return sql.SQL(", ").join([sql.Identifier("public", table) for table in tables])


def main() -> None:
    try:
        settings = load_settings()
        arm(settings.fault_point)
        migrate(Endpoints.load(Home(settings.home)))
    except LakehouseError as error:
        sys.exit(f"serving.migrate: {error}")


if __name__ == "__main__":
    main()
