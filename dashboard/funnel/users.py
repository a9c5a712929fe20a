"""The ordered funnel of users, from sessions' days: read from Delta, the days of a range and of the window after it.

Imported lazily: deltalake and its Arrow take some 30 MB of the dashboard's process.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

import polars as pl
import streamlit as st

from dashboard.funnel.stops import Stop
from dashboard.funnel.values import ranked
from dashboard.lake import ROWS, TableAt, TooMuch, of_newest
from dashboard.ranges import Span
from lakehouse.contracts import SessionDays as D
from lakehouse.home import Home

SHARED_FOR_S: Final = 60.0
"""Not as short as of Postgres: each look opens the table anew, and reads days of it."""
MOST_ROWS: Final = 2_000_000
"""Sessions' days that are read: the newest whole days of the range, with the window after them."""
MOST_LISTED: Final = 1_000
"""Users of each step that are listed."""

USER: Final = str(D.user_id)
DAY: Final = f"partition.{D.date}"
VIEW, CART, PURCHASE = "view_time", "cart_time", "purchase_time"


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
    """How many stopped where."""
    to_purchase: dict[str, int]
    """Of those who purchased: how many, by `BANDS`."""
    open: int
    """Of those who viewed and did not purchase: whose window the watermark has not passed, and who still may."""
    capped: int
    """Users with so many steps in a session's day that not all of their times are kept."""
    listed: dict[Stop, pl.DataFrame]
    """`USER`, `VIEW`, `CART`, `PURCHASE`, and ``last_time`` (UTC), those who acted last first; at most
    `MOST_LISTED`."""
    by_value: pl.DataFrame | None
    """As `dashboard.funnel.apart.by_value` takes them, each user once; empty where nothing was counted by the
    dimension. None: not asked for."""


BANDS: Final = (
    ("≤ 5 min", timedelta(minutes=5)),
    ("≤ 1 h", timedelta(hours=1)),
    ("≤ 6 h", timedelta(hours=6)),
    ("≤ 1 day", timedelta(days=1)),
    ("≤ 3 days", timedelta(days=3)),
    ("≤ 7 days", timedelta(days=7)),
)
"""How long after the first view a purchase came, at most; each begins where the one before ends."""


def user_funnel(days: pl.LazyFrame, span: Span, window: timedelta) -> pl.LazyFrame:
    """A row for each user with an event on a day of ``span`` (whole days, UTC), of ``days``: rows of
    ``gold.session_days`` of that span and of the days that ``window`` after it reaches.

    Columns: `USER`; `VIEW`, the first view in the span; `CART`, the first add_to_cart at or after it and within
    ``window`` of it, that bound included; `PURCHASE`, the first purchase at or after that cart and within ``window`` of
    the view; each null where there is none. ``last_time``: of the user's events in the span. ``capped``: that a
    session's day does not tell all times of its steps.
    """
    users = (
        days.filter(pl.col(D.date).is_between(span.start.date(), span.last_day))
        .group_by(USER)
        .agg(
            pl.col(D.first_view_time).min().alias(VIEW),
            pl.col(D.last_event_time).max().alias("last_time"),
            pl.col(D.steps_capped).any().alias("capped"),
        )
    )
    viewed = users.filter(pl.col(VIEW).is_not_null()).select(USER, VIEW)
    carts = _first(days, D.cart_times, viewed, VIEW, window).rename({"reached": CART})
    carted = viewed.join(carts, on=USER, how="inner")
    purchases = _first(days, D.purchase_times, carted, CART, window).rename({"reached": PURCHASE})
    return (
        users.join(carts, on=USER, how="left")
        .join(purchases, on=USER, how="left")
        .select(USER, VIEW, CART, PURCHASE, "last_time", "capped")
    )


def _first(days: pl.LazyFrame, times: str, users: pl.LazyFrame, since: str, window: timedelta) -> pl.LazyFrame:
    """Of each of ``users`` the first of ``times`` that is not before ``since`` and within ``window`` of the view, as
    ``reached``; users without are not there."""
    return (
        days.select(USER, pl.col(times).alias("reached"))
        .filter(pl.col("reached").list.len() > 0)
        .explode("reached")
        .join(users, on=USER, how="inner")
        .filter(pl.col("reached") >= pl.col(since), pl.col("reached") - pl.col(VIEW) <= window)
        .group_by(USER)
        .agg(pl.col("reached").min())
    )


def user_values(days: pl.LazyFrame, span: Span, dimension: str) -> pl.LazyFrame:
    """A row for each user of whom an event of ``span`` was counted by ``dimension``: `USER`, and ``value``, that of the
    earliest such event that has one; null where none has."""
    value = pl.col(D.dimensions).struct.field("value")
    time = pl.col(D.dimensions).struct.field("time")
    return (
        days.filter(pl.col(D.date).is_between(span.start.date(), span.last_day))
        .select(USER, D.dimensions)
        .explode(D.dimensions)
        .filter(pl.col(D.dimensions).struct.field("name") == dimension)
        .select(USER, value.alias("value"), time.alias("time"))
        .group_by(USER)
        .agg(pl.col("value").sort_by("time", "value", nulls_last=True).first())
    )


def counted_by_value(users: pl.DataFrame, values: pl.DataFrame, most: int) -> pl.DataFrame:
    """Of a collected `user_funnel` and of `user_values`: the most frequent values, and the rest together. Users who
    have no value count as those of an empty one, so that each of ``users`` counts once; no row where nobody was counted
    by the dimension."""
    if values.is_empty():
        users = users.clear()
    counted = (
        users.join(values, on=USER, how="left")
        .group_by(pl.col("value").fill_null(""))
        .agg(
            pl.len().cast(pl.Int64).alias("users"),
            *(pl.col(step).count().cast(pl.Int64).alias(name) for name, step in _STEPS.items()),
            (pl.col(PURCHASE) - pl.col(VIEW)).dt.total_seconds().sum().alias("seconds_to_purchase"),
        )
    )
    return ranked(counted, "users", most)


_STEPS: Final = {"viewed": VIEW, "carted": CART, "purchased": PURCHASE}


def stopped(users: pl.DataFrame, stop: Stop) -> pl.DataFrame:
    """Of a collected `user_funnel`, those who came so far and no further; `Stop.NOWHERE`: those who purchased."""
    reached = {Stop.BEFORE_VIEW: None, Stop.AFTER_VIEW: VIEW, Stop.AFTER_CART: CART, Stop.NOWHERE: PURCHASE}
    steps = list(reached.values())
    own, place = reached[stop], steps.index(reached[stop])
    conditions = [] if own is None else [pl.col(own).is_not_null()]
    if place + 1 < len(steps):
        conditions.append(pl.col(str(steps[place + 1])).is_null())
    return users.filter(conditions)


@st.cache_data(ttl=SHARED_FOR_S, max_entries=16, show_spinner=False)
def read_users(
    home: Home,
    span: Span,
    window: timedelta,
    _watermark: datetime | None,
    dimension: str | None = None,
    most_values: int = 50,
    most_rows: int = MOST_ROWS,
) -> Users:
    """``span`` is of whole days (UTC); users are told apart by ``dimension`` where one is given, by the ``most_values``
    most frequent values.

    Raises LakehouseError where the table is not here, and TooMuch where not even the last day of it, with ``window``
    after it, has at most ``most_rows``.

    The watermark moves all the time: what is remembered is not read again for it, hence its name.
    """
    return of_newest(home, D, lambda whole: _users(whole, span, window, _watermark, dimension, most_values, most_rows))


def _users(
    whole: TableAt,
    span: Span,
    window: timedelta,
    watermark: datetime | None,
    dimension: str | None,
    most_values: int,
    most_rows: int,
) -> Users:
    files, read, rows_left = _bounded(whole, span, window, most_rows)
    found = user_funnel(files.scan(), read, window).collect(engine="streaming")
    by_value = None
    if dimension is not None:
        values = user_values(files.scan(), read, dimension).collect(engine="streaming")
        by_value = counted_by_value(found, values, most_values)
    parts = {stop: stopped(found, stop) for stop in Stop}
    bought = parts[Stop.NOWHERE].select((pl.col(PURCHASE) - pl.col(VIEW)).alias("took"))["took"]
    going = pl.col(VIEW).is_not_null() & pl.col(PURCHASE).is_null()
    still = going if watermark is None else going & (pl.col(VIEW) + window > watermark)
    return Users(
        whole.version,
        span,
        read,
        files.rows,
        rows_left,
        {stop: part.height for stop, part in parts.items()},
        _by_band(bought, window),
        int(found.select(still.sum()).item()),
        int(found["capped"].sum()),
        {
            stop: part.sort(["last_time", USER], descending=[True, False]).head(MOST_LISTED).drop("capped")
            for stop, part in parts.items()
        },
        by_value,
    )


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


def _by_band(took: pl.Series, window: timedelta) -> dict[str, int]:
    """Those of `BANDS` that ``window`` reaches into."""
    found, before = {}, timedelta(microseconds=-1)
    for label, bound in BANDS:
        if before < window:
            found[label] = int(((took > before) & (took <= bound)).sum())
        before = bound
    return found
