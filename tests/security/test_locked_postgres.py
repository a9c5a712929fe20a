"""A PostgreSQL with TLS and SCRAM: each role comes in as the address says, and no other way; and may what it needs."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from dashboard.database import rows, snapshot
from lakehouse.embedded.screen import without_password
from lakehouse.embedded.secrets import load_secrets
from lakehouse.embedded.stack import plan_servers
from lakehouse.endpoints import Endpoints
from lakehouse.home import Home
from lakehouse.settings import load_settings
from serving.health import check
from serving.migrate import migrate
from serving.postgres import connect, transaction
from tests.security.certificates import HOST, Certificates
from tests.security.conftest import Told

pytestmark = [pytest.mark.slow, pytest.mark.long]


@pytest.fixture(scope="module")
def addresses(database: str, tmp_path_factory: pytest.TempPathFactory) -> Endpoints:
    """Of the roles, as a stack with a server of one's own has them, after its migrations."""
    settings = load_settings(home=tmp_path_factory.mktemp("home"), postgres_dsn=database)
    found = plan_servers(settings, Home(settings.home).make(), frozenset({"postgres"})).endpoints
    migrate(found)
    return found


def test_every_role_comes_in_by_tls(addresses: Endpoints) -> None:
    for address in (addresses.postgres_owner, addresses.postgres_writer, addresses.postgres_reader):
        with closing(connect(address)) as connection, transaction(connection) as cursor:
            cursor.execute("SELECT ssl, version FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            assert cursor.fetchone() == (True, "TLSv1.3")


def test_the_dashboard_and_the_api_come_in_by_tls(addresses: Endpoints) -> None:
    from sqlalchemy import create_engine

    with snapshot(addresses.postgres_reader) as cursor:
        (found,) = rows(cursor, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        assert found.ssl
    engine = create_engine("postgresql+psycopg2://", creator=lambda: connect(addresses.postgres_reader))
    assert [each.ok for each in check(engine)] == [True, True]
    engine.dispose()


def test_passwords_are_kept_as_scram_and_never_shown(addresses: Endpoints) -> None:
    with closing(connect(addresses.postgres_owner)) as connection, transaction(connection) as cursor:
        cursor.execute("SELECT rolname, left(rolpassword, 14) FROM pg_authid WHERE rolname LIKE 'lakehouse_%'")
        assert {word for _, word in cursor.fetchall()} == {"SCRAM-SHA-256$"}
    shown = without_password(addresses.postgres_reader)
    assert shown.startswith(f"postgresql://lakehouse_reader@{HOST}:")
    assert "?" not in shown


def test_from_the_wrong_side(addresses: Endpoints, certificates: Certificates, told: Told, tmp_path: Path) -> None:
    right = addresses.postgres_reader
    word = right.split(":")[2].partition("@")[0]
    stranger = load_secrets(Home(tmp_path)).postgres_reader
    attempts = {
        "no password": right.replace(f":{word}@", "@"),
        "a wrong password": right.replace(word, stranger),
        "plain text to the TLS port": right.replace("verify-full", "disable"),
        "trust in another authority": right.replace(certificates.ca.name, certificates.other_ca.name),
        "its address, which is not in the certificate": right.replace(HOST, "127.0.0.1"),
        "the owner's name in the address's parameters, with the reader's password": f"{right}&user=lakehouse_owner",
    }
    for attempt, address in attempts.items():
        with pytest.raises(psycopg2.OperationalError) as refused:
            psycopg2.connect(address, connect_timeout=5).close()
        said = str(refused.value).strip().splitlines()[-1]  # of a name with several addresses, the last one tried
        assert word not in said
        assert stranger not in said
        told("Postgres", attempt, said)


READER = {
    "INSERT": "INSERT INTO pipeline_status DEFAULT VALUES",
    "DELETE": "DELETE FROM churn_prediction",
    "TRUNCATE": "TRUNCATE raw_events",
    "CREATE TABLE": "CREATE TABLE mine (a int)",
    "COPY to a program": "COPY (SELECT 1) TO PROGRAM 'id'",
    "reading a file of the server": "SELECT pg_read_file('/etc/passwd')",
    "reading passwords": "SELECT rolpassword FROM pg_authid",
    "becoming the owner": "SET ROLE lakehouse_owner",
}
WRITER = {
    "DROP TABLE": "DROP TABLE churn_prediction",
    "CREATE TABLE": "CREATE TABLE public.mine (a int)",
    "changing a password": "ALTER ROLE lakehouse_reader PASSWORD 'mine'",
    "COPY to a program": "COPY (SELECT 1) TO PROGRAM 'id'",
}


def test_a_role_may_what_it_needs_and_nothing_else(addresses: Endpoints, told: Told) -> None:
    for role, address, statements in (
        ("reader", addresses.postgres_reader, READER),
        ("writer", addresses.postgres_writer, WRITER),
    ):
        for attempt, statement in statements.items():
            # Whoever has the role can switch its own read-only default off: what it was granted counts.
            with (
                closing(connect(address)) as connection,
                pytest.raises(psycopg2.Error) as refused,
                transaction(connection) as cursor,
            ):
                cursor.execute("SET TRANSACTION READ WRITE")
                cursor.execute(statement)
            told(f"Postgres, as the {role}", attempt, str(refused.value).strip().splitlines()[0])
