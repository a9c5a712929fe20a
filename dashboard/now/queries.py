"""What the page shows, read in one consistent look; every answer is bounded, every value is a parameter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

import polars as pl
import streamlit as st
from psycopg2.extensions import cursor as Cursor

from dashboard.database import SHARED_FOR_S, TEXT_SHOWN, exists, rows, snapshot
from dashboard.extent import extent_of, read_extent
from dashboard.pipeline.queries import Pipeline, pipeline_of
from dashboard.ranges import Comparison, Newest, Range, Span, bucket_minutes, comparison, newest, resolve, whole
from lakehouse import event

T = TypeVar("T")

MOST_TYPES = 7
"""Event types with a colour of their own; the rest is counted together."""
MOST_RATES = 20
LATEST_EVENTS = 20
TAIL_EVENTS = 20_000
"""Events that are looked through for those of the chosen types: a rare one would have the whole range read."""

LONGEST_COUNT = timedelta(days=1)
"""Users of a longer range are told by the day: they are counted there already."""
MOST_USER_WINDOWS = 750_000
"""Rows of ``funnel_summary`` that distinct users are counted from at most. At 10,000 users in each window of ten
minutes, which is 1,000 events/s, it is six hours and the six before; 720,000 rows took 0.6 s on a shared core, and
2,880,000, a day and the day before, 4 s and more."""
USERS_SHARED_FOR_S = 10.0
HOUR = timedelta(hours=1)

# Windows that overlap the span: with windows of a day, the last hour lies inside one. No window is longer.
WINDOWS = """
    FROM funnel_windows
    WHERE window_start >= %(start)s - interval '1 day' AND window_start < %(end)s AND window_end > %(start)s
"""

_TOTALS = f"""
SELECT coalesce(sum(num_events), 0)::bigint AS events,
       coalesce(sum(num_events) FILTER (WHERE event_type = %(view)s), 0)::bigint AS views,
       coalesce(sum(num_events) FILTER (WHERE event_type = %(cart)s), 0)::bigint AS carts,
       coalesce(sum(num_events) FILTER (WHERE event_type = %(purchase)s), 0)::bigint AS purchases
{WINDOWS}
"""

_BY_TYPE = f"""
WITH counted AS (
    SELECT date_bin(%(minutes)s * interval '1 minute', window_start, '2000-01-03 00:00+00') AS bucket,
           event_type, sum(num_events) AS n
    {WINDOWS}
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

_RATES = """
SELECT left(event_type, %(shown)s) AS event_type,
       coalesce(sum(num_events) FILTER (WHERE window_start >= %(complete)s AND window_start < %(open)s), 0)::bigint
           AS complete,
       coalesce(sum(num_events) FILTER (WHERE window_start < %(complete)s), 0)::bigint AS before,
       coalesce(sum(num_events) FILTER (WHERE window_start >= %(open)s), 0)::bigint AS so_far
FROM funnel_windows WHERE window_start >= %(before)s AND window_start < %(end)s
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(most)s
"""

_SESSIONS = """
SELECT coalesce(sum(sessions), 0)::bigint AS sessions, sum(revenue)::float8 AS revenue
FROM session_funnel WHERE hour >= %(start)s AND hour < %(end)s AND dimension = '' AND value = ''
"""

# By GROUP BY, and not by count(DISTINCT …), which sorts: 0.6 s in place of 1.5 s for 720,000 rows.
_USERS = """
SELECT count(*) FILTER (WHERE in_span)::bigint AS span, count(*) FILTER (WHERE in_within)::bigint AS within,
       count(*) FILTER (WHERE in_before)::bigint AS before,
       coalesce(sum(user_windows), 0)::bigint AS user_windows, min(oldest) AS oldest
FROM (
    SELECT bool_or(window_start >= %(start)s) AS in_span,
           bool_or(window_start >= %(start)s AND window_start < %(within_end)s) AS in_within,
           bool_or(window_start < %(before_end)s) AS in_before,
           count(*) AS user_windows, min(window_start) AS oldest
    FROM (
        SELECT user_id, window_start FROM funnel_summary
        WHERE window_start >= %(before_start)s AND window_start < %(end)s
        ORDER BY window_start DESC LIMIT %(most)s
    ) AS newest
    GROUP BY user_id
) AS users
"""

# The day in the words of the index that finds it.
_ACTIVE = "(cohort + (period * CASE unit WHEN 'week' THEN 7 ELSE 1 END)::integer)"
_ACTIVE_DAYS = f"""
SELECT {_ACTIVE} AS date, sum(users)::bigint AS users FROM cohorts
WHERE unit = 'day' AND {_ACTIVE} >= %(first)s AND {_ACTIVE} <= %(last)s
GROUP BY 1 ORDER BY 1
"""  # noqa: S608

_LATEST = """
SELECT event_time, left(event_type, %(shown)s) AS event_type, left(user_id, %(shown)s) AS user_id,
       left(session_id, %(shown)s) AS session_id, left(product_id, %(shown)s) AS product_id,
       left(category, %(shown)s) AS category, price::float8 AS price, left(currency, %(shown)s) AS currency,
       quantity, kafka_timestamp
FROM (
    SELECT * FROM raw_events WHERE event_time >= %(start)s AND event_time < %(end)s
    ORDER BY event_time DESC LIMIT %(looked_through)s
) AS newest
WHERE %(types)s::text[] = '{}' OR event_type = ANY (%(types)s::text[])
ORDER BY event_time DESC LIMIT %(most)s
"""

Columns = dict[str, pl.DataType | type[pl.DataType]]

_MOMENT = pl.Datetime("us", "UTC")


@dataclass(frozen=True)
class Totals:
    """Events of the span, of any type and of the funnel's three."""

    events: int
    views: int
    carts: int
    purchases: int


@dataclass(frozen=True)
class Sessions:
    """Sessions that began in whole hours."""

    sessions: int
    revenue: float | None
    """Of their purchases, in the events' currency; None where no purchase had a price."""


@dataclass(frozen=True)
class Figures(Generic[T]):
    """What was found in a span; and in its complete part and in the same time before, where they can be compared."""

    span: Span
    found: T
    comparison: Comparison | None = None
    within: T | None = None
    before: T | None = None


@dataclass(frozen=True)
class Rate:
    """Events of a type in the last windows."""

    event_type: str
    complete: int
    before: int
    so_far: int


@dataclass(frozen=True)
class Rates:
    """How many events come, by type, in the last windows of the span."""

    windows: Newest
    by_type: tuple[Rate, ...]
    """The most frequent type first."""

    @property
    def all_types(self) -> Rate:
        return Rate(
            "All types",
            sum(rate.complete for rate in self.by_type),
            sum(rate.before for rate in self.by_type),
            sum(rate.so_far for rate in self.by_type),
        )

    def per_second(self, rate: Rate) -> float:
        """In the complete window."""
        return rate.complete / self.windows.complete.length.total_seconds()


@dataclass(frozen=True)
class Activity:
    """What users did in a span."""

    span: Span
    minutes: int
    """Length of a bucket."""
    totals: Figures[Totals]
    sessions: Figures[Sessions] | None
    """None where Postgres has no sessions yet."""
    rates: Rates
    by_type: pl.DataFrame
    """bucket, event_type (null: the rarer ones together), place (1: the most frequent type), num_events."""


@dataclass(frozen=True)
class Now:
    """All that the page shows."""

    pipeline: Pipeline
    extent: Span | None
    """Of the data; None while there is none."""
    activity: Activity | None


@dataclass(frozen=True)
class Users:
    """Distinct users who did anything in a span."""

    counted: Figures[int] | None
    """None where the range is long, or more user windows lie in it than are looked through."""
    by_day: pl.DataFrame | None
    """Of a longer range: date, users. None where Postgres does not tell."""


@st.cache_data(ttl=SHARED_FOR_S, max_entries=100, show_spinner="Reading from Postgres …")
def read_now(dsn: str, choice: Range, custom: Span | None, window_minutes: int) -> Now:
    """One look at the mirrors. Raises dashboard.database.Unavailable and NotMigrated, which are not remembered."""
    with snapshot(dsn) as cursor:
        pipeline, extent = pipeline_of(cursor), extent_of(cursor)
        if extent is None:
            return Now(pipeline, None, None)
        return Now(pipeline, extent, _activity(cursor, resolve(choice, extent, custom), extent, window_minutes))


@st.cache_data(ttl=USERS_SHARED_FOR_S, max_entries=100, show_spinner=False)
def read_users(dsn: str, span: Span, extent: Span, window_minutes: int) -> Users:
    """Exact, within bounds. Raises dashboard.database.Unavailable and NotMigrated, which are not remembered."""
    with snapshot(dsn) as cursor:
        if span.length <= LONGEST_COUNT:
            return Users(_counted_users(cursor, span, extent, timedelta(minutes=window_minutes)), None)
        return Users(None, _active_days(cursor, span) if exists(cursor, "cohorts") else None)


@st.cache_data(ttl=SHARED_FOR_S, max_entries=100, show_spinner=False)
def read_latest(dsn: str, choice: Range, custom: Span | None, types: tuple[str, ...]) -> pl.DataFrame:
    """The latest events of ``types`` (of any, where there are none), the newest first."""
    extent = read_extent(dsn)
    span = None if extent is None else resolve(choice, extent, custom)
    found = []
    if span is not None:
        limits = {"shown": TEXT_SHOWN, "most": LATEST_EVENTS, "looked_through": TAIL_EVENTS if types else LATEST_EVENTS}
        with snapshot(dsn) as cursor:
            found = rows(cursor, _LATEST, {"start": span.start, "end": span.end, "types": list(types), **limits})
    columns: Columns = {
        "event_time": _MOMENT,
        "event_type": pl.String,
        "user_id": pl.String,
        "session_id": pl.String,
        "product_id": pl.String,
        "category": pl.String,
        "price": pl.Float64,
        "currency": pl.String,
        "quantity": pl.Int64,
        "kafka_timestamp": _MOMENT,
    }
    return pl.DataFrame(found, columns, orient="row")


def _activity(cursor: Cursor, span: Span, extent: Span, window_minutes: int) -> Activity:
    minutes, window = bucket_minutes(span, window_minutes), timedelta(minutes=window_minutes)
    by_type = rows(cursor, _BY_TYPE, {**_between(span), "shown": TEXT_SHOWN, "minutes": minutes, "most": MOST_TYPES})
    hours = whole(span, HOUR)
    return Activity(
        span,
        minutes,
        _figures(span, comparison(span, extent, window), lambda part: _totals(cursor, part)),
        _figures(hours, comparison(span, extent, HOUR), lambda part: _sessions(cursor, part))
        if exists(cursor, "session_funnel")
        else None,
        _rates(cursor, newest(span, extent, window)),
        pl.DataFrame(
            by_type,
            {"bucket": _MOMENT, "event_type": pl.String, "place": pl.Int64, "num_events": pl.Int64},
            orient="row",
        ),
    )


def _figures(span: Span, compared: Comparison | None, read: Callable[[Span], T]) -> Figures[T]:
    if compared is None:
        return Figures(span, read(span))
    return Figures(span, read(span), compared, read(compared.within), read(compared.before))


def _totals(cursor: Cursor, span: Span) -> Totals:
    kinds = {"view": event.VIEW, "cart": event.ADD_TO_CART, "purchase": event.PURCHASE}
    (found,) = rows(cursor, _TOTALS, {**_between(span), **kinds})
    return Totals(*found)


def _sessions(cursor: Cursor, hours: Span) -> Sessions:
    (found,) = rows(cursor, _SESSIONS, _between(hours))
    return Sessions(found.sessions, found.revenue or None)


def _rates(cursor: Cursor, windows: Newest) -> Rates:
    bounds = {
        "before": windows.before.start,
        "complete": windows.complete.start,
        "open": windows.complete.end,
        "end": windows.complete.end if windows.open is None else windows.open.end,
    }
    found = rows(cursor, _RATES, {**bounds, "shown": TEXT_SHOWN, "most": MOST_RATES})
    return Rates(windows, tuple(Rate(*row) for row in found))


def _counted_users(cursor: Cursor, span: Span, extent: Span, window: timedelta) -> Figures[int] | None:
    compared, windows = comparison(span, extent, window), whole(span, window)
    nothing = Span(windows.start, windows.start)
    within, before = (nothing, nothing) if compared is None else (compared.within, compared.before)
    bounds = {
        **_between(windows),
        "within_end": within.end,
        "before_start": before.start,
        "before_end": before.end,
        "most": MOST_USER_WINDOWS,
    }
    (found,) = rows(cursor, _USERS, bounds)
    if found.user_windows < MOST_USER_WINDOWS and compared is not None:
        return Figures(span, found.span, compared, found.within, found.before)
    # The newest windows were looked through first: the span may be whole though the time before is not.
    all_seen = found.user_windows < MOST_USER_WINDOWS or found.oldest < windows.start
    return Figures(span, found.span) if all_seen else None


def _active_days(cursor: Cursor, span: Span) -> pl.DataFrame:
    days = {"first": span.start.date(), "last": (span.end - timedelta(microseconds=1)).date()}
    return pl.DataFrame(rows(cursor, _ACTIVE_DAYS, days), {"date": pl.Date, "users": pl.Int64}, orient="row")


def _between(span: Span) -> dict[str, Any]:
    return {"start": span.start, "end": span.end}
