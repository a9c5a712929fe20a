"""Reading a table's data files in this process, by polars: no engine is started, nor loaded."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl
import pyarrow as pa
from deltalake import Schema

from lakehouse.contracts import Table

_AS_SPARK_WROTE_THEM = pl.ScanCastOptions(datetime_cast=["nanosecond-downcast", "convert-timezone"])
"""Times of a Spark that was not told otherwise are INT96, in nanoseconds and without a zone."""


def polars_schema(table: type[Table]) -> pl.Schema:
    """A contract's schema as polars has it."""
    arrow = pa.schema(Schema.from_json(table.schema_json()).to_arrow())
    return pl.DataFrame(arrow.empty_table()).schema


def scan_files(table: type[Table], files: Sequence[str], path_column: str | None = None) -> pl.LazyFrame:
    """The rows of some of the table's data files, named by their paths; with ``path_column``, each row's path in it."""
    schema = polars_schema(table)
    if not files:
        return pl.LazyFrame(schema=schema if path_column is None else {**schema, path_column: pl.String()})
    partitions = {str(column): schema[str(column)] for column in table.partition_by}
    return pl.scan_parquet(
        list(files),
        glob=False,
        schema={name: kind for name, kind in schema.items() if name not in partitions},
        hive_partitioning=bool(partitions),
        hive_schema=partitions or None,
        cast_options=_AS_SPARK_WROTE_THEM,
        include_file_paths=path_column,
        extra_columns="ignore",  # a merge by Spark leaves an empty _change_type in its files
    )
