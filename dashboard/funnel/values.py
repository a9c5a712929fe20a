"""The values of a dimension, by how often they are met: the most frequent, and all others together."""

from __future__ import annotations

import polars as pl


def ranked(counted: pl.DataFrame, whole: str, most: int) -> pl.DataFrame:
    """``counted`` has a row for each ``value``, and sums.

    The rows of the ``most`` values with the greatest sum of ``whole``, those first, with their ``place`` from 1 on and
    ``num_values`` of 1; then, where there are more, one of no value with the sums of all others.
    """
    sums = [name for name in counted.columns if name != "value"]
    rows = (
        counted.sort([whole, "value"], descending=[True, False])
        .with_row_index("place", 1)
        .with_columns(pl.col("place").cast(pl.Int64), pl.lit(1, pl.Int64).alias("num_values"))
        .select("place", "value", "num_values", *sums)
    )
    rest = rows.slice(most)
    if rest.is_empty():
        return rows
    others = rest.select(
        pl.lit(most + 1, pl.Int64).alias("place"),
        pl.lit(None, pl.String).alias("value"),
        pl.col("num_values", *sums).sum(),
    )
    return pl.concat([rows.head(most), others])
