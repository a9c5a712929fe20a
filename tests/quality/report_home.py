"""A home with the tables that the report reads, written without a stack."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from deltalake import write_deltalake

from lakehouse.contracts import (
    FunnelSummary,
    QualityResults,
    SilverDuplicates,
    SilverEvents,
    SilverQuarantine,
    Table,
)
from lakehouse.frames import arrow_schema, to_arrow
from lakehouse.home import Home
from quality.verdicts import Run

_TEXT, _ZERO = "x", 0
_BLANK: dict[str, Any] = {"string": _TEXT, "integer": _ZERO, "long": _ZERO, "boolean": False}


def write(home: Home, table: type[Table], rows: pl.DataFrame) -> None:
    """Appends ``rows``; columns that they lack are null, or the same in all where they may not be."""
    fill = [
        pl.lit(None if column.nullable else _BLANK.get(str(column.type), [])).alias(column)
        for column in table.columns()
        if str(column) not in rows.columns
    ]
    arrow = to_arrow(rows.with_columns(fill)).select([str(column) for column in table.columns()])
    write_deltalake(
        home.table(table.name),
        arrow.cast(arrow_schema(table)),
        mode="append",
        partition_by=[str(column) for column in table.partition_by],
    )


def write_events(home: Home, events: pl.DataFrame) -> None:
    """``events``: event_type and event_time; gold counts each once, in windows of an hour."""
    time = pl.col(SilverEvents.event_time)
    numbered = events.with_row_index("offset").with_columns(
        pl.format("e{}", "offset").alias(SilverEvents.event_id),
        time.alias(SilverEvents.kafka_timestamp),
        time.dt.date().alias(SilverEvents.event_date),
        pl.lit("on_time").alias(SilverEvents.arrival),
    )
    write(home, SilverEvents, numbered.cast({"offset": pl.Int64}))
    start = time.dt.truncate("1h")
    counted = numbered.group_by(start.alias(FunnelSummary.window_start)).agg(pl.len().alias(FunnelSummary.num_events))
    begin = pl.col(FunnelSummary.window_start)
    write(
        home,
        FunnelSummary,
        counted.with_columns(
            (begin + timedelta(hours=1)).alias(FunnelSummary.window_end),
            begin.alias(FunnelSummary.first_event_time),
            begin.alias(FunnelSummary.last_event_time),
            begin.dt.date().alias(FunnelSummary.window_date),
        ),
    )


def write_copies(home: Home, times: list[datetime]) -> None:
    write(home, SilverDuplicates, pl.DataFrame({SilverDuplicates.event_time: times}))


def write_refused(home: Home, refused: list[tuple[datetime, list[str]]]) -> None:
    """When the broker had each, and its reasons."""
    rows = pl.DataFrame(
        [
            {
                SilverQuarantine.kafka_timestamp: time,
                SilverQuarantine.ingested_at: time,
                SilverQuarantine.quarantined_at: time,
                SilverQuarantine.ingest_date: time.date(),
                SilverQuarantine.reasons: reasons,
            }
            for time, reasons in refused
        ]
    )
    write(home, SilverQuarantine, rows)


def write_run(home: Home, run: Run) -> None:
    path: Path = home.table(QualityResults.name)
    write_deltalake(path, run.rows(), mode="append", partition_by=[str(c) for c in QualityResults.partition_by])
