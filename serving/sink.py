"""The steps of a batch's transaction into a mirror, for whoever puts one together: see serving.mirror."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import Schema
from psycopg2 import sql
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import cursor as Cursor

from lakehouse.contracts import Table
from lakehouse.errors import LakehouseError
from lakehouse.faultpoints import reach
from serving.changes import CHANGE_TYPE, DELETE, latest_changes
from serving.copytext import copy_text
from serving.postgres import transaction

LEDGER_BATCHES = 1_000
"""Batches of a query that the ledger remembers: far more than a stream ever gives again."""

ANSWER_LIMIT_S = 30.0
"""How long the server may be silent: all stages take turns, so that one that hangs would hold them all up."""

SLOWEST_ROWS_PER_S = 2_000
"""What a batch may take beyond that: a thirtieth of what was measured, so that no batch is too large to arrive."""


@dataclass(frozen=True)
class MirrorBatch:
    """The name of a batch, and where in its source it ends."""

    query: str
    generation: int
    batch_id: int
    source_version: int | None
    """The source table's last version that is wholly in; None where the batch ends inside a version."""
    made_anew: bool = False
    """Whether it is a rebuild: then its rows replace newer ones too."""


@dataclass(frozen=True)
class Applied:
    """What a batch did."""

    rows: int
    """Rows of the mirror inserted, updated or deleted."""
    skipped: bool = False
    """The ledger had it, or a later one, before: nothing was done."""


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


def split(rows: pa.Table, table: type[Table]) -> tuple[pa.Table, pa.Table]:
    """What there is to upsert and what to delete, in the contract's columns; no key is in both."""
    if CHANGE_TYPE not in rows.column_names:
        conformed = conform(rows, table)
        return conformed, conformed.slice(0, 0)
    latest = latest_changes(rows, table.key)
    deleted = pc.equal(latest[CHANGE_TYPE], DELETE)
    return conform(latest.filter(pc.invert(deleted)), table), conform(latest.filter(deleted), table)


def upsert(cursor: Cursor, mirror: str, key: Sequence[str], rows: pa.Table) -> int:
    """Puts ``rows``, one for each ``key``, in the place of those that are there; returns how many they are."""
    if not rows.num_rows:
        return 0
    statement = sql.SQL(
        "INSERT INTO {mirror} ({names}) SELECT {names} FROM {staging} ON CONFLICT ({key}) DO UPDATE SET {changes}"
    ).format(
        mirror=sql.Identifier("public", mirror),
        names=identifiers(rows.column_names),
        staging=stage(cursor, mirror, f"staging_{mirror}", rows),
        key=identifiers(key),
        changes=take_new([name for name in rows.column_names if name not in key]),
    )
    cursor.execute(statement)
    return cursor.rowcount


def delete(cursor: Cursor, mirror: str, key: Sequence[str], rows: pa.Table) -> int:
    """Deletes what has the ``key`` of one of ``rows``; returns how many they were."""
    if not rows.num_rows:
        return 0
    statement = sql.SQL("DELETE FROM {mirror} WHERE ({key}) IN (SELECT {key} FROM {staging})").format(
        mirror=sql.Identifier("public", mirror),
        staging=stage(cursor, mirror, f"deleted_{mirror}", rows),
        key=identifiers(key),
    )
    cursor.execute(statement)
    return cursor.rowcount


def limit_s(rows: int) -> float:
    """How long a batch of ``rows`` may take."""
    return ANSWER_LIMIT_S + rows / SLOWEST_ROWS_PER_S


def claim(cursor: Cursor, batch: MirrorBatch) -> bool:
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


def account(cursor: Cursor, batch: MirrorBatch, rows: int) -> Applied:
    """The last step: the number of rows into the ledger, and the ledger cut to its newest batches."""
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


def stage(cursor: Cursor, mirror: str, name: str, rows: pa.Table) -> sql.Identifier:
    """Copies ``rows`` into the session's table ``name``, which is shaped like ``mirror`` and emptied by the commit."""
    # Kept for the session: a table made for each batch would leave its rows in the system catalogs every time.
    cursor.execute(
        sql.SQL("CREATE TEMPORARY TABLE IF NOT EXISTS {} (LIKE {}) ON COMMIT DELETE ROWS").format(
            sql.Identifier(name), sql.Identifier("public", mirror)
        )
    )
    staging = sql.Identifier("pg_temp", name)
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(staging, identifiers(rows.column_names))
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


def conform(rows: pa.Table, table: type[Table]) -> pa.Table:
    """The columns of ``table`` that its mirror has, in its order and types, whatever else ``rows`` holds.

    Raises LakehouseError where one is missing or cannot be read as its type.
    """
    schema = mirror_schema(table)
    try:
        return rows.select(schema.names).cast(schema)
    except (KeyError, pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        raise LakehouseError(f"a batch does not have the columns of {table.name}: {error}") from None


def mirror_schema(table: type[Table]) -> pa.Schema:
    """The columns of ``table`` that its mirror has."""
    return pa.schema(Schema.from_json(table.schema_json(table.mirrored_columns())).to_arrow())


def take_new(names: Sequence[str]) -> sql.Composable:
    """``name = EXCLUDED.name`` for each of ``names``."""
    changes = [sql.SQL("{0} = EXCLUDED.{0}").format(sql.Identifier(name)) for name in names]
    return sql.SQL(", ").join(changes)


def identifiers(columns: Sequence[str]) -> sql.Composable:
    return sql.SQL(", ").join([sql.Identifier(name) for name in columns])
