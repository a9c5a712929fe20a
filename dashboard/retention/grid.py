"""The cells that the mirror has, as a grid: each cohort and each period up to the newest, those without users too."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from dashboard.retention.queries import Cells


def grid(cells: Cells, watermark: datetime | None) -> pl.DataFrame:
    """``cohort``, ``period``, ``users``, ``size`` (of the cohort), ``share`` (of the cohort; null for one of nobody)
    and ``is_final``: that the watermark has passed the period's end. Sorted by cohort and period."""
    begins = _begins(cells)
    periods = (pl.col("begin") - pl.col("cohort")).dt.total_days() // cells.unit.days
    all_cells = begins.rename({"begin": "cohort"}).join(begins, how="cross").with_columns(periods.alias("period"))
    users, size = pl.col("users").fill_null(0), pl.col("users").filter(pl.col("period") == 0).first().over("cohort")
    return (
        all_cells.filter(pl.col("period") >= 0)
        .join(cells.cohorts, on=["cohort", "period"], how="left")
        .with_columns(users)
        .with_columns(size.alias("size"), _is_final(cells, watermark).alias("is_final"))
        .with_columns(pl.when(pl.col("size") > 0).then(pl.col("users") / pl.col("size")).alias("share"))
        .select("cohort", "period", "users", "size", "share", "is_final")
        .sort("cohort", "period")
    )


def average(of: pl.DataFrame) -> pl.DataFrame:
    """Of a `grid`: for each ``period`` the ``share`` of the users of all ``cohorts`` (how many) whose period is
    final."""
    return (
        of.filter(pl.col("is_final"), pl.col("size") > 0)
        .group_by("period")
        .agg((pl.col("users").sum() / pl.col("size").sum()).alias("share"), pl.len().alias("cohorts"))
        .sort("period")
    )


def active(cells: Cells, watermark: datetime | None) -> pl.DataFrame:
    """``begin``, ``new``, ``returning`` and ``is_final`` of every unit of the span, sorted."""
    counted = _begins(cells).join(cells.active, on="begin", how="left")
    return counted.with_columns(
        pl.col("new", "returning").fill_null(0), _is_final(cells, watermark).alias("is_final")
    ).sort("begin")


def _begins(cells: Cells) -> pl.DataFrame:
    begins = pl.date_range(cells.first, cells.last, f"{cells.unit.days}d", eager=True)
    return pl.DataFrame({"begin": begins})


def _is_final(cells: Cells, watermark: datetime | None) -> pl.Expr:
    if watermark is None:
        return pl.lit(value=False)
    end = (pl.col("begin") + pl.duration(days=cells.unit.days)).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return end <= watermark
