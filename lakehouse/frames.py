"""Rows in one of two forms: an Arrow table in this process, or a Spark DataFrame on a cluster.

A transform is written once, as a function of polars DataFrames. `apply` runs it on either form.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from deltalake import Schema
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import from_arrow_schema

from lakehouse.contracts import Table

Frame: TypeAlias = DataFrame | pa.Table
"""Rows to commit: an Arrow table where delta-rs commits them, a Spark DataFrame where Spark does."""

Transform: TypeAlias = Callable[[pl.DataFrame], pl.DataFrame]
"""Pure: what it gives depends on the rows it is given, and on nothing else."""


def apply(rows: Frame, transform: Transform, schema: pa.Schema, by: Sequence[str] = ()) -> Frame:
    """``transform`` of ``rows``, with the columns and types of ``schema``.

    On a cluster it is called for parts of the rows: of any kind, or, where ``by`` names columns, for parts that hold
    all rows that agree in these. It must be importable there.
    """
    if isinstance(rows, pa.Table):
        return _transformed(rows, transform, schema)
    if not by:
        return rows.mapInArrow(_ForEachBatch(transform, schema), from_arrow_schema(schema))
    return rows.repartition(*by).mapInArrow(_ForPartition(transform, schema), from_arrow_schema(schema))


class _ForEachBatch:
    def __init__(self, transform: Transform, schema: pa.Schema) -> None:
        self._transform, self._schema = transform, schema

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from _transformed(pa.Table.from_batches([batch]), self._transform, self._schema).to_batches()


class _ForPartition(_ForEachBatch):
    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        rows = list(batches)
        if rows:
            yield from _transformed(pa.Table.from_batches(rows), self._transform, self._schema).to_batches()


def _transformed(rows: pa.Table, transform: Transform, schema: pa.Schema) -> pa.Table:
    return to_arrow(transform(pl.DataFrame(rows))).select(schema.names).cast(schema)


def to_arrow(rows: pl.DataFrame) -> pa.Table:
    """Without string views, for which pyarrow has few kernels yet."""
    return rows.to_arrow(compat_level=pl.CompatLevel.oldest())


def arrow_schema(table: type[Table]) -> pa.Schema:
    """A contract's schema as Arrow's."""
    return pa.schema(Schema.from_json(table.schema_json()).to_arrow())


def conform(rows: pa.Table, table: type[Table]) -> pa.Table:
    """``rows`` with exactly the contract's columns, in its order and types."""
    schema = arrow_schema(table)
    return rows.select(schema.names).cast(schema)


def empty(table: type[Table]) -> pa.Table:
    """No rows, with the contract's columns."""
    return arrow_schema(table).empty_table()


def where(rows: Frame, column: str, *values: str) -> Frame:
    """The rows whose ``column`` is one of ``values``."""
    if isinstance(rows, pa.Table):
        return rows.filter(pc.is_in(rows[column], pa.array(values)))
    return rows.where(F.col(column).isin(*values))


def stacked(tables: Sequence[pa.Table]) -> pa.Table:
    """Rows of the same columns, whatever engine's Arrow types and order of columns each has."""
    names = tables[0].column_names
    return to_arrow(pl.concat([pl.DataFrame(table.select(names)) for table in tables]))


def keys_of(rows: Frame, table: type[Table]) -> Frame:
    """The columns of ``rows`` that are the table's key."""
    key = [str(column) for column in table.key]
    return rows.select(key) if isinstance(rows, pa.Table) else rows.select(*key)


def union(rows: Frame, more: Frame) -> Frame:
    """Both, of the same columns and the same form."""
    if isinstance(rows, pa.Table):
        return stacked([rows, more])
    return rows.unionByName(more)


def count(rows: Frame) -> int:
    return int(rows.num_rows) if isinstance(rows, pa.Table) else int(rows.count())
