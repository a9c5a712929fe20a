"""What the streams' reports say over time: rates from totals, and shares from tables' rows."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from lakehouse.contracts import BronzeEvents, SilverDuplicates, SilverQuarantine

LONGEST_GAP = 3
"""Points that may be missing in between: beyond it nobody reported, and a rate would be made up."""


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
