"""Events into windows: the funnel of each user, and of all users, in windows of event time."""

from __future__ import annotations

from datetime import datetime

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from lakehouse import event
from lakehouse.contracts import FunnelSummary as G
from lakehouse.contracts import FunnelWindows as W
from lakehouse.contracts import SilverEvents as S
from lakehouse.settings import Settings

MICROS_PER_MINUTE = 60_000_000


def with_window(events: DataFrame, window_minutes: int) -> DataFrame:
    """``events`` with the window that each falls into: ``window_start`` inclusive, ``window_end`` exclusive, UTC.

    Windows of ``window_minutes`` divide a day and begin at midnight UTC.
    """
    length = window_minutes * MICROS_PER_MINUTE
    micros = F.unix_micros(S.event_time)
    start = F.timestamp_micros(micros - F.pmod(micros, F.lit(length)))
    return (
        events.withColumn(G.window_start, start)
        .withColumn(G.window_end, F.timestamp_micros(F.unix_micros(G.window_start) + F.lit(length)))
        .withColumn(G.window_date, F.col(G.window_start).cast("date"))
    )


def funnel_summary(events: DataFrame, watermark: datetime | None, settings: Settings) -> DataFrame:
    """What ``events`` (rows of ``silver.events``) add to ``gold.funnel_summary``: a row for each user and window.

    ``watermark`` is the one before the batch: events older than it are counted as late, and a window that ended by
    then is final from its first event on.
    """
    kind = F.col(S.event_type)
    late = F.lit(False) if watermark is None else F.col(S.event_time) < _literal(watermark)
    session_ids = F.array_sort(F.collect_set(S.session_id))
    return (
        with_window(events, settings.window_minutes)
        .groupBy(G.user_id, G.window_start, G.window_end, G.window_date)
        .agg(
            F.count_if(kind == event.VIEW).alias(G.num_views),
            F.count_if(kind == event.ADD_TO_CART).alias(G.num_add_to_cart),
            F.count_if(kind == event.PURCHASE).alias(G.num_purchases),
            F.count("*").alias(G.num_events),
            F.min(S.event_time).alias(G.first_event_time),
            F.max(S.event_time).alias(G.last_event_time),
            F.count_if(late).alias(G.late_events),
            F.slice(session_ids, 1, settings.session_ids_cap).alias(G.session_ids),
        )
        .withColumn(G.sessions, F.size(G.session_ids).cast("bigint"))
        .withColumn(G.sessions_capped, F.col(G.sessions) >= settings.session_ids_cap)
        .withColumn(G.is_final, F.lit(False) if watermark is None else F.col(G.window_end) <= _literal(watermark))
        .select(*G.columns())
    )


def funnel_windows(events: DataFrame, settings: Settings) -> DataFrame:
    """What ``events`` add to ``gold.funnel_windows``: a row for each window and event type."""
    return (
        with_window(events, settings.window_minutes)
        .groupBy(W.window_start, W.window_end, W.window_date, W.event_type)
        .agg(F.count("*").alias(W.num_events))
        .select(*W.columns())
    )


def _literal(moment: datetime) -> Column:
    return F.lit(moment.isoformat()).cast("timestamp")
