"""The sinks: batches of silver, gold and verdicts into their mirrors in Postgres, each batch exactly once.

A batch is one transaction on one connection, in this order:

1. its row in ``mirror_ledger``, which says whether it was there before: then nothing else is done;
2. COPY into a staging table that empties itself at the end of the transaction (raw events: into the mirror, for all
   are new, and by way of a staging table only where one is not);
3. the upsert (and the deletes) from there into the mirror;
4. the number of rows into the ledger, and the ledger cut to its newest 1,000 rows of the query;
5. commit.

Whatever fails rolls everything back, so the stream may give the batch again.

psycopg2's COPY was measured against ADBC's (``adbc_ingest``), both in this order of steps, with rows of
``silver.events``, PostgreSQL 18, two cores; medians of 41 batches of 200 rows, of 9 of the larger ones:

======= ======== ========
rows    psycopg2 ADBC
======= ======== ========
200     5.4 ms   5.2 ms
20,000  185 ms   178 ms
200,000 2.79 s   2.88 s
======= ======== ========

The upsert and its indexes are most of it, so the simpler one is used: its transactions begin with the first
statement, where ADBC's begin with the last commit and wait idle in between, and its errors tell a server that has
gone from a row that it refuses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from psycopg2 import errors, sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values

from lakehouse.contracts import (
    Cohorts,
    FunnelSummary,
    FunnelWindows,
    QualityDecisions,
    QualityResults,
    SessionFunnel,
    SilverEvents,
    Table,
)
from serving.changes import CHANGE_TYPE, DELETE
from serving.copytext import copy_text
from serving.postgres import transaction
from serving.sink import (
    ANSWER_LIMIT_S,
    Applied,
    MirrorBatch,
    account,
    claim,
    conform,
    delete,
    identifiers,
    limit_s,
    split,
    stage,
    take_new,
    upsert,
)

STATUS_LIMIT_S = 5.0

RECEIVED_DATE = "received_date"
"""Day (UTC) of kafka_timestamp: the partition of ``raw_events``."""

RAW_EVENTS = "raw_events"
FUNNEL_SUMMARY = "funnel_summary"
FUNNEL_WINDOWS = "funnel_windows"
SESSION_FUNNEL = "session_funnel"
CHURN_PREDICTION = "churn_prediction"
COHORTS = "cohorts"
QUALITY_RESULTS = "quality_results"
QUALITY_DECISIONS = "quality_decisions"
MIRRORS = (
    RAW_EVENTS,
    FUNNEL_SUMMARY,
    FUNNEL_WINDOWS,
    SESSION_FUNNEL,
    COHORTS,
    CHURN_PREDICTION,
    QUALITY_RESULTS,
    QUALITY_DECISIONS,
)


@dataclass(frozen=True)
class StreamStatus:
    """A row of ``pipeline_status``: what a stream says of itself. Times are aware."""

    stream: str
    state: str
    rows_total: int
    last_batch_id: int | None = None
    last_batch_rows: int | None = None
    last_batch_seconds: float | None = None
    watermark: datetime | None = None
    lag_events: int | None = None
    lag_seconds: float | None = None
    error: str | None = None
    since: datetime | None = None
    """Since when the error lasts."""


@dataclass(frozen=True)
class HistoryPoint:
    """What a stream, or a Delta table (``layer.table``), is noted by in ``pipeline_history``."""

    name: str
    rows_total: int
    lag_events: int | None = None
    lag_seconds: float | None = None
    batch_seconds: float | None = None
    """Of the longest batch since the stream was last noted; None where it had none."""


# Of a minute the newest total and the worst of the rest.
_NOTE = """
INSERT INTO public.pipeline_history AS h
    (minute, reported_at, name, rows_total, lag_events, lag_seconds, batch_seconds) VALUES %s
ON CONFLICT (minute, name) DO UPDATE SET
    reported_at = excluded.reported_at, rows_total = excluded.rows_total,
    lag_events = greatest(h.lag_events, excluded.lag_events),
    lag_seconds = greatest(h.lag_seconds, excluded.lag_seconds),
    batch_seconds = greatest(h.batch_seconds, excluded.batch_seconds)
"""
_NOTE_TEMPLATE = "(date_trunc('minute', now()), now(), %s, %s, %s, %s, %s)"


def apply_raw_events(conn: Connection, rows: pa.Table, batch: MirrorBatch) -> Applied:
    """Adds ``rows``, with the columns of ``silver.events``, to ``raw_events``; an event that is there stays as it is.

    Rows of the table's change feed will do as well: what it lists as deleted is deleted, also where it comes again, as
    after a rebuild, which may know it by another message. Makes the partition of each day received. Raises
    psycopg2.Error, after a rollback.
    """
    found, gone = split(rows, SilverEvents)
    if CHANGE_TYPE in rows.column_names:
        gone = conform(rows.filter(pc.equal(rows[CHANGE_TYPE], DELETE)), SilverEvents)
    events, erased = _with_received_date(found), _with_received_date(gone)
    with transaction(conn, limit_s(rows.num_rows)) as cursor:
        if not claim(cursor, batch):
            return Applied(rows=0, skipped=True)
        for day in pc.unique(events[RECEIVED_DATE]).to_pylist():
            cursor.execute("SELECT public.make_raw_events_day(%s)", (day,))
        key = (RECEIVED_DATE, *SilverEvents.key)
        applied = delete(cursor, RAW_EVENTS, key, erased) + _insert(cursor, RAW_EVENTS, events)
        return account(cursor, batch, applied)


def apply_funnel_summary(conn: Connection, changes: pa.Table, batch: MirrorBatch) -> Applied:
    """Brings ``funnel_summary`` to the end of ``changes``, rows of the change feed of ``gold.funnel_summary``.

    Raises psycopg2.Error, after a rollback.
    """
    return _apply_changes(conn, FUNNEL_SUMMARY, FunnelSummary, changes, batch)


def apply_funnel_windows(conn: Connection, changes: pa.Table, batch: MirrorBatch) -> Applied:
    """Brings ``funnel_windows`` to the end of ``changes``, rows of the change feed of ``gold.funnel_windows``.

    Raises psycopg2.Error, after a rollback.
    """
    return _apply_changes(conn, FUNNEL_WINDOWS, FunnelWindows, changes, batch)


def apply_session_funnel(conn: Connection, changes: pa.Table, batch: MirrorBatch) -> Applied:
    """Brings ``session_funnel`` to the end of ``changes``, rows of the change feed of ``gold.session_funnel``.

    Raises psycopg2.Error, after a rollback.
    """
    return _apply_changes(conn, SESSION_FUNNEL, SessionFunnel, changes, batch)


def apply_cohorts(conn: Connection, changes: pa.Table, batch: MirrorBatch) -> Applied:
    """Brings ``cohorts`` to the end of ``changes``, rows of the change feed of ``gold.cohorts``.

    Raises psycopg2.Error, after a rollback.
    """
    return _apply_changes(conn, COHORTS, Cohorts, changes, batch)


def apply_quality_results(conn: Connection, verdicts: pa.Table, batch: MirrorBatch) -> Applied:
    """Adds ``verdicts``, rows of `quality.results`, to ``quality_results``. Raises psycopg2.Error, after a rollback."""
    return _apply_changes(conn, QUALITY_RESULTS, QualityResults, verdicts, batch)


def apply_quality_decisions(conn: Connection, decisions: pa.Table, batch: MirrorBatch) -> Applied:
    """Adds rows of `quality.decisions` to ``quality_decisions``. Raises psycopg2.Error, after a rollback."""
    return _apply_changes(conn, QUALITY_DECISIONS, QualityDecisions, decisions, batch)


def drop_expired_verdicts(conn: Connection, keep_days: int) -> int:
    """Deletes verdicts that are more than ``keep_days`` older than the newest; returns how many."""
    with transaction(conn, ANSWER_LIMIT_S) as cursor:
        cursor.execute(
            "DELETE FROM public.quality_results WHERE started_at < ("
            "SELECT date_trunc('day', max(started_at), 'UTC') FROM public.quality_results) - make_interval(days => %s)",
            (keep_days,),
        )
        return cursor.rowcount


def truncate_mirror(conn: Connection, table: str, query: str) -> None:
    """Empties the mirror ``table`` and forgets the batches of ``query``, in one transaction, to mirror it again."""
    if table not in MIRRORS:
        raise ValueError(f"{table!r} is not a mirror; they are {', '.join(MIRRORS)}")
    with transaction(conn, ANSWER_LIMIT_S) as cursor:
        cursor.execute(sql.SQL("TRUNCATE {}").format(sql.Identifier("public", table)))
        cursor.execute("DELETE FROM public.mirror_ledger WHERE query = %s", (query,))


def drop_expired(conn: Connection, keep_days: int) -> int:
    """Drops the days of ``raw_events`` beyond the newest ``keep_days``, counted from the newest day received.

    Returns how many were dropped: 0 also where a reader held them for more than two seconds, for they are dropped by a
    later call.
    """
    try:
        with transaction(conn, ANSWER_LIMIT_S) as cursor:
            cursor.execute("SELECT public.drop_expired_raw_events(%s)", (keep_days,))
            return cursor.rowcount
    except errors.LockNotAvailable:
        return 0


def write_status(conn: Connection, rows: Sequence[StreamStatus], noted: Sequence[HistoryPoint] = ()) -> None:
    """Writes what the streams say of themselves; streams that are not in ``rows`` keep what they said last.

    ``noted`` goes into the history of this minute, and what is older than a day goes out of it.
    """
    if not rows:
        return
    names = [field.name for field in fields(StreamStatus)]
    statement = sql.SQL(
        "INSERT INTO public.pipeline_status ({names}, updated_at) VALUES %s"
        " ON CONFLICT (stream) DO UPDATE SET {changes}"
    ).format(names=identifiers(names), changes=take_new([*names[1:], "updated_at"]))
    with transaction(conn, STATUS_LIMIT_S) as cursor:
        template = f"({', '.join(['%s'] * len(names))}, now())"
        execute_values(cursor, statement, [astuple(row) for row in rows], template)
        if noted:
            execute_values(cursor, _NOTE, [astuple(point) for point in noted], _NOTE_TEMPLATE)
            cursor.execute("DELETE FROM public.pipeline_history WHERE minute < now() - interval '1 day'")


def _apply_changes(conn: Connection, mirror: str, table: type[Table], changes: pa.Table, batch: MirrorBatch) -> Applied:
    upserts, deletes = split(changes, table)
    with transaction(conn, limit_s(changes.num_rows)) as cursor:
        if not claim(cursor, batch):
            return Applied(rows=0, skipped=True)
        applied = delete(cursor, mirror, table.key, deletes) + upsert(cursor, mirror, table.key, upserts)
        return account(cursor, batch, applied)


def _insert(cursor: Cursor, mirror: str, rows: pa.Table) -> int:
    """COPY straight into the mirror, where each event is new; by way of a staging table only where one is not."""
    if not rows.num_rows:
        return 0
    cursor.execute("SAVEPOINT straight")
    try:
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier("public", mirror), identifiers(rows.column_names)
        )
        cursor.copy_expert(statement, copy_text(rows), size=1 << 20)
        return int(rows.num_rows)
    except errors.UniqueViolation:
        cursor.execute("ROLLBACK TO SAVEPOINT straight")
    statement = sql.SQL("INSERT INTO {mirror} ({names}) SELECT {names} FROM {staging} ON CONFLICT DO NOTHING").format(
        mirror=sql.Identifier("public", mirror),
        names=identifiers(rows.column_names),
        staging=stage(cursor, mirror, f"staging_{mirror}", rows),
    )
    cursor.execute(statement)
    return cursor.rowcount


def _with_received_date(events: pa.Table) -> pa.Table:
    """Silver's columns as ``raw_events`` has them: with the day received."""
    received = events[SilverEvents.kafka_timestamp].cast(pa.timestamp("us")).cast(pa.date32(), safe=False)
    return events.append_column(RECEIVED_DATE, received)
