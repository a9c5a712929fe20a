"""Sessions' days into the ordered funnel by hour and dimension: sums of sums. Pure: no I/O, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import polars as pl

from gold.user_days import WIDE
from lakehouse.contracts import SessionDays as D
from lakehouse.contracts import SessionFunnel as F

ALL: Final = ""
"""The dimension, and the value, of all sessions; a value of no value too."""

KEY: Final = (*F.key, *F.partition_by)
SUMS: Final = tuple(column for column in F.columns() if column not in KEY)
WITHIN: Final = (
    (F.purchased_1m, timedelta(minutes=1)),
    (F.purchased_5m, timedelta(minutes=5)),
    (F.purchased_15m, timedelta(minutes=15)),
    (F.purchased_1h, timedelta(hours=1)),
    (F.purchased_6h, timedelta(hours=6)),
    (F.purchased_later, timedelta(days=2)),
)
"""How long after the first view a purchase counts in a column: longer than the one before, up to its own."""

CHANGE: Final = "_change_type"
GONE: Final = ("delete", "update_preimage")


def session_funnel(days: pl.DataFrame) -> pl.DataFrame:
    """``gold.session_funnel`` of ``days``, rows of ``gold.session_days``: a row for each hour, dimension and value.

    Steps are ordered: the first view, the first add_to_cart at or after it, the first purchase at or after that one.
    Each row of ``days`` counts once among all, and once in each dimension that it knows of, also without a value.
    """
    sessions = _with_steps(days)
    everyone = sessions.with_columns(pl.lit(ALL).alias(F.dimension), pl.lit(ALL).alias(F.value))
    apart = (
        sessions.explode(D.dimensions)
        .filter(pl.col(D.dimensions).is_not_null())
        .with_columns(
            pl.col(D.dimensions).struct.field("name").alias(F.dimension),
            pl.col(D.dimensions).struct.field("value").fill_null(ALL).alias(F.value),
        )
    )
    columns = [F.hour, F.date, F.dimension, F.value, *SUMS]
    return summed(pl.concat([everyone.select(columns), apart.select(columns)]))


def summed(parts: pl.DataFrame) -> pl.DataFrame:
    """One row for each hour, dimension and value, of those that the parts of a batch gave."""
    return parts.group_by(KEY).agg(pl.col(SUMS).sum()).select(*F.columns())


def change(feed: pl.DataFrame) -> pl.DataFrame:
    """What a range of the change feed of ``gold.session_days``, or a part of it, adds to ``gold.session_funnel``: rows
    of the contract, of which sums may be negative. Those as they were are taken away, those as they are now are added.
    """
    gone = pl.col(CHANGE).is_in(GONE)
    before, after = session_funnel(feed.filter(gone)), session_funnel(feed.filter(~gone))
    return net([after, before.with_columns(-pl.col(SUMS))])


def net(changes: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """All of ``changes`` together, without the rows that change nothing."""
    return summed(pl.concat(changes)).filter(pl.any_horizontal(pl.col(SUMS) != 0))


def _with_steps(days: pl.DataFrame) -> pl.DataFrame:
    """``days`` with what each adds to every sum; hour and date of its first event."""
    rows = days.with_row_index("row")
    carts = _first_at_or_after(rows, D.cart_times, D.first_view_time, "cart_time")
    rows = rows.join(carts, on="row", how="left")
    purchases = _first_at_or_after(rows, D.purchase_times, "cart_time", "purchase_time")
    rows = rows.join(purchases, on="row", how="left")
    to_cart, to_purchase = (pl.col(step) - pl.col(D.first_view_time) for step in ("cart_time", "purchase_time"))
    bounds, counts = timedelta(microseconds=-1), []
    for column, until in WITHIN:
        counts.append(((to_purchase > bounds) & (to_purchase <= until)).fill_null(value=False).alias(column))
        bounds = until
    return rows.select(
        pl.col(D.first_event_time).dt.truncate("1h").alias(F.hour),
        pl.col(D.date).alias(F.date),
        D.dimensions,
        pl.lit(1, pl.Int64).alias(F.sessions),
        pl.col(D.first_view_time).is_not_null().cast(pl.Int64).alias(F.viewed),
        pl.col("cart_time").is_not_null().cast(pl.Int64).alias(F.carted),
        pl.col("purchase_time").is_not_null().cast(pl.Int64).alias(F.purchased),
        (pl.col(D.num_purchases) > 0).cast(pl.Int64).alias(F.bought),
        pl.col(D.num_events).alias(F.num_events),
        pl.col(D.revenue).cast(WIDE).alias(F.revenue),
        to_cart.dt.total_seconds().fill_null(0).alias(F.seconds_to_cart),
        to_purchase.dt.total_seconds().fill_null(0).alias(F.seconds_to_purchase),
        *(count.cast(pl.Int64) for count in counts),
    )


def _first_at_or_after(rows: pl.DataFrame, times: str, start: str, name: str) -> pl.DataFrame:
    """Of each ``row`` the first of its ``times`` that is not before its ``start``, as ``name``; rows without are not
    there."""
    reached = rows.select("row", start, pl.col(times).alias(name)).explode(name).filter(pl.col(name) >= pl.col(start))
    return reached.group_by("row").agg(pl.col(name).min())
