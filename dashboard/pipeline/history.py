"""What the streams' reports say over time: rates from totals, what a layer's streams do together, and shares from
tables' rows."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

import polars as pl

from lakehouse.contracts import BronzeEvents, SilverDuplicates, SilverQuarantine

LONGEST_GAP = 3
"""Points that may be missing in between: beyond it nobody reported, and a rate would be made up."""

LAYERS: Final = {
    "bronze": "bronze",
    "silver": "silver",
    "gold": "gold",
    **dict.fromkeys(("user_days", "churn_features", "sessions", "ordered_funnel", "retention"), "users and sessions"),
    "churn_prediction": "scores",
}
"""Which streams are shown as one, the way of an event."""
MIRRORS: Final = "mirrors"
"""All other streams: they fill Postgres."""


def rates(history: pl.DataFrame, bucket: timedelta) -> pl.DataFrame:
    """``history``, see `Course`, with per_second: rows since the report before; null at the first one, after a gap,
    and where there are fewer rows than before, as after a rebuild."""
    before = pl.col("rows_total").shift().over("name", order_by="bucket")
    reported = pl.col("reported_at").shift().over("name", order_by="bucket")
    passed = pl.col("reported_at") - reported
    usable = (pl.col("rows_total") >= before) & (passed > timedelta(0)) & (passed <= (LONGEST_GAP + 1) * bucket)
    return history.with_columns(
        per_second=pl.when(usable).then((pl.col("rows_total") - before) / (passed.dt.total_microseconds() / 1e6)),
        added=pl.when(usable).then(pl.col("rows_total") - before),
    )


def by_layer(rated: pl.DataFrame) -> pl.DataFrame:
    """A row for each bucket and layer, as ``name``: per_second of its streams together, lag_seconds and batch_seconds
    of the slowest of them; null where none of them has one. ``rated`` is by `rates`."""
    rate = pl.col("per_second")
    return (
        rated.filter(is_stream())
        .with_columns(pl.col("name").replace_strict(LAYERS, default=MIRRORS))
        .group_by("bucket", "name")
        .agg(
            pl.when(rate.is_not_null().any()).then(rate.sum()).alias("per_second"),
            pl.col("lag_seconds", "batch_seconds").max(),
        )
        .sort("bucket", "name")
    )


def is_stream() -> pl.Expr:
    """Whether a row is of a stream, and not of a Delta table: ``layer.table``."""
    return ~pl.col("name").str.contains(".", literal=True)


def shares(rated: pl.DataFrame) -> pl.DataFrame:
    """bucket, duplicates, refused: of the messages that came in a bucket, as percentages; ``rated`` is by `rates`.

    Without messages there is no share. A message may be judged in the bucket after the one that it came in.
    """
    added = {
        name: rated.filter(pl.col("name") == table.name).select("bucket", pl.col("added").alias(name))
        for name, table in (("came", BronzeEvents), ("duplicates", SilverDuplicates), ("refused", SilverQuarantine))
    }
    joined = (
        added["came"].join(added["duplicates"], on="bucket", how="left").join(added["refused"], on="bucket", how="left")
    )
    return (
        joined.filter(pl.col("came") > 0)
        .select("bucket", *((100 * pl.col(name) / pl.col("came")).alias(name) for name in ("duplicates", "refused")))
        .sort("bucket")
    )


def newest_rate(rated: pl.DataFrame, name: str) -> float | None:
    """Rows a second of a stream in its newest point."""
    found = rated.filter(pl.col("name") == name)["per_second"]
    return None if found.is_empty() else found[-1]
