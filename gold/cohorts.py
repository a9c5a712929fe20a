"""Users' days into cohorts: who came first when, and how many of them came again. Pure: no I/O, no clock."""

from __future__ import annotations

from typing import Final

import polars as pl

from lakehouse.contracts import COHORT_UNITS
from lakehouse.contracts import Cohorts as C
from lakehouse.contracts import UserDays as D

KEY: Final = (C.unit, C.cohort, C.period)
READ: Final = (D.user_id, D.date)


def cohorts(days: pl.DataFrame) -> pl.DataFrame:
    """``gold.cohorts`` of the users of ``days``: rows of ``gold.user_days``, all of each user.

    A cell is there where somebody acted. For a date, the cells whose cohort and periods add up to it count each user
    who acted then once, for a user is in one cohort.
    """
    first = days.group_by(D.user_id).agg(pl.col(D.date).min().alias("first"))
    since_first = days.select(READ).join(first, on=D.user_id)
    return pl.concat([_of_unit(since_first, unit, length) for unit, length in COHORT_UNITS.items()])


def _of_unit(since_first: pl.DataFrame, unit: str, length: int) -> pl.DataFrame:
    every = f"1{unit[0]}"  # weeks begin on Mondays
    begin, cohort = pl.col(D.date).dt.truncate(every), pl.col("first").dt.truncate(every)
    period = (begin - cohort).dt.total_days() // length
    return (
        since_first.select(D.user_id, cohort.alias(C.cohort), period.alias(C.period))
        .unique()
        .group_by(C.cohort, C.period)
        .agg(pl.len().cast(pl.Int64).alias(C.users))
        .select(pl.lit(unit).alias(C.unit), C.cohort, C.period, C.users)
    )


def summed(cells: pl.DataFrame) -> pl.DataFrame:
    """Cells of different users together."""
    return cells.group_by(KEY).agg(pl.col(C.users).sum())


def changed(before: pl.DataFrame, now: pl.DataFrame) -> pl.DataFrame:
    """The cells of ``now`` that are not so ``before``; of those that ``now`` has no more, that they have no users."""
    both = now.join(before, on=KEY, how="full", coalesce=True, suffix="_before")
    users = pl.col(C.users).fill_null(0)
    return both.with_columns(users).filter(users.ne_missing(pl.col(f"{C.users}_before"))).select(*C.columns())
