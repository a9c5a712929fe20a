"""Batches into the mirrors: once each, whole or not at all."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from decimal import Decimal

import psycopg2
import pyarrow as pa
import pytest
from psycopg2.extensions import connection as Connection
from serving_rows import AFTER, BEFORE, DELETE, INSERT, at, batch, event, events, feed, read, summary, window

from lakehouse.contracts import FunnelSummary, FunnelWindows, SilverEvents
from lakehouse.endpoints import Endpoints
from lakehouse.errors import LakehouseError
from serving import mirror, sink
from serving.mirror import (
    HistoryPoint,
    StreamStatus,
    apply_funnel_summary,
    apply_funnel_windows,
    apply_raw_events,
    truncate_mirror,
    write_status,
)
from serving.postgres import connect, transaction
from serving.sink import Applied, MirrorBatch, last_applied

SUMMARIES = "SELECT user_id, num_views FROM funnel_summary ORDER BY user_id"


def end(writer: Connection, endpoints: Endpoints) -> None:
    """The server ends the session of ``writer``, as it does when it is stopped; a role may end its own."""
    with closing(connect(endpoints.postgres_writer)) as other, transaction(other) as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", (writer.info.backend_pid,))


def test_events_arrive_as_they_are(writer: Connection) -> None:
    row = event("e1", at("10:00:00.123"), session_id=None, category="", currency="EUR", properties='{"a":"\\u0000"}')

    assert apply_raw_events(writer, events(row), batch(0)) == Applied(rows=1)

    assert read(
        writer,
        "SELECT event_id, event_time, session_id, category, price, quantity, currency, properties, received_date"
        " FROM raw_events",
    ) == [
        (
            "e1",
            at("10:00:00.123"),
            None,
            "",
            Decimal("9.9000"),
            1,
            "EUR",
            '{"a":"\\u0000"}',
            at("10:00").date(),
        )
    ]


def test_the_day_received_is_a_day_of_utc_whatever_the_zone_of_the_batch(writer: Connection) -> None:
    rows = events(event("e1", at("23:59:59", "2025-03-01")), event("e2", at("00:00:00", "2025-03-02")))
    place = rows.schema.get_field_index("kafka_timestamp")
    tokyo = rows["kafka_timestamp"].cast(pa.timestamp("us", "Asia/Tokyo"))

    apply_raw_events(writer, rows.set_column(place, "kafka_timestamp", tokyo), batch(0))

    assert read(writer, "SELECT event_id, received_date::text FROM raw_events ORDER BY 1") == [
        ("e1", "2025-03-01"),
        ("e2", "2025-03-02"),
    ]


def test_a_batch_that_is_given_again_does_nothing(writer: Connection) -> None:
    start = at("10:00")
    changes = feed(FunnelSummary, (1, INSERT, summary("ann", start, views=1)))
    assert apply_funnel_summary(writer, changes, batch(0)) == Applied(rows=1)
    with transaction(writer) as cursor:
        cursor.execute("DELETE FROM funnel_summary")

    assert apply_funnel_summary(writer, changes, batch(0)) == Applied(rows=0, skipped=True)

    assert read(writer, SUMMARIES) == []


def test_an_event_that_is_there_stays_as_it_is(writer: Connection) -> None:
    apply_raw_events(writer, events(event("e1", at("10:00"), category="first")), batch(0))

    applied = apply_raw_events(
        writer, events(event("e1", at("10:00"), category="again"), event("e2", at("10:00"))), batch(1)
    )

    assert applied == Applied(rows=1)
    assert read(writer, "SELECT event_id, category FROM raw_events ORDER BY 1") == [("e1", "first"), ("e2", None)]


def test_an_event_that_silver_erased_is_erased(writer: Connection) -> None:
    ann, bob = event("e1", at("10:00")), event("e2", at("10:00"), user_id="bob")
    apply_raw_events(writer, feed(SilverEvents, (1, INSERT, ann), (1, INSERT, bob)), batch(1))

    assert apply_raw_events(writer, feed(SilverEvents, (2, DELETE, ann)), batch(2)) == Applied(rows=1)

    assert read(writer, "SELECT event_id FROM raw_events") == [("e2",)]


def test_an_event_that_silver_made_anew_replaces_what_was_there(writer: Connection) -> None:
    old = event("e1", at("10:00"), category="old")
    new = event("e1", at("10:00"), category="new", kafka_timestamp=at("10:00", "2025-03-02"))
    apply_raw_events(writer, feed(SilverEvents, (1, INSERT, old)), batch(1))

    apply_raw_events(writer, feed(SilverEvents, (2, DELETE, old), (2, INSERT, new)), batch(2))

    assert read(writer, "SELECT category, received_date::text FROM raw_events") == [("new", "2025-03-02")]


def test_updates_inserts_and_deletes_of_several_versions_in_one_batch(writer: Connection) -> None:
    start = at("10:00")
    first = feed(
        FunnelSummary,
        (1, INSERT, summary("ann", start, views=1)),
        (1, INSERT, summary("bob", start, views=1)),
    )
    apply_funnel_summary(writer, first, batch(0))

    second = feed(
        FunnelSummary,
        (3, AFTER, summary("ann", start, views=3, session_ids=["s1", "s2"], is_final=True)),
        (3, BEFORE, summary("ann", start, views=2)),
        (2, BEFORE, summary("ann", start, views=1)),
        (2, AFTER, summary("ann", start, views=2)),
        (2, DELETE, summary("bob", start, views=1)),
        (2, INSERT, summary("cid", start, views=7)),
    )
    assert apply_funnel_summary(writer, second, batch(1)) == Applied(rows=3)

    assert read(writer, SUMMARIES) == [("ann", 3), ("cid", 7)]
    assert read(writer, "SELECT session_ids, is_final FROM funnel_summary WHERE user_id = 'ann'") == [
        (["s1", "s2"], True)
    ]


def test_windows_of_all_users(writer: Connection) -> None:
    start = at("10:00")
    apply_funnel_windows(writer, feed(FunnelWindows, (1, INSERT, window(start, "view", 5))), batch(0))
    changes = feed(
        FunnelWindows,
        (2, AFTER, window(start, "view", 8)),
        (2, INSERT, window(start + timedelta(minutes=10), "view", 1)),
    )

    apply_funnel_windows(writer, changes, batch(1))

    assert read(writer, "SELECT window_start, num_events FROM funnel_windows ORDER BY 1") == [
        (start, 8),
        (start + timedelta(minutes=10), 1),
    ]


def test_a_server_that_goes_between_the_rows_and_the_commit_leaves_nothing(
    endpoints: Endpoints, writer: Connection, owner: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = mirror.account

    def interrupted(*arguments: object) -> Applied:
        end(writer, endpoints)
        return account(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(mirror, "account", interrupted)
    with pytest.raises(psycopg2.OperationalError):
        apply_raw_events(writer, events(event("e1", at("10:00"))), batch(0))

    assert writer.closed
    assert read(owner, "SELECT count(*) FROM raw_events") == [(0,)]
    assert last_applied(owner, "q") is None


def test_after_such_an_end_the_batch_is_taken_by_a_new_connection(endpoints: Endpoints, writer: Connection) -> None:
    end(writer, endpoints)
    with pytest.raises(psycopg2.OperationalError):
        apply_raw_events(writer, events(event("e1", at("10:00"))), batch(0))

    with closing(connect(endpoints.postgres_writer)) as again:
        assert apply_raw_events(again, events(event("e1", at("10:00"))), batch(0)) == Applied(rows=1)


def test_a_row_that_postgres_refuses_leaves_nothing_of_its_batch(writer: Connection) -> None:
    rows = events(event("e1", at("10:00")), event("e2", at("10:00"), category="nul \x00 here"))
    with pytest.raises(psycopg2.DataError):
        apply_raw_events(writer, rows, batch(0))
    assert read(writer, "SELECT count(*) FROM raw_events") == [(0,)]
    assert last_applied(writer, "q") is None
    assert apply_raw_events(writer, rows.slice(0, 1), batch(0)) == Applied(rows=1)


def test_a_batch_without_a_column_of_the_contract_is_refused(writer: Connection) -> None:
    with pytest.raises(LakehouseError, match=r"columns of silver\.events"):
        apply_raw_events(writer, events(event("e1", at("10:00"))).drop_columns(["user_id"]), batch(0))


def test_an_empty_batch_is_entered_into_the_ledger(writer: Connection) -> None:
    assert apply_raw_events(writer, events(), batch(5)) == Applied(rows=0)
    assert last_applied(writer, "q") == batch(5)


def test_the_newest_batch_is_that_of_the_newest_generation(writer: Connection) -> None:
    assert last_applied(writer, "q") is None
    for done in (MirrorBatch("q", 0, 8, 11), MirrorBatch("q", 1, 2, None), MirrorBatch("other", 9, 9, 9)):
        apply_raw_events(writer, events(), done)
    assert last_applied(writer, "q") == MirrorBatch("q", 1, 2, None)


def test_what_lies_before_the_newest_batch_does_not_put_old_rows_over_new_ones(writer: Connection) -> None:
    start = at("10:00")
    apply_funnel_summary(writer, feed(FunnelSummary, (9, INSERT, summary("ann", start, views=9))), batch(9, 1))
    old = feed(FunnelSummary, (1, INSERT, summary("ann", start, views=1)))

    assert apply_funnel_summary(writer, old, batch(8, generation=1)).skipped
    assert apply_funnel_summary(writer, old, batch(99, generation=0)).skipped
    assert read(writer, SUMMARIES) == [("ann", 9)]


def test_the_ledger_keeps_the_newest_batches_of_each_query(writer: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sink, "LEDGER_BATCHES", 3)
    apply_raw_events(writer, events(), batch(0, query="other"))
    for number in range(5):
        apply_raw_events(writer, events(), batch(number, generation=0))
    apply_raw_events(writer, events(), batch(0, generation=1))

    assert read(
        writer, "SELECT generation, batch_id FROM mirror_ledger WHERE query = 'q' ORDER BY generation, batch_id"
    ) == [(0, 3), (0, 4), (1, 0)]
    assert last_applied(writer, "other") == batch(0, query="other")


def test_the_ledger_says_how_many_rows_a_batch_changed(writer: Connection) -> None:
    apply_raw_events(writer, events(event("e1", at("10:00")), event("e2", at("10:00"))), batch(0))
    assert read(writer, "SELECT batch_id, source_version, rows FROM mirror_ledger") == [(0, 0, 2)]


def test_a_mirror_is_emptied_together_with_its_ledger(writer: Connection) -> None:
    apply_raw_events(writer, events(event("e1", at("10:00"))), batch(0, query="raw"))
    apply_funnel_windows(
        writer, feed(FunnelWindows, (1, INSERT, window(at("10:00"), "view", 5))), batch(0, query="win")
    )

    truncate_mirror(writer, "raw_events", "raw")

    assert read(writer, "SELECT count(*) FROM raw_events") == [(0,)]
    assert read(writer, "SELECT count(*) FROM funnel_windows") == [(1,)]
    assert last_applied(writer, "raw") is None
    assert last_applied(writer, "win") is not None
    assert apply_raw_events(writer, events(event("e1", at("10:00"))), batch(0, query="raw")) == Applied(rows=1)


def test_only_a_mirror_can_be_emptied(writer: Connection) -> None:
    with pytest.raises(ValueError, match="not a mirror"):
        truncate_mirror(writer, "alembic_version", "q")


def test_what_the_caller_left_open_is_not_committed_along(writer: Connection, owner: Connection) -> None:
    with writer.cursor() as cursor:
        cursor.execute("DELETE FROM mirror_ledger")
        cursor.execute("INSERT INTO mirror_ledger (query, generation, batch_id, rows) VALUES ('stray', 0, 0, 0)")
    apply_raw_events(writer, events(), batch(0))
    assert last_applied(owner, "stray") is None


def test_a_stream_says_how_it_does_and_then_how_it_does_now(writer: Connection, reader: Connection) -> None:
    write_status(writer, [StreamStatus("bronze", "running", 10, lag_events=7), StreamStatus("gold", "idle", 3)])
    write_status(writer, [StreamStatus("bronze", "waiting", 12, error="no broker", since=at("10:00"))])
    write_status(writer, [])

    assert read(
        reader, "SELECT stream, state, rows_total, lag_events, error, since FROM pipeline_status ORDER BY stream"
    ) == [("bronze", "waiting", 12, None, "no broker", at("10:00")), ("gold", "idle", 3, None, None, None)]


def test_of_a_minute_the_newest_total_and_the_worst_lag_are_kept_and_of_a_day_nothing_older(
    writer: Connection, reader: Connection
) -> None:
    yesterday = "INSERT INTO pipeline_history VALUES (now() - interval '25 h', 'bronze', now(), 1)"
    with transaction(writer) as cursor:
        cursor.execute(yesterday)
    says = [StreamStatus("bronze", "running", 10)]
    for total, lag, took in ((10, 2.0, 0.5), (30, 9.0, None), (40, 1.0, 0.7)):
        write_status(writer, says, [HistoryPoint("bronze", total, None, lag, took)])

    found = read(
        reader,
        "SELECT max(rows_total), max(lag_seconds), max(batch_seconds), min(minute) > now() - interval '1 h'"
        " FROM pipeline_history",
    )
    assert found == [(40, 9.0, 0.7, True)]  # of one minute, or of the two that they fell into


def test_a_statement_that_takes_too_long_is_cancelled(endpoints: Endpoints) -> None:
    conn = connect(endpoints.postgres_writer, statement_timeout_s=0.05)
    with pytest.raises(psycopg2.errors.QueryCanceled), transaction(conn) as cursor:
        cursor.execute("SELECT pg_sleep(30)")
    conn.close()
