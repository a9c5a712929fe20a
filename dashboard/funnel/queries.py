"""The funnel of sessions, from the mirror, in one consistent look; every answer is bounded, every value a parameter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

import polars as pl
import streamlit as st
from psycopg2.extensions import cursor as Cursor

from dashboard.database import SHARED_FOR_S, TEXT_SHOWN, rows, snapshot
from dashboard.extent import extent_of
from dashboard.now.queries import WINDOWS
from dashboard.pipeline.queries import Pipeline, pipeline_of
from dashboard.ranges import ANCHOR, Range, Span, bucket_minutes, resolve, whole
from lakehouse import event
from lakehouse.contracts import SessionFunnel as F

HOUR_MINUTES: Final = 60
"""The mirror counts by the hour: a range is of whole hours."""
MOST_BARS: Final = 400
MOST_TYPES: Final = 20

BANDS: Final[Mapping[str, str]] = {
    F.purchased_1m: "≤ 1 min",
    F.purchased_5m: "≤ 5 min",
    F.purchased_15m: "≤ 15 min",
    F.purchased_1h: "≤ 1 h",
    F.purchased_6h: "≤ 6 h",
    F.purchased_later: "> 6 h",
}
"""How long after the first view a purchase came, by column; each begins where the one before ends."""

COUNTS: Final = (F.sessions, F.viewed, F.carted, F.purchased, F.bought, F.seconds_to_cart, F.seconds_to_purchase)

_SUMS: Final = ", ".join(
    f"coalesce(sum({column}), 0)::{kind} AS {column}"
    for columns, kind in ((COUNTS, "bigint"), ((F.revenue,), "float8"), (tuple(BANDS), "bigint"))
    for column in columns
)

_OF_ALL: Final = "FROM session_funnel WHERE dimension = '' AND value = '' AND hour >= %(start)s AND hour < %(end)s"

_TOTALS: Final = f"SELECT {_SUMS} {_OF_ALL}"

_OVER_TIME: Final = f"""
SELECT date_bin(%(minutes)s * interval '1 minute', hour, '2000-01-03 00:00+00') AS bucket,
       sum(sessions)::bigint AS sessions, sum(purchased)::bigint AS purchased
{_OF_ALL} GROUP BY 1 ORDER BY 1 LIMIT %(most)s
"""

_BY_VALUE: Final = f"""
WITH counted AS (
    SELECT value, {", ".join(f"sum({column}) AS {column}" for column in (*COUNTS, F.revenue))}
    FROM session_funnel WHERE dimension = %(dimension)s AND hour >= %(start)s AND hour < %(end)s
    GROUP BY value
), ranked AS (
    SELECT *, least(row_number() OVER (ORDER BY sessions DESC, value), %(most)s + 1) AS place FROM counted
)
SELECT place::bigint, CASE WHEN place <= %(most)s THEN min(value) END AS value, count(*)::bigint AS num_values,
       {", ".join(f"sum({column})::bigint AS {column}" for column in COUNTS)}, sum(revenue)::float8 AS revenue
FROM ranked GROUP BY place ORDER BY place
"""  # noqa: S608

_OTHER_TYPES: Final = f"""
SELECT left(event_type, %(shown)s) AS event_type, sum(num_events)::bigint AS num_events
{WINDOWS} AND event_type <> ALL(%(steps)s)
GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT %(most)s
"""

_HAS_ANY: Final = "SELECT EXISTS (SELECT FROM session_funnel WHERE dimension = '') AS found"


class Grain(StrEnum):
    """The length of a bar over time; the value is the label."""

    AUTO = "Auto"
    HOUR = "Hour"
    DAY = "Day"
    WEEK = "Week"


class Against(StrEnum):
    """What the range is compared with; the value is the label."""

    NOTHING = "Nothing"
    BEFORE = "The period before"
    OTHER = "Another period"


_GRAINS: Final = {Grain.HOUR: HOUR_MINUTES, Grain.DAY: 1440, Grain.WEEK: 7 * 1440}


@dataclass(frozen=True)
class Asked:
    """What a person has chosen, beside the range. Users are not shown over time, so that the grain is of sessions."""

    grain: Grain = Grain.AUTO
    against: Against = Against.NOTHING
    other_start: datetime | None = None
    """Where the other period begins; None: not given yet."""
    dimension: str | None = None
    """None: not told apart."""
    most_values: int = 50

    def other(self, span: Span, unit: timedelta) -> Span | None:
        """The period that ``span`` is compared with, as long as it and in whole units; None: none, or not said yet."""
        if self.against is Against.BEFORE:
            return before(span)
        if self.against is Against.OTHER and self.other_start is not None:
            start = whole(Span(self.other_start, self.other_start), unit).start
            return Span(start, start + span.length)
        return None


@dataclass(frozen=True)
class Totals:
    """Of the sessions that begin in some hours. Steps are ordered: a cart at or after the first view, a purchase at or
    after that cart."""

    sessions: int
    viewed: int
    carted: int
    purchased: int
    bought: int
    """With a purchase, whatever came before."""
    seconds_to_cart: int
    """Sum over ``carted``, from the first view."""
    seconds_to_purchase: int
    """Sum over ``purchased``, from the first view."""
    revenue: float
    """In the events' currencies, not converted."""
    within: tuple[int, ...]
    """Of ``purchased``, by `BANDS`."""

    @property
    def steps(self) -> tuple[tuple[str, int], ...]:
        return (
            ("All sessions", self.sessions),
            ("View", self.viewed),
            ("Add to cart", self.carted),
            ("Purchase", self.purchased),
        )

    @property
    def mean_to_purchase(self) -> timedelta | None:
        return timedelta(seconds=self.seconds_to_purchase / self.purchased) if self.purchased else None

    @property
    def median_band(self) -> str | None:
        """Of `BANDS`, the one in which the middle one of ``purchased`` lies."""
        reached = 0
        for label, count in zip(BANDS.values(), self.within, strict=True):
            reached += count
            if 2 * reached > self.purchased > 0:
                return label
        return None


@dataclass(frozen=True)
class Compared:
    """The other period, as long as the range."""

    span: Span
    totals: Totals


@dataclass(frozen=True)
class Sessions:
    """Of the range; spans are of whole hours."""

    span: Span
    totals: Totals
    minutes: int
    """Length of a bucket."""
    over_time: pl.DataFrame
    """bucket (its start), sessions, purchased: all buckets of the span, those without sessions too."""
    other: Compared | None
    by_value: pl.DataFrame | None
    """place, value (null: all values after the most frequent ones together; empty: sessions without a value),
    num_values and the counts of `Totals`; the most frequent first. None: not asked for."""
    other_types: pl.DataFrame
    """event_type, num_events: of the types that are no step, the most frequent first, at most `MOST_TYPES`."""


@dataclass(frozen=True)
class Funnel:
    """All that the page shows of sessions."""

    pipeline: Pipeline
    extent: Span | None
    """Of the data; None while there is none."""
    has_sessions: bool
    """Whether any are counted yet, whenever they were."""
    sessions: Sessions | None


@dataclass(frozen=True)
class Bounds:
    """Where the data lies, and up to where it is final."""

    pipeline: Pipeline
    extent: Span | None


@st.cache_data(ttl=SHARED_FOR_S, max_entries=100, show_spinner="Reading from Postgres …")
def read_funnel(dsn: str, choice: Range, custom: Span | None, asked: Asked) -> Funnel:
    """Raises dashboard.database.Unavailable and NotMigrated, which are not remembered."""
    with snapshot(dsn) as cursor:
        pipeline, extent = pipeline_of(cursor), extent_of(cursor)
        (any_yet,) = rows(cursor, _HAS_ANY)
        if extent is None or not any_yet.found:
            return Funnel(pipeline, extent, any_yet.found, None)
        return Funnel(pipeline, extent, True, _sessions(cursor, whole_hours(resolve(choice, extent, custom)), asked))


@st.cache_data(ttl=SHARED_FOR_S, max_entries=100, show_spinner=False)
def read_bounds(dsn: str) -> Bounds:
    """Raises dashboard.database.Unavailable and NotMigrated."""
    with snapshot(dsn) as cursor:
        return Bounds(pipeline_of(cursor), extent_of(cursor))


def whole_hours(span: Span) -> Span:
    return whole(span, timedelta(hours=1))


def before(span: Span) -> Span:
    return Span(span.start - span.length, span.start)


def minutes_of(grain: Grain, span: Span) -> int:
    """The length of a bucket: the one asked for, or a longer one where it would make more than `MOST_BARS`."""
    wanted = _GRAINS.get(grain)
    if wanted is not None and span.length <= MOST_BARS * timedelta(minutes=wanted):
        return wanted
    return bucket_minutes(span, HOUR_MINUTES)


def _sessions(cursor: Cursor, span: Span, asked: Asked) -> Sessions:
    minutes = minutes_of(asked.grain, span)
    other = asked.other(span, timedelta(hours=1))
    return Sessions(
        span,
        _totals(cursor, span),
        minutes,
        _over_time(cursor, span, minutes),
        None if other is None else Compared(other, _totals(cursor, other)),
        None if asked.dimension is None else _by_value(cursor, span, asked.dimension, asked.most_values),
        _other_types(cursor, span),
    )


def _within(span: Span) -> dict[str, Any]:
    return {"start": span.start, "end": span.end}


def _totals(cursor: Cursor, span: Span) -> Totals:
    (found,) = rows(cursor, _TOTALS, _within(span))
    values: list[Any] = [*found[: -len(BANDS)], tuple(found[-len(BANDS) :])]
    return Totals(*values)


def _over_time(cursor: Cursor, span: Span, minutes: int) -> pl.DataFrame:
    found = rows(cursor, _OVER_TIME, {**_within(span), "minutes": minutes, "most": MOST_BARS + 1})
    schema = {"bucket": pl.Datetime("us", "UTC"), "sessions": pl.Int64(), "purchased": pl.Int64()}
    length = timedelta(minutes=minutes)
    first = span.start - (span.start - ANCHOR) % length
    buckets = pl.datetime_range(
        first, span.end, length, closed="left", time_unit="us", time_zone="UTC", eager=True
    ).alias("bucket")
    counted = pl.DataFrame(found, schema, orient="row")
    return (
        buckets.to_frame()
        .join(counted, on="bucket", how="left")
        .with_columns(pl.col("sessions", "purchased").fill_null(0))
        .sort("bucket")
    )


def _other_types(cursor: Cursor, span: Span) -> pl.DataFrame:
    steps = [event.VIEW, event.ADD_TO_CART, event.PURCHASE]
    found = rows(cursor, _OTHER_TYPES, {**_within(span), "steps": steps, "shown": TEXT_SHOWN, "most": MOST_TYPES})
    return pl.DataFrame(found, {"event_type": pl.String(), "num_events": pl.Int64()}, orient="row")


def _by_value(cursor: Cursor, span: Span, dimension: str, most: int) -> pl.DataFrame:
    found = rows(cursor, _BY_VALUE, {**_within(span), "dimension": dimension, "most": most})
    counts = ("num_values", *map(str, COUNTS))
    schema = pl.Schema(
        {"place": pl.Int64(), "value": pl.String(), **dict.fromkeys(counts, pl.Int64()), "revenue": pl.Float64()}
    )
    return pl.DataFrame(found, schema, orient="row")
