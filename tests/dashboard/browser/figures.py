"""What the pages must say of the shop's events, worked out from the file alone: nothing of the project is imported."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import polars as pl

from tests.pipeline import judge

BANDS = {
    "≤ 1 min": timedelta(minutes=1),
    "≤ 5 min": timedelta(minutes=5),
    "≤ 15 min": timedelta(minutes=15),
    "≤ 1 h": timedelta(hours=1),
    "≤ 6 h": timedelta(hours=6),
    "> 6 h": timedelta(days=1),
}
"""How long after the first view a session's purchase came, at most: one of the file never takes longer than its day."""


def end_of(events: pl.DataFrame) -> datetime:
    """Where the data ends: with its last window of ten minutes."""
    newest = events["event_time"].max()
    assert isinstance(newest, datetime)
    return newest.replace(minute=newest.minute // 10 * 10, second=0, microsecond=0) + timedelta(minutes=10)


def now(events: pl.DataFrame, length: timedelta) -> dict[str, str]:
    """What the page Now is to say of the last ``length`` of data."""
    kinds = events.filter(pl.col("event_time") >= end_of(events) - length)["event_type"]
    counts = dict(kinds.value_counts().iter_rows())
    views, purchases = counts.get("view_item", 0), counts.get("purchase", 0)
    return {
        "Events": f"{sum(counts.values()):,}",
        "Views": f"{views:,}",
        "Adds to cart": f"{counts.get('add_to_cart', 0):,}",
        "Purchases": f"{purchases:,}",
        "View to purchase": share(purchases, views),
    }


def sessions(events: pl.DataFrame, start: datetime, end: datetime, told: Sequence[str] = ()) -> pl.DataFrame:
    """`judge.sessions` that begin from ``start`` to before ``end``, whole hours; with ``spent``, the value of all their
    purchases, and ``took``, from the first view to the purchase."""
    purchases = pl.col("event_type") == "purchase"
    valued = events.with_columns(pl.when(purchases).then(pl.col("value").cast(pl.Float64)).alias("spent"))
    key = ["user_id", "session", "day"]
    spent = valued.group_by(
        "user_id",
        pl.col("session_id").fill_null("").alias("session"),
        pl.col("event_time").dt.date().alias("day"),
    ).agg(pl.col("spent").sum())
    return (
        judge.sessions(events, judge.COUNTED, told)
        .join(spent, on=key)
        .filter(pl.col("began") >= start, pl.col("began") < end)
        .with_columns((pl.col("purchase_at") - pl.col("view_at")).alias("took"))
    )


def counts(of: pl.DataFrame) -> dict[str, Any]:
    """Of `sessions`: how many came to each step, and what they spent."""
    return of.select(*judge.steps(), pl.col("spent").sum()).row(0, named=True)


def by_band(of: pl.DataFrame) -> dict[str, int]:
    """Of `sessions` that went through all steps: how many, by `BANDS`."""
    found, before = {}, timedelta(microseconds=-1)
    for label, bound in BANDS.items():
        found[label] = of.filter(pl.col("took") > before, pl.col("took") <= bound).height
        before = bound
    return found


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %"
