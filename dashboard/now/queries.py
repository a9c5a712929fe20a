"""What the page shows, read in one consistent look; every answer is bounded, every value is a parameter."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl
import streamlit as st
from psycopg2.extensions import cursor as Cursor

from dashboard.database import SHARED_FOR_S, TEXT_SHOWN, rows, snapshot
from dashboard.extent import extent_of
from dashboard.pipeline.queries import Pipeline, pipeline_of
from dashboard.ranges import Range, Span, bucket_minutes, resolve
from lakehouse import event

MOST_TYPES = 7
"""Event types with a colour of their own; the rest is counted together."""
LATEST_EVENTS = 20

# Windows that overlap the span: with windows of a day, the last hour lies inside one. No window is longer.
_WINDOWS = """
    FROM funnel_windows
    WHERE window_start >= %(start)s - interval '1 day' AND window_start < %(end)s AND window_end > %(start)s
"""

_TOTALS = f"""
SELECT coalesce(sum(num_events), 0)::bigint AS events,
       coalesce(sum(num_events) FILTER (WHERE event_type = %(view)s), 0)::bigint AS views,
       coalesce(sum(num_events) FILTER (WHERE event_type = %(cart)s), 0)::bigint AS carts,
       coalesce(sum(num_events) FILTER (WHERE event_type = %(purchase)s), 0)::bigint AS purchases
{_WINDOWS}
"""

_BY_TYPE = f"""
WITH counted AS (
    SELECT date_bin(%(minutes)s * interval '1 minute', window_start, '2000-01-03 00:00+00') AS bucket,
           event_type, sum(num_events) AS n
    {_WINDOWS}
    GROUP BY bucket, event_type
), ranked AS (
    SELECT event_type, row_number() OVER (ORDER BY sum(n) DESC, event_type) AS place FROM counted GROUP BY event_type
)
SELECT bucket, CASE WHEN place <= %(most)s THEN left(event_type, %(shown)s) END AS event_type,
       least(place, %(most)s + 1)::bigint AS place, sum(n)::bigint AS num_events
FROM counted JOIN ranked USING (event_type)
GROUP BY 1, 2, 3
ORDER BY 1, 3
"""  # noqa: S608

_LATEST = """
SELECT event_time, left(event_type, %(shown)s) AS event_type, left(user_id, %(shown)s) AS user_id,
       left(session_id, %(shown)s) AS session_id, left(product_id, %(shown)s) AS product_id,
       left(category, %(shown)s) AS category, price::float8 AS price, left(currency, %(shown)s) AS currency,
       quantity, kafka_timestamp
FROM raw_events WHERE event_time >= %(start)s AND event_time < %(end)s
ORDER BY event_time DESC LIMIT %(most)s
"""


@dataclass(frozen=True)
class Totals:
    """Events of the span, of any type and of the funnel's three."""

    events: int
    views: int
    carts: int
    purchases: int


@dataclass(frozen=True)
class Activity:
    """What users did in a span."""

    span: Span
    minutes: int
    """Length of a bucket."""
    totals: Totals
    by_type: pl.DataFrame
    """bucket, event_type (null: the rarer ones together), place (1: the most frequent type), num_events."""
    latest: pl.DataFrame
    """The latest events, the newest first."""


@dataclass(frozen=True)
class Now:
    """All that the page shows."""

    pipeline: Pipeline
    extent: Span | None
    """Of the data; None while there is none."""
    activity: Activity | None


@st.cache_data(ttl=SHARED_FOR_S, max_entries=100, show_spinner="Reading from Postgres …")
def read_now(dsn: str, choice: Range, custom: Span | None, window_minutes: int) -> Now:
    """One look at the mirrors. Raises dashboard.database.Unavailable and NotMigrated, which are not remembered."""
    with snapshot(dsn) as cursor:
        pipeline, extent = pipeline_of(cursor), extent_of(cursor)
        if extent is None:
            return Now(pipeline, None, None)
        span = resolve(choice, extent, custom)
        return Now(pipeline, extent, _activity(cursor, span, bucket_minutes(span, window_minutes)))


def _activity(cursor: Cursor, span: Span, minutes: int) -> Activity:
    within = {"start": span.start, "end": span.end, "shown": TEXT_SHOWN}
    kinds = {"view": event.VIEW, "cart": event.ADD_TO_CART, "purchase": event.PURCHASE}
    (totals,) = rows(cursor, _TOTALS, {**within, **kinds})
    by_type = rows(cursor, _BY_TYPE, {**within, "minutes": minutes, "most": MOST_TYPES})
    latest = rows(cursor, _LATEST, {**within, "most": LATEST_EVENTS})
    moment = pl.Datetime("us", "UTC")
    return Activity(
        span,
        minutes,
        Totals(*totals),
        pl.DataFrame(
            by_type,
            {"bucket": moment, "event_type": pl.String, "place": pl.Int64, "num_events": pl.Int64},
            orient="row",
        ),
        pl.DataFrame(
            latest,
            {
                "event_time": moment,
                "event_type": pl.String,
                "user_id": pl.String,
                "session_id": pl.String,
                "product_id": pl.String,
                "category": pl.String,
                "price": pl.Float64,
                "currency": pl.String,
                "quantity": pl.Int64,
                "kafka_timestamp": moment,
            },
            orient="row",
        ),
    )
