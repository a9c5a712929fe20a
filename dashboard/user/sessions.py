"""Events into sessions. Pure."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import polars as pl

from lakehouse import event

PAUSE: Final = timedelta(minutes=30)
"""Events without a session's id that are further apart than this are of two sessions, as is usual in web analytics."""


def sessions(events: pl.DataFrame) -> pl.DataFrame:
    """A row for each session of ``events`` (event_time, event_type, session_id), the newest first.

    Columns: session_id (null where the events name none), start, end, minutes, num_events, num_views, num_add_to_cart,
    num_purchases.
    """
    pause = (pl.col("event_time").diff().over("session_id", order_by="event_time") > PAUSE).fill_null(value=False)
    unnamed = pl.col("session_id").is_null()
    part = pl.when(unnamed).then(pause.cast(pl.Int64)).otherwise(0).cum_sum().over("session_id", order_by="event_time")
    kinds = {
        "num_views": event.VIEW,
        "num_add_to_cart": event.ADD_TO_CART,
        "num_purchases": event.PURCHASE,
    }
    return (
        events.with_columns(part.alias("part"))
        .group_by("session_id", "part")
        .agg(
            pl.col("event_time").min().alias("start"),
            pl.col("event_time").max().alias("end"),
            pl.len().cast(pl.Int64).alias("num_events"),
            *((pl.col("event_type") == kind).sum().cast(pl.Int64).alias(name) for name, kind in kinds.items()),
        )
        .sort("end", "session_id", descending=True)
        .select(
            "session_id",
            "start",
            "end",
            ((pl.col("end") - pl.col("start")).dt.total_seconds() / 60).alias("minutes"),
            "num_events",
            *kinds,
        )
    )
