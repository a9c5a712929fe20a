"""What gold must hold, worked out from the events alone: nothing of the project is imported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

COUNTED = {"num_views": "view_item", "num_add_to_cart": "add_to_cart", "num_purchases": "purchase"}


def read_events(file: Path) -> pl.DataFrame:
    """The lines of the file as text, ``event_time`` in UTC."""
    return pl.read_csv(file, infer_schema=False).with_columns(
        pl.col("event_time")
        .str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", strict=True)
        .dt.replace_time_zone("UTC")
    )


def funnel_summary(file: Path) -> pl.DataFrame:
    """A row for each user and ten minutes, sorted by them; columns in alphabetical order."""
    return summarise(read_events(file), COUNTED)


def summarise(events: pl.DataFrame, counted: Mapping[str, str]) -> pl.DataFrame:
    """What gold holds of ``events`` (``user_id``, ``event_type``, ``session_id``, ``event_time`` in UTC), each of which
    counts; ``counted`` names the type of event that each column counts."""
    start = pl.col("event_time").dt.truncate("10m").alias("window_start")
    session = pl.col("session_id").drop_nulls()
    sessions = session.filter(session != "").unique().sort()
    summary = (
        events.group_by("user_id", start)
        .agg(
            *((pl.col("event_type") == kind).sum().cast(pl.Int64).alias(name) for name, kind in counted.items()),
            pl.len().cast(pl.Int64).alias("num_events"),
            sessions.len().cast(pl.Int64).alias("sessions"),
            sessions.alias("session_ids"),
            pl.col("event_time").min().alias("first_event_time"),
            pl.col("event_time").max().alias("last_event_time"),
        )
        .with_columns(
            (pl.col("window_start") + pl.duration(minutes=10)).alias("window_end"),
            pl.col("window_start").dt.date().alias("window_date"),
            pl.lit(False).alias("sessions_capped"),
        )
    )
    return summary.select(sorted(summary.columns)).sort("user_id", "window_start")
