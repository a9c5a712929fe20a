"""What was refused, by reason: read from `silver.quarantine` itself, its newest files only."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, cast

import polars as pl
import streamlit as st

from dashboard.database import TEXT_SHOWN
from dashboard.lake import ROWS, TableAt, as_text, of_newest
from dashboard.ranges import Span, bucket_minutes
from lakehouse.contracts import SilverQuarantine as Q
from lakehouse.home import Home

SHARED_FOR_S: Final = 60.0
"""Not as short as of Postgres: each look opens the table anew."""
MOST_ROWS: Final = 200_000
"""The newest refused rows that are read, in whole files."""
MOST_REASONS: Final = 7
EXAMPLES: Final = 3
OTHER: Final = "other reasons"
_LEAST_BAR_MINUTES: Final = 10


@dataclass(frozen=True)
class Refused:
    """The newest refused rows; a row counts for each of its reasons. Times are the broker's, UTC."""

    rows: int
    """Rows that were read."""
    all_rows: int
    """Rows of the whole quarantine."""
    resolved: int
    """Of ``rows``, those whose corrected row has come."""
    reasons: pl.DataFrame
    """reason, rows, open, first, last; the most frequent first."""
    over_time: pl.DataFrame
    """bar, reason (the rarer ones together as ``OTHER``), rows."""
    bar_minutes: int
    examples: pl.DataFrame
    """reason, received, coordinates, value (the beginning, as text), resolved_by: the newest few of each reason."""


@st.cache_data(ttl=SHARED_FOR_S, max_entries=4, show_spinner="Reading what was refused …")
def read_refused(home: Home, most_rows: int = MOST_ROWS) -> Refused:
    """Raises LakehouseError where the table is not here."""
    return of_newest(home, Q, lambda whole: _refused(whole, most_rows))


def _refused(whole: TableAt, most_rows: int) -> Refused:
    newest_first = [f"max.{Q.kafka_timestamp}"] if f"max.{Q.kafka_timestamp}" in whole.files.columns else []
    files = whole.files.sort(f"partition.{Q.ingest_date}", *newest_first, descending=True)
    before = pl.col(ROWS).cum_sum() - pl.col(ROWS)
    newest = replace(whole, files=files.filter(before < most_rows))
    rows = newest.scan()
    thin = rows.select(
        pl.col(Q.reasons).alias("reason"), pl.col(Q.kafka_timestamp).alias("received"), Q.resolved_by
    ).collect()
    each = thin.explode("reason").with_columns(pl.col("reason").fill_null("(none)"))
    reasons = (
        each.group_by("reason")
        .agg(
            pl.len().cast(pl.Int64).alias("rows"),
            pl.col(Q.resolved_by).is_null().sum().cast(pl.Int64).alias("open"),
            pl.col("received").min().alias("first"),
            pl.col("received").max().alias("last"),
        )
        .sort("rows", "reason", descending=[True, False])
    )
    minutes = _bar_minutes(thin)
    named = reasons["reason"].head(MOST_REASONS).to_list()
    over_time = (
        each.group_by(
            pl.col("received").dt.truncate(f"{minutes}m").alias("bar"),
            pl.when(pl.col("reason").is_in(named)).then("reason").otherwise(pl.lit(OTHER)).alias("reason"),
        )
        .agg(pl.len().cast(pl.Int64).alias("rows"))
        .sort("bar", "reason")
    )
    return Refused(
        thin.height,
        whole.rows,
        thin.height - thin[Q.resolved_by].null_count(),
        reasons,
        over_time,
        minutes,
        _examples(rows, named),
    )


def _examples(rows: pl.LazyFrame, reasons: list[str]) -> pl.DataFrame:
    """The newest few of each of ``reasons``: their places are found first, so that few values are held."""
    places = (
        rows.select(pl.col(Q.reasons).alias("reason"), pl.col(Q.kafka_timestamp).alias("received"), *Q.key)
        .explode("reason")
        .filter(pl.col("reason").is_in(reasons))
        .sort("received", *Q.key, descending=True)
        .group_by("reason", maintain_order=True)
        .head(EXAMPLES)
        .collect()
    )
    values = (
        rows.join(places.select(Q.key).unique().lazy(), on=Q.key, how="semi")
        .select(*Q.key, pl.col(Q.value).bin.slice(0, 4 * TEXT_SHOWN), Q.resolved_by)
        .collect()
    )
    shown = pl.Series("value", [as_text(value, TEXT_SHOWN) for value in values[Q.value]], dtype=pl.String)
    order = {reason: number for number, reason in enumerate(reasons)}
    return (
        places.join(values.with_columns(shown), on=Q.key, how="left")
        .sort(pl.col("reason").replace_strict(order), pl.col("received"), descending=[False, True])
        .select("reason", "received", pl.concat_str(Q.key, separator="/").alias("coordinates"), "value", Q.resolved_by)
    )


def _bar_minutes(rows: pl.DataFrame) -> int:
    first, last = (cast(Any, rows["received"].min()), cast(Any, rows["received"].max()))
    if not isinstance(first, datetime):
        return _LEAST_BAR_MINUTES
    return bucket_minutes(Span(first, last), _LEAST_BAR_MINUTES)
