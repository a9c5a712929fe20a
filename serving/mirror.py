"""The sinks: batches of silver and gold into their mirrors in Postgres, each batch exactly once.

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

import io
from collections.abc import Sequence
from dataclasses import astuple, dataclass, fields
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import Schema
from psycopg2 import errors, sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor
from psycopg2.extras import execute_values

from lakehouse.contracts import FunnelSummary, FunnelWindows, SilverEvents, Table
from lakehouse.errors import LakehouseError
from lakehouse.faultpoints import reach
from serving.changes import CHANGE_TYPE, DELETE, latest_changes
from serving.copytext import copy_text
from serving.postgres import transaction

LEDGER_BATCHES = 1_000
"""Batches of a query that the ledger remembers: far more than a stream ever gives again."""

ANSWER_LIMIT_S = 30.0
"""How long the server may be silent: all stages take turns, so that one that hangs would hold them all up."""

STATUS_LIMIT_S = 5.0

SLOWEST_ROWS_PER_S = 2_000
"""What a batch may take beyond that: a thirtieth of what was measured, so that no batch is too large to arrive."""

RECEIVED_DATE = "received_date"
"""Day (UTC) of kafka_timestamp: the partition of ``raw_events``."""

RAW_EVENTS = "raw_events"
FUNNEL_SUMMARY = "funnel_summary"
FUNNEL_WINDOWS = "funnel_windows"
MIRRORS = (RAW_EVENTS, FUNNEL_SUMMARY, FUNNEL_WINDOWS)


@dataclass(frozen=True)
class MirrorBatch:
    """The name of a batch, and where in its source it ends."""

    query: str
    generation: int
    batch_id: int
    source_version: int | None
    """The source table's last version that is wholly in; None where the batch ends inside a version."""


@dataclass(frozen=True)
class Applied:
    """What a batch did."""

    rows: int
    """Rows of the mirror inserted, updated or deleted."""
    skipped: bool = False
    """The ledger had it, or a later one, before: nothing was done."""


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


def apply_raw_events(conn: Connection, rows: pa.Table, batch: MirrorBatch) -> Applied:
    """Adds ``rows``, with the columns of ``silver.events``, to ``raw_events``; an event that is there stays as it is.

    Rows of the table's change feed will do as well: what it lists as deleted is deleted. Makes the partition of each
    day received. Raises psycopg2.Error, after a rollback.
    """
    found, gone = _split(rows, SilverEvents)
    events, erased = _with_received_date(found), _with_received_date(gone)
    with transaction(conn, _limit_s(rows.num_rows)) as cursor:
        if not _claim(cursor, batch):
            return Applied(rows=0, skipped=True)
        for day in pc.unique(events[RECEIVED_DATE]).to_pylist():
            cursor.execute("SELECT public.make_raw_events_day(%s)", (day,))
        key = (RECEIVED_DATE, *SilverEvents.key)
        applied = _delete(cursor, RAW_EVENTS, key, erased) + _insert(cursor, RAW_EVENTS, events)
        return _account(cursor, batch, applied)


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


def last_applied(conn: Connection, query: str) -> MirrorBatch | None:
    """The newest batch of ``query`` that is in its mirror; None where there is none."""
    with transaction(conn, ANSWER_LIMIT_S) as cursor:
        cursor.execute(
            "SELECT query, generation, batch_id, source_version FROM public.mirror_ledger"
            " WHERE query = %s ORDER BY generation DESC, batch_id DESC LIMIT 1",
            (query,),
        )
        row = cursor.fetchone()
    return None if row is None else MirrorBatch(*row)


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


def write_status(conn: Connection, rows: Sequence[StreamStatus]) -> None:
    """Writes what the streams say of themselves; streams that are not in ``rows`` keep what they said last."""
    if not rows:
        return
    names = [field.name for field in fields(StreamStatus)]
    statement = sql.SQL(
        "INSERT INTO public.pipeline_status ({names}, updated_at) VALUES %s"
        " ON CONFLICT (stream) DO UPDATE SET {changes}"
    ).format(names=_names(names), changes=_take_new([*names[1:], "updated_at"]))
    with transaction(conn, STATUS_LIMIT_S) as cursor:
        template = f"({', '.join(['%s'] * len(names))}, now())"
        execute_values(cursor, statement, [astuple(row) for row in rows], template)


def _apply_changes(conn: Connection, mirror: str, table: type[Table], changes: pa.Table, batch: MirrorBatch) -> Applied:
    upserts, deletes = _split(changes, table)
    with transaction(conn, _limit_s(changes.num_rows)) as cursor:
        if not _claim(cursor, batch):
            return Applied(rows=0, skipped=True)
        applied = _delete(cursor, mirror, table.key, deletes) + _upsert(cursor, mirror, table.key, upserts)
        return _account(cursor, batch, applied)


def _split(rows: pa.Table, table: type[Table]) -> tuple[pa.Table, pa.Table]:
    """What there is to upsert and what to delete, in the contract's columns; no key is in both."""
    if CHANGE_TYPE not in rows.column_names:
        conformed = _conform(rows, table)
        return conformed, conformed.slice(0, 0)
    latest = latest_changes(rows, table.key)
    deleted = pc.equal(latest[CHANGE_TYPE], DELETE)
    return _conform(latest.filter(pc.invert(deleted)), table), _conform(latest.filter(deleted), table)


def _insert(cursor: Cursor, mirror: str, rows: pa.Table) -> int:
    """COPY straight into the mirror, where each event is new; by way of a staging table only where one is not."""
    if not rows.num_rows:
        return 0
    cursor.execute("SAVEPOINT straight")
    try:
        statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
            sql.Identifier("public", mirror), _names(rows.column_names)
        )
        cursor.copy_expert(statement, copy_text(rows), size=1 << 20)
        return int(rows.num_rows)
    except errors.UniqueViolation:
        cursor.execute("ROLLBACK TO SAVEPOINT straight")
    statement = sql.SQL("INSERT INTO {mirror} ({names}) SELECT {names} FROM {staging} ON CONFLICT DO NOTHING").format(
        mirror=sql.Identifier("public", mirror),
        names=_names(rows.column_names),
        staging=_stage(cursor, mirror, f"staging_{mirror}", rows),
    )
    cursor.execute(statement)
    return cursor.rowcount


def _upsert(cursor: Cursor, mirror: str, key: Sequence[str], rows: pa.Table) -> int:
    if not rows.num_rows:
        return 0
    statement = sql.SQL(
        "INSERT INTO {mirror} ({names}) SELECT {names} FROM {staging} ON CONFLICT ({key}) DO UPDATE SET {changes}"
    ).format(
        mirror=sql.Identifier("public", mirror),
        names=_names(rows.column_names),
        staging=_stage(cursor, mirror, f"staging_{mirror}", rows),
        key=_names(key),
        changes=_take_new([name for name in rows.column_names if name not in key]),
    )
    cursor.execute(statement)
    return cursor.rowcount


def _delete(cursor: Cursor, mirror: str, key: Sequence[str], rows: pa.Table) -> int:
    if not rows.num_rows:
        return 0
    statement = sql.SQL("DELETE FROM {mirror} WHERE ({key}) IN (SELECT {key} FROM {staging})").format(
        mirror=sql.Identifier("public", mirror),
        staging=_stage(cursor, mirror, f"deleted_{mirror}", rows),
        key=_names(key),
    )
    cursor.execute(statement)
    return cursor.rowcount


def _limit_s(rows: int) -> float:
    return ANSWER_LIMIT_S + rows / SLOWEST_ROWS_PER_S


def _claim(cursor: Cursor, batch: MirrorBatch) -> bool:
    """Enters the batch into the ledger; False where it, or one after it, is in.

    Batches come in order, and a later generation replaces an earlier one: whatever lies before the newest row was
    applied and has left the ledger since, or belongs to a life of the stream that is over. Applying it would put old
    rows over new ones.
    """
    cursor.execute(
        "INSERT INTO public.mirror_ledger (query, generation, batch_id, source_version, rows)"
        " SELECT %(query)s, %(generation)s, %(batch_id)s, %(source_version)s, 0"
        " WHERE NOT EXISTS (SELECT FROM public.mirror_ledger WHERE query = %(query)s"
        " AND (generation, batch_id) >= (%(generation)s, %(batch_id)s))"
        " ON CONFLICT DO NOTHING",
        vars(batch),
    )
    return cursor.rowcount == 1


def _account(cursor: Cursor, batch: MirrorBatch, rows: int) -> Applied:
    cursor.execute(
        "UPDATE public.mirror_ledger SET rows = %s WHERE query = %s AND generation = %s AND batch_id = %s",
        (rows, batch.query, batch.generation, batch.batch_id),
    )
    cursor.execute(
        "DELETE FROM public.mirror_ledger WHERE query = %(query)s AND (generation, batch_id) <= ("
        "SELECT generation, batch_id FROM public.mirror_ledger WHERE query = %(query)s"
        " ORDER BY generation DESC, batch_id DESC OFFSET %(keep)s LIMIT 1)",
        {"query": batch.query, "keep": LEDGER_BATCHES},
    )
    reach("before-mirror-commit")
    return Applied(rows=rows)


def _stage(cursor: Cursor, mirror: str, name: str, rows: pa.Table) -> sql.Identifier:
    """Copies ``rows`` into the session's table ``name``, which is shaped like ``mirror`` and emptied by the commit."""
    # Kept for the session: a table made for each batch would leave its rows in the system catalogs every time.
    cursor.execute(
        sql.SQL("CREATE TEMPORARY TABLE IF NOT EXISTS {} (LIKE {}) ON COMMIT DELETE ROWS").format(
            sql.Identifier(name), sql.Identifier("public", mirror)
        )
    )
    staging = sql.Identifier("pg_temp", name)
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(staging, _names(rows.column_names))
    cursor.copy_expert(statement, _CopySource(copy_text(rows)), size=1 << 20)
    return staging


class _CopySource(io.BufferedIOBase):
    """The lines of a COPY, a part at a time."""

    def __init__(self, text: io.BytesIO) -> None:
        self._text = text

    def read(self, size: int | None = -1, /) -> bytes:
        if self._text.tell():
            reach("in-mirror-copy")
        return bytes(self._text.read(size))


def _conform(rows: pa.Table, table: type[Table]) -> pa.Table:
    """The columns of ``table`` that its mirror has, in its order and types, whatever else ``rows`` holds.

    Raises LakehouseError where one is missing or cannot be read as its type.
    """
    schema = pa.schema(Schema.from_json(table.schema_json(table.mirrored_columns())).to_arrow())
    try:
        return rows.select(schema.names).cast(schema)
    except (KeyError, pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise LakehouseError(f"a batch does not have the columns of {table.name}: {error}") from None


def _with_received_date(events: pa.Table) -> pa.Table:
    """Silver's columns as ``raw_events`` has them: with the day received."""
    received = events[SilverEvents.kafka_timestamp].cast(pa.timestamp("us")).cast(pa.date32(), safe=False)
    return events.append_column(RECEIVED_DATE, received)


def _take_new(names: Sequence[str]) -> sql.Composable:
    """``name = EXCLUDED.name`` for each of ``names``."""
    changes = [sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in names]
    return sql.SQL(", ").join(changes)


def _names(columns: Sequence[str]) -> sql.Composable:
    return sql.SQL(", ").join([sql.Identifier(name) for name in columns])
