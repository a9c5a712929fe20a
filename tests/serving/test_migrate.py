"""The schema agrees with the contracts, and no role may do more than it needs."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from threading import Thread
from urllib.parse import quote, urlsplit

import psycopg2
import pytest
from psycopg2 import errors
from psycopg2.extensions import connection as Connection
from serving_rows import at, batch, event, events, read

from lakehouse.contracts import (
    ChurnPrediction,
    ChurnPredictionHistory,
    ChurnScoreDays,
    Cohorts,
    FunnelSummary,
    FunnelWindows,
    SessionFunnel,
    SilverEvents,
    Table,
)
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from serving.migrate import WRITABLE, head, migrate
from serving.mirror import apply_raw_events, drop_expired
from serving.postgres import connect, transaction

TYPES = {
    "string": "text",
    "timestamp": "timestamp with time zone",
    "date": "date",
    "long": "bigint",
    "short": "smallint",
    "integer": "integer",
    "boolean": "boolean",
    "decimal(18,4)": "numeric",
    "decimal(38,4)": "numeric",
    "double": "double precision",
}


def columns(conn: Connection, table: str) -> list[tuple[str, str, bool]]:
    rows = read(
        conn,
        "SELECT column_name, data_type, is_nullable = 'YES' FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = %s ORDER BY ordinal_position",
        table,
    )
    return [(name, kind, nullable) for name, kind, nullable in rows]


def contract(table: type[Table]) -> list[tuple[str, str, bool]]:
    return [(str(c), TYPES.get(str(c.type), "ARRAY"), c.nullable) for c in table.mirrored_columns()]


@pytest.mark.parametrize(
    ("mirror", "table"),
    [
        ("funnel_summary", FunnelSummary),
        ("funnel_windows", FunnelWindows),
        ("session_funnel", SessionFunnel),
        ("cohorts", Cohorts),
    ],
)
def test_a_gold_mirror_has_the_columns_of_its_contract(writer: Connection, mirror: str, table: type[Table]) -> None:
    assert columns(writer, mirror) == contract(table)


def test_the_scores_have_the_columns_of_their_contracts_with_the_features_as_json(writer: Connection) -> None:
    expected = [(n, "jsonb" if n == ChurnPrediction.features else k, null) for n, k, null in contract(ChurnPrediction)]
    assert columns(writer, "churn_prediction") == expected
    assert columns(writer, "churn_prediction_history") == contract(ChurnPredictionHistory)
    assert columns(writer, "churn_score_days") == contract(ChurnScoreDays)


def test_raw_events_has_silvers_columns_with_the_day_received_for_the_day_of_the_event(writer: Connection) -> None:
    assert columns(writer, "raw_events") == [*contract(SilverEvents), ("received_date", "date", False)]


def test_migrating_again_changes_nothing_and_loses_nothing(endpoints: Endpoints, writer: Connection) -> None:
    apply_raw_events(writer, events(event("e1", at("10:00"))), batch(0))

    migrate(endpoints)

    assert read(writer, "SELECT event_id FROM raw_events") == [("e1",)]
    assert read(writer, "SELECT version_num FROM alembic_version") == [(head(),)]


def test_migrations_at_the_same_time_wait_for_each_other(endpoints: Endpoints, owner: Connection) -> None:
    failures: list[Exception] = []

    def attempt() -> None:
        try:
            migrate(endpoints)
        except Exception as error:
            failures.append(error)

    threads = [Thread(target=attempt) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert read(owner, "SELECT count(*) FROM alembic_version") == [(1,)]


def test_a_changed_password_is_taken_over(endpoints: Endpoints) -> None:
    parts = urlsplit(endpoints.postgres_reader)
    server = parts.netloc.rpartition("@")[2]
    changed = f"postgresql://{parts.username}:{quote('n3w /@:% pässword', safe='')}@{server}{parts.path}"
    try:
        migrate(replace(endpoints, postgres_reader=changed))
        with closing(connect(changed)) as conn:
            assert read(conn, "SELECT current_user") == [(parts.username,)]
        with pytest.raises(LakehouseError, match="password authentication failed"):
            connect(endpoints.postgres_reader)
    finally:
        migrate(endpoints)


def test_an_address_without_password_is_refused(endpoints: Endpoints) -> None:
    with pytest.raises(LakehouseError, match="needs a role and a password"):
        migrate(replace(endpoints, postgres_reader="postgresql://somebody@127.0.0.1:1/lakehouse"))


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO funnel_windows VALUES (now(), now(), 'view', 1, '2025-01-01')",
        "DELETE FROM raw_events",
        "TRUNCATE raw_events",
        "UPDATE pipeline_status SET state = 'fine'",
        "CREATE TABLE mine (id int)",
        "SELECT make_raw_events_day('2025-01-01')",
        "SELECT drop_expired_raw_events(1)",
    ],
)
def test_the_reader_cannot_write_even_where_it_leaves_its_read_only_mode(reader: Connection, statement: str) -> None:
    with pytest.raises((errors.ReadOnlySqlTransaction, errors.InsufficientPrivilege)), transaction(reader) as cursor:
        cursor.execute(statement)
    with pytest.raises(errors.InsufficientPrivilege), transaction(reader) as cursor:
        cursor.execute("SET TRANSACTION READ WRITE")
        cursor.execute(statement)


def test_the_reader_begins_in_read_only_mode_and_reads_every_table(reader: Connection) -> None:
    assert read(reader, "SHOW transaction_read_only") == [("on",)]
    for table in WRITABLE:
        assert read(reader, f"SELECT count(*) >= 0 FROM {table}") == [(True,)]


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE ROLE intruder",
        "ALTER ROLE lakehouse_reader SET default_transaction_read_only = off",
        "CREATE TABLE public.mine (id int)",
        "DROP TABLE raw_events",
        "ALTER TABLE raw_events ADD COLUMN x int",
        "UPDATE alembic_version SET version_num = '0'",
        "UPDATE churn_score_days SET num_users = 0",
    ],
)
def test_the_writer_moves_rows_and_nothing_else(writer: Connection, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege), transaction(writer) as cursor:
        cursor.execute(statement)


def test_days_beyond_those_kept_are_dropped_counted_from_the_newest_day_received(writer: Connection) -> None:
    received = ["2025-03-01", "2025-03-02", "2025-03-03", "2025-03-04"]
    rows = [event(day, at("10:00", "2020-01-01"), kafka_timestamp=at("10:00", day)) for day in received]
    apply_raw_events(writer, events(*rows), batch(0))

    assert drop_expired(writer, keep_days=2) >= 2
    assert read(writer, "SELECT event_id FROM raw_events ORDER BY 1") == [("2025-03-03",), ("2025-03-04",)]
    assert drop_expired(writer, keep_days=2) == 0


def test_a_day_that_is_being_read_is_dropped_by_a_later_call(writer: Connection, reader: Connection) -> None:
    rows = [event(day, at("10:00", day)) for day in ("2025-03-01", "2025-03-09")]
    apply_raw_events(writer, events(*rows), batch(0))
    with transaction(reader) as cursor:
        cursor.execute("SELECT count(*) FROM raw_events")
        assert drop_expired(writer, keep_days=1) == 0
    assert drop_expired(writer, keep_days=1) >= 1
    assert read(writer, "SELECT event_id FROM raw_events") == [("2025-03-09",)]


def test_a_new_day_does_not_wait_for_a_reader_of_the_others(writer: Connection, reader: Connection) -> None:
    apply_raw_events(writer, events(event("e1", at("10:00", "2025-03-01"))), batch(0))
    with transaction(reader) as cursor:
        cursor.execute("SELECT count(*) FROM raw_events")
        with transaction(writer) as impatient:
            impatient.execute("SET lock_timeout = '1s'")
        apply_raw_events(writer, events(event("e2", at("10:00", "2031-07-07"))), batch(1))
    assert read(writer, "SELECT count(*) FROM raw_events") == [(2,)]


def test_nobody_there_is_said_without_the_password() -> None:
    with pytest.raises(LakehouseError, match=r"Postgres at 127\.0\.0\.1:1 does not answer") as raised:
        connect("postgresql://lakehouse_writer:s3cret@127.0.0.1:1/lakehouse")
    assert "s3cret" not in str(raised.value)


def test_an_address_that_cannot_be_read_is_not_repeated() -> None:
    with pytest.raises(LakehouseError) as raised:
        connect("postgresql://lakehouse_writer:s3cret%zz@host:port/x?nonsense=1")
    assert "s3cret" not in str(raised.value)


def test_a_transaction_that_fails_leaves_the_connection_usable(writer: Connection) -> None:
    with pytest.raises(psycopg2.errors.DivisionByZero), transaction(writer) as cursor:
        cursor.execute("SELECT 1 / 0")
    assert read(writer, "SELECT 1") == [(1,)]
