"""How the streams do now and did in the last hours, how fresh the mirrors are, and what comes late."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import polars as pl
import streamlit as st
from psycopg2.extensions import cursor as Cursor

from dashboard.database import SHARED_FOR_S, exists, rows, snapshot
from dashboard.extent import extent_of
from dashboard.ranges import Span, bucket_minutes

MOST_USER_WINDOWS = 500_000
"""Rows of ``funnel_summary`` that late events are counted from at most: some tenths of a second."""
LATE_SHARED_FOR_S = 30.0
LATE_HOURS = timedelta(days=1)

_STREAMS = """
SELECT stream, state, rows_total, last_batch_rows, last_batch_seconds, watermark, lag_events, lag_seconds,
       left(error, 2000) AS error, since, updated_at
FROM pipeline_status ORDER BY stream LIMIT 50
"""

_FRESHNESS = """
SELECT now() AS read_at, (SELECT max(event_time) FROM raw_events) AS newest_event,
       (SELECT max(applied_at) FROM mirror_ledger) AS mirrored_at
"""

_SCORED_BY = "SELECT model_version FROM churn_prediction ORDER BY churn_probability DESC NULLS LAST LIMIT 1"

_HISTORY = """
SELECT date_bin(%(minutes)s * interval '1 minute', minute, '2000-01-03 00:00+00') AS bucket, name,
       max(reported_at) AS reported_at, (array_agg(rows_total ORDER BY minute DESC))[1] AS rows_total,
       max(lag_events) AS lag_events, max(lag_seconds) AS lag_seconds, max(batch_seconds) AS batch_seconds
FROM pipeline_history WHERE minute >= now() - %(hours)s * interval '1 hour'
GROUP BY 1, 2 ORDER BY 1, 2 LIMIT 20000
"""

_LATE = """
SELECT date_bin(%(minutes)s * interval '1 minute', window_start, '2000-01-03 00:00+00') AS bucket,
       sum(late_events)::bigint AS late_events, sum(num_events)::bigint AS num_events, count(*) AS user_windows
FROM (
    SELECT window_start, late_events, num_events FROM funnel_summary
    WHERE window_start >= %(start)s AND window_start < %(end)s ORDER BY window_start DESC LIMIT %(most)s
) AS newest
GROUP BY 1 ORDER BY 1
"""


class Since(StrEnum):
    """How far back the page looks, by the clock; the value is the label."""

    HOUR = "Last hour"
    SIX_HOURS = "6 hours"
    DAY = "24 hours"

    @property
    def hours(self) -> int:
        return {Since.HOUR: 1, Since.SIX_HOURS: 6, Since.DAY: 24}[self]

    @property
    def bucket_minutes(self) -> int:
        """Length of a point; a day has 144 of them."""
        return {Since.HOUR: 1, Since.SIX_HOURS: 5, Since.DAY: 10}[self]


@dataclass(frozen=True)
class Stream:
    """A row of ``pipeline_status``."""

    stream: str
    state: str
    rows_total: int
    last_batch_rows: int | None
    last_batch_seconds: float | None
    watermark: datetime | None
    lag_events: int | None
    lag_seconds: float | None
    error: str | None
    since: datetime | None
    updated_at: datetime


@dataclass(frozen=True)
class Pipeline:
    """How the streams do, and how fresh the mirrors are. All times are by the server's clock."""

    read_at: datetime
    streams: tuple[Stream, ...]
    newest_event: datetime | None
    mirrored_at: datetime | None
    """When the last batch was mirrored."""

    @property
    def watermark(self) -> datetime | None:
        """Up to when windows are final."""
        return max((stream.watermark for stream in self.streams if stream.watermark), default=None)

    @property
    def reported_at(self) -> datetime | None:
        return max((stream.updated_at for stream in self.streams), default=None)

    @property
    def lag_events(self) -> int | None:
        """Events in Kafka that no table has yet."""
        return max((stream.lag_events for stream in self.streams if stream.lag_events is not None), default=None)

    @property
    def lag_seconds(self) -> float | None:
        """Of the stream that is furthest behind."""
        return max((stream.lag_seconds for stream in self.streams if stream.lag_seconds is not None), default=None)


@dataclass(frozen=True)
class Course:
    """How the streams do, and did."""

    pipeline: Pipeline
    scored_by: str | None
    """The churn model that scored the user most at risk; None while nobody is scored."""
    history: pl.DataFrame
    """bucket, name (a stream, or a Delta table: ``layer.table``), reported_at, rows_total, lag_events, lag_seconds,
    batch_seconds; by bucket."""


@st.cache_data(ttl=SHARED_FOR_S, max_entries=20, show_spinner="Reading from Postgres …")
def read_course(dsn: str, since: Since) -> Course:
    """One look. Raises dashboard.database.Unavailable and NotMigrated, which are not remembered."""
    with snapshot(dsn) as cursor:
        scored = rows(cursor, _SCORED_BY)
        bounds = {"minutes": since.bucket_minutes, "hours": since.hours}
        found = rows(cursor, _HISTORY, bounds) if exists(cursor, "pipeline_history") else []
        history = pl.DataFrame(
            found,
            {
                "bucket": pl.Datetime("us", "UTC"),
                "name": pl.String,
                "reported_at": pl.Datetime("us", "UTC"),
                "rows_total": pl.Int64,
                "lag_events": pl.Int64,
                "lag_seconds": pl.Float64,
                "batch_seconds": pl.Float64,
            },
            orient="row",
        )
        return Course(pipeline_of(cursor), scored[0].model_version if scored else None, history)


@st.cache_data(ttl=LATE_SHARED_FOR_S, max_entries=20, show_spinner=False)
def read_late(dsn: str, window_minutes: int) -> pl.DataFrame:
    """bucket, late_events, num_events of the last day of data, as far back as is looked through.

    Raises dashboard.database.Unavailable and NotMigrated, which are not remembered.
    """
    columns: dict[str, pl.DataType | type[pl.DataType]] = {
        "bucket": pl.Datetime("us", "UTC"),
        "late_events": pl.Int64,
        "num_events": pl.Int64,
    }
    with snapshot(dsn) as cursor:
        extent = extent_of(cursor)
        if extent is None:
            return pl.DataFrame(schema=columns)
        start = extent.end - LATE_HOURS
        bounds = {"start": start, "end": extent.end, "most": MOST_USER_WINDOWS}
        minutes = bucket_minutes(Span(start, extent.end), window_minutes)
        found = rows(cursor, _LATE, {**bounds, "minutes": minutes})
    if sum(row.user_windows for row in found) >= MOST_USER_WINDOWS:
        found = found[1:]  # the oldest is cut
    return pl.DataFrame([row[:3] for row in found], columns, orient="row")


def pipeline_of(cursor: Cursor) -> Pipeline:
    (fresh,) = rows(cursor, _FRESHNESS)
    streams = tuple(Stream(*row) for row in rows(cursor, _STREAMS))
    return Pipeline(fresh.read_at, streams, fresh.newest_event, fresh.mirrored_at)
