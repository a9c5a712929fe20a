"""Labels: who came back after a cut. They read only what the features may not."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

import polars as pl

from lakehouse.contracts import UserDays as D

CHURNED = "churned"


def midnight(moment: datetime) -> datetime:
    """``moment``, if it is a midnight in UTC: users' days are whole, so only there is a cut clean. Else ValueError."""
    if moment.tzinfo is None or moment.utcoffset() != timedelta(0) or moment.time() != time():
        raise ValueError(f"cut={moment.isoformat()}: must be a midnight in UTC, since users' days are whole")
    return moment


def midnight_of(day: date) -> datetime:
    """With which ``day`` (UTC) begins."""
    return datetime.combine(day, time(), UTC)


def with_labels(rows: pl.DataFrame, user_days: pl.DataFrame, cut: datetime, horizon_days: int) -> pl.DataFrame:
    """``rows`` (of one user each) with ``churned``: no event from ``cut``, inclusive, to ``horizon_days`` later,
    exclusive.
    """
    first = midnight(cut).date()
    inside = pl.col(D.date).is_between(first, first + timedelta(days=horizon_days), closed="left")
    returned = user_days.filter(inside).select(D.user_id).unique()
    return rows.with_columns((~pl.col(D.user_id).is_in(returned[D.user_id].implode())).alias(CHURNED))


def labels_end(cut: datetime, horizon_days: int) -> date:
    """The first day that a label of ``cut`` does not see."""
    return midnight(cut).date() + timedelta(days=horizon_days)
