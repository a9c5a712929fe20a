"""The ordered funnel of users, from sessions' days: read from Delta, the days of a range and of the window after it.

Imported lazily: deltalake and its Arrow take some 30 MB of the dashboard's process.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from functools import reduce
from typing import Final

import polars as pl
import streamlit as st

from dashboard.funnel.stops import Stop
from dashboard.funnel.user_steps import USER, Tally, most_frequent_values, needed, tally, together
from dashboard.lake import ROWS, TableAt, TooMuch, of_newest, parts_for
from dashboard.ranges import Span
from lakehouse.contracts import SessionDays as D
from lakehouse.home import Home

SHARED_FOR_S: Final = 60.0
"""Not as short as of Postgres: each look opens the table anew, and reads days of it."""
MOST_ROWS: Final = 2_000_000
"""Sessions' days that are read: the newest whole days of the range, with the window after them."""
PART_ROWS: Final = 100_000
"""About as many are in memory at a time. 2,000,000 of 730,000 users took 430 MiB at once, and 100 MiB in such parts;
reading them so often takes 10 s of a core in place of 7, and 18 in place of 9 where users are told apart."""

DAY: Final = f"partition.{D.date}"


@dataclass(frozen=True)
class Users:
    """The users who acted in a span of whole days, by how far they came. Times are UTC."""

    version: int
    """Of the table."""
    asked: Span
    span: Span
    """What was read of it: where it is shorter, the days before were too much."""
    rows: int
    """Sessions' days that were read, those of the window after the span included."""
    rows_left: int
    """Of the days of ``asked`` that were not read."""
    counts: dict[Stop, int]
    to_purchase: dict[str, int]
    open: int
    capped: int
    listed: dict[Stop, pl.DataFrame]
    """These five as in `Tally`."""
    by_value: pl.DataFrame | None
    """As `most_frequent_values` has them."""


@st.cache_data(ttl=SHARED_FOR_S, max_entries=16, show_spinner=False)
def read_users(
    home: Home,
    span: Span,
    window: timedelta,
    _watermark: datetime | None,
    dimension: str | None = None,
    most_values: int = 50,
    most_rows: int = MOST_ROWS,
    part_rows: int = PART_ROWS,
) -> Users:
    """``span`` is of whole days (UTC); users are told apart by ``dimension`` where one is given, by the ``most_values``
    most frequent values.

    Raises LakehouseError where the table is not here, and TooMuch where not even the last day of it, with ``window``
    after it, has at most ``most_rows``.

    The watermark moves all the time: what is remembered is not read again for it, hence its name.
    """

    def of(whole: TableAt) -> Users:
        files, read, rows_left = _bounded(whole, span, window, most_rows)
        found = _tally(files, read, window, _watermark, dimension, part_rows)
        return Users(
            whole.version,
            span,
            read,
            files.rows,
            rows_left,
            found.counts,
            found.to_purchase,
            found.open,
            found.capped,
            found.listed,
            most_frequent_values(found, most_values),
        )

    return of_newest(home, D, of)


def _tally(
    files: TableAt,
    span: Span,
    window: timedelta,
    watermark: datetime | None,
    dimension: str | None,
    part_rows: int,
) -> Tally:
    """Of some users after others, each with all rows: memory does not grow with how many there are."""
    parts = files.parts([USER], parts_for(files.rows, part_rows))
    read = (part.select(needed(dimension)).collect(engine="streaming") for part in parts)
    return reduce(together, (tally(rows.lazy(), span, window, watermark, dimension) for rows in read))


def _bounded(whole: TableAt, span: Span, window: timedelta, most_rows: int) -> tuple[TableAt, Span, int]:
    """The files of the newest whole days of ``span`` and of ``window`` after it that have at most ``most_rows``; the
    span that is left; and the rows of the days that are not."""
    if whole.files.is_empty():
        return whole, span, 0
    first, last = span.start.date(), (span.end + window - timedelta(microseconds=1)).astimezone(UTC).date()
    files = whole.files.filter(pl.col(DAY).is_between(first, last))
    by_day = (
        files.group_by(DAY)
        .agg(pl.col(ROWS).sum())
        .sort(DAY, descending=True)
        .with_columns(pl.col(ROWS).cum_sum().alias("so far"))
    )
    kept = by_day.filter(pl.col("so far") <= most_rows)
    left = by_day.filter(pl.col("so far") > most_rows)
    if left.is_empty():
        return replace(whole, files=files), span, 0
    newest_left: date = left[DAY][0]
    begins = datetime.combine(newest_left, time(), UTC) + timedelta(days=1)
    if kept.is_empty() or begins >= span.end:
        raise TooMuch(
            f"{D.name} has {by_day[ROWS].sum():,} sessions' days here, more than the {most_rows:,} that are read for "
            "one look, and even its last day with the window after it does not fit; choose a shorter window, or "
            "count sessions"
        )
    return (
        replace(whole, files=files.filter(pl.col(DAY) > newest_left)),
        Span(begins, span.end),
        int(left[ROWS].sum()),
    )
