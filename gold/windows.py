"""Events into windows: the funnel of each user, and of all users, in windows of event time. Pure: no I/O, no clock."""

from __future__ import annotations

from datetime import datetime, timedelta

import polars as pl

from gold.counts import counted
from lakehouse.contracts import FunnelSummary as G
from lakehouse.contracts import FunnelWindows as W
from lakehouse.contracts import SilverEvents as S
from lakehouse.settings import Settings

WINDOW = (G.window_start, G.window_end, G.window_date)


def with_window(events: pl.DataFrame, window_minutes: int) -> pl.DataFrame:
    """``events`` with the window that each falls into: ``window_start`` inclusive, ``window_end`` exclusive, UTC.

    Windows of ``window_minutes`` divide a day and begin at midnight UTC.
    """
    start = pl.col(S.event_time).dt.truncate(f"{window_minutes}m").alias(G.window_start)
    return events.with_columns(start).with_columns(
        (pl.col(G.window_start) + timedelta(minutes=window_minutes)).alias(G.window_end),
        pl.col(G.window_start).dt.date().alias(G.window_date),
    )


def funnel_summary(events: pl.DataFrame, watermark: datetime | None, settings: Settings) -> pl.DataFrame:
    """What ``events`` (rows of ``silver.events``) add to ``gold.funnel_summary``: a row for each user and window.

    ``watermark`` is the one before the batch: events older than it are counted as late, and a window that ended by
    then is final from its first event on.
    """
    time, key = pl.col(S.event_time), (G.user_id, *WINDOW)
    final = pl.lit(value=False) if watermark is None else pl.col(G.window_end) <= watermark
    rows = with_window(events, settings.window_minutes)
    sessions = (
        rows.lazy()
        .select(*key, S.session_id)
        .drop_nulls(S.session_id)
        .unique()
        .sort(S.session_id)
        .group_by(key)
        .agg(pl.col(S.session_id).head(settings.session_ids_cap).alias(G.session_ids))
    )
    return (
        rows.lazy()
        .group_by(key)
        .agg(
            *counted(),
            (pl.lit(0) if watermark is None else (time < watermark).sum()).cast(pl.Int64).alias(G.late_events),
        )
        .join(sessions, on=key, how="left")
        .with_columns(pl.col(G.session_ids).fill_null([]))
        .with_columns(pl.col(G.session_ids).list.len().cast(pl.Int64).alias(G.sessions))
        .with_columns(
            (pl.col(G.sessions) >= settings.session_ids_cap).alias(G.sessions_capped), final.alias(G.is_final)
        )
        .select(*G.columns())
        .collect()
    )


def funnel_windows(events: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """What ``events`` add to ``gold.funnel_windows``: a row for each window and event type."""
    counted = with_window(events, settings.window_minutes).group_by(*WINDOW, W.event_type).len(W.num_events)
    return counted.select(*W.columns()).cast({W.num_events: pl.Int64})


def summed(totals: pl.DataFrame) -> pl.DataFrame:
    """One row for each window and event type, of those that the parts of a batch gave."""
    return totals.group_by(*WINDOW, W.event_type).agg(pl.col(W.num_events).sum()).select(*W.columns())
