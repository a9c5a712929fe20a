"""A mirror in Postgres beside its Delta table, as of the version that the mirror says it has; part by part."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import polars as pl
import psycopg2
import pyarrow as pa

from lakehouse.contracts import ChurnFeatures, FunnelSummary, SilverEvents, Table
from lakehouse.errors import LakehouseError
from lakehouse.frames import to_arrow
from lakehouse.home import Home
from lakehouse.settings import Settings
from quality.rows import TableReader
from quality.suites.mirrors import (
    CHURN_PREDICTION,
    EVENTS_IN_DELTA,
    EVENTS_IN_MIRROR,
    FUNNEL_SUMMARY,
    IN_DELTA,
    IN_MIRROR,
    PART,
    RAW_EVENTS,
    STRANGERS,
    WRONG,
)

CONNECT_TIMEOUT_S = 5
ANSWER_TIMEOUT_S = 60

MIRRORS: dict[str, type[Table]] = {
    RAW_EVENTS: SilverEvents,
    FUNNEL_SUMMARY: FunnelSummary,
    CHURN_PREDICTION: ChurnFeatures,
}

_RAW_EVENTS = """
SELECT received_date, count(*)::bigint,
       (count(*) FILTER (WHERE event_type <> ALL (%(types)s)
                            OR received_date <> (kafka_timestamp AT TIME ZONE 'UTC')::date))::bigint
FROM raw_events GROUP BY received_date
"""
_FUNNEL_SUMMARY = """
SELECT window_date, count(*)::bigint, coalesce(sum(num_events), 0)::bigint,
       (count(*) FILTER (WHERE least(num_views, num_add_to_cart, num_purchases, late_events) < 0
                            OR window_end <= window_start))::bigint
FROM funnel_summary GROUP BY window_date
"""
_CHURN_PREDICTION = """
SELECT count(*)::bigint, (count(*) FILTER (WHERE churn_probability NOT BETWEEN 0 AND 1
                                              OR threshold NOT BETWEEN 0 AND 1))::bigint
FROM churn_prediction
"""


@dataclass(frozen=True)
class Comparison:
    """What is judged of a mirror."""

    rows: pa.Table
    """A row for each part: the columns that `quality.suites.mirrors` names."""
    version: int
    """The table's version that the mirror says it has; -1 for none."""
    num_rows: int
    """Rows of the mirror."""


def compared(mirror: str, home: Home, settings: Settings, dsn: str) -> Comparison:
    """``mirror``, one of ``MIRRORS``, beside its table. Raises LakehouseError where Postgres does not answer."""
    name = mirror.split(".", 1)[1]
    try:
        with closing(psycopg2.connect(dsn, connect_timeout=CONNECT_TIMEOUT_S)) as connection:
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            with connection.cursor() as cursor:
                cursor.execute("SET statement_timeout = %s", (ANSWER_TIMEOUT_S * 1000,))
                cursor.execute(
                    "SELECT source_version FROM mirror_ledger WHERE query = %s"
                    " ORDER BY generation DESC, batch_id DESC LIMIT 1",
                    (name,),
                )
                found = cursor.fetchone()
                version = -1 if found is None or found[0] is None else int(found[0])
                read = {RAW_EVENTS: _raw_events, FUNNEL_SUMMARY: _funnel_summary, CHURN_PREDICTION: _churn_prediction}
                rows = read[mirror](cursor, home, settings, version)
    except psycopg2.Error as error:
        reason = " ".join(str(error).split())[:200]
        raise LakehouseError(f"{mirror}: Postgres does not answer, so it cannot be judged: {reason}") from None
    return Comparison(to_arrow(rows), version, int(rows[IN_MIRROR].sum()))


def _at(home: Home, table: type[Table], version: int) -> tuple[TableReader, int | None]:
    """The table and the version to read for what the mirror has; none where it has nothing yet."""
    reader = TableReader(home, table)
    return reader, reader.alike(version) if version >= 0 else None


def _raw_events(cursor: Any, home: Home, settings: Settings, version: int) -> pl.DataFrame:
    cursor.execute(_RAW_EVENTS, {"types": list(settings.event_types)})
    there = _frame(cursor.fetchall(), {PART: pl.Date, IN_MIRROR: pl.Int64, WRONG: pl.Int64})
    reader, at = _at(home, SilverEvents, version)
    here = _by_day_received(reader, at)
    newest: date | None = pl.concat([here[PART], there[PART]]).max()  # type: ignore[assignment]
    both = _joined(here, there)
    if newest is None:
        return both
    # Older days than these are dropped from the mirror; one of them may be there still.
    return both.filter(pl.col(PART).str.to_date() > newest - timedelta(days=settings.raw_events_days))


def _by_day_received(reader: TableReader, version: int | None) -> pl.DataFrame:
    """Rows of ``silver.events`` by the day (UTC) that the broker had them. A file of one day is counted by the log's
    statistics, and not read."""
    schema = {PART: pl.Date, IN_DELTA: pl.Int64}
    files = None if version is None else reader.statistics(version)
    if files is None or files.is_empty():
        return pl.DataFrame(schema=schema)
    time = str(SilverEvents.kafka_timestamp)
    least, greatest = (pl.col(f"{end}.{time}").dt.date() for end in ("min", "max"))
    # Statistics are cut to milliseconds, which changes no day.
    of_one_day = files.filter(least == greatest)
    others = files.filter((least != greatest).fill_null(value=True))
    counted = of_one_day.group_by(least.alias(PART)).agg(pl.col("num_records").sum().cast(pl.Int64).alias(IN_DELTA))
    read = (
        reader.scan_some([reader.file(path) for path in others["path"]])
        .group_by(pl.col(time).dt.date().alias(PART))
        .agg(pl.len().cast(pl.Int64).alias(IN_DELTA))
        .collect(engine="streaming")
    )
    return pl.concat([counted, read]).group_by(PART).agg(pl.col(IN_DELTA).sum())


def _funnel_summary(cursor: Any, home: Home, _: Settings, version: int) -> pl.DataFrame:
    cursor.execute(_FUNNEL_SUMMARY)
    there = _frame(cursor.fetchall(), {PART: pl.Date, IN_MIRROR: pl.Int64, EVENTS_IN_MIRROR: pl.Int64, WRONG: pl.Int64})
    reader, at = _at(home, FunnelSummary, version)
    rows = reader.scan_some([]) if at is None else reader.scan(at)
    here = (
        rows.group_by(pl.col(FunnelSummary.window_date).alias(PART))
        .agg(
            pl.len().cast(pl.Int64).alias(IN_DELTA),
            pl.col(FunnelSummary.num_events).sum().alias(EVENTS_IN_DELTA),
        )
        .collect(engine="streaming")
    )
    return _joined(here, there)


def _churn_prediction(cursor: Any, home: Home, _: Settings, version: int) -> pl.DataFrame:
    cursor.execute(_CHURN_PREDICTION)
    rows, wrong = cursor.fetchone()
    cursor.execute("SELECT user_id FROM churn_prediction")
    scored = _frame(cursor.fetchall(), {"user_id": pl.String})
    reader, at = _at(home, ChurnFeatures, version)
    users = (reader.scan_some([]) if at is None else reader.scan(at)).select("user_id").collect()
    return pl.DataFrame(
        {
            PART: ["all"],
            IN_DELTA: [len(users)],
            IN_MIRROR: [rows],
            STRANGERS: [len(scored.join(users, on="user_id", how="anti"))],
            WRONG: [wrong],
        }
    )


def _frame(rows: Sequence[tuple[Any, ...]], schema: dict[str, Any]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=schema, orient="row")


def _joined(here: pl.DataFrame, there: pl.DataFrame) -> pl.DataFrame:
    both = here.join(there, on=PART, how="full", coalesce=True)
    counts = [name for name in both.columns if name != PART]
    return both.with_columns(pl.col(counts).fill_null(0), pl.col(PART).cast(pl.String)).sort(PART)
