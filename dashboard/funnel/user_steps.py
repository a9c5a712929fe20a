"""How far users came within a window of their first view: who, how many, and how many of some users beside others."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from dashboard.funnel.stops import Stop
from dashboard.funnel.values import ranked
from dashboard.ranges import Span
from lakehouse.contracts import SessionDays as D

MOST_LISTED: Final = 1_000
"""Users of each step that are listed."""

USER: Final = str(D.user_id)
VIEW, CART, PURCHASE = "view_time", "cart_time", "purchase_time"

BANDS: Final = (
    ("≤ 5 min", timedelta(minutes=5)),
    ("≤ 1 h", timedelta(hours=1)),
    ("≤ 6 h", timedelta(hours=6)),
    ("≤ 1 day", timedelta(days=1)),
    ("≤ 3 days", timedelta(days=3)),
    ("≤ 7 days", timedelta(days=7)),
)
"""How long after the first view a purchase came, at most; each begins where the one before ends."""

_STEPS: Final = {"viewed": VIEW, "carted": CART, "purchased": PURCHASE}


@dataclass(frozen=True)
class Tally:
    """What is kept of users once they are counted; of however many, it is about as large."""

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
    """value (empty: that of users without one), users, viewed, carted, purchased, seconds_to_purchase; each user once.
    None: not asked for."""
    has_values: bool
    """Whether any user was counted by the dimension."""


def needed(dimension: str | None) -> list[pl.Expr]:
    """What is read of ``gold.session_days``, of the dimensions the one that users are told apart by."""
    steps = (D.user_id, D.date, D.first_view_time, D.cart_times, D.purchase_times, D.last_event_time, D.steps_capped)
    columns = [pl.col(column) for column in steps]
    if dimension is not None:
        columns.append(pl.col(D.dimensions).list.filter(pl.element().struct.field("name") == dimension))
    return columns


def tally(
    days: pl.LazyFrame, span: Span, window: timedelta, watermark: datetime | None, dimension: str | None = None
) -> Tally:
    """Of the users of ``days``, all of whose rows are in it; the rest as of `user_funnel` and `user_values`."""
    users = user_funnel(days, span, window).collect()
    values = None if dimension is None else user_values(days, span, dimension).collect()
    parts = {stop: stopped(users, stop) for stop in Stop}
    going = pl.col(VIEW).is_not_null() & pl.col(PURCHASE).is_null()
    still = going if watermark is None else going & (pl.col(VIEW) + window > watermark)
    return Tally(
        {stop: part.height for stop, part in parts.items()},
        _by_band(parts[Stop.NOWHERE].select((pl.col(PURCHASE) - pl.col(VIEW)).alias("took"))["took"], window),
        int(users.select(still.sum()).item()),
        int(users["capped"].sum()),
        {stop: _last(part.drop("capped")) for stop, part in parts.items()},
        None if values is None else _by_value(users, values),
        values is not None and not values.is_empty(),
    )


def together(one: Tally, other: Tally) -> Tally:
    """Of the users of both, of whom none is in both; of one window and dimension."""
    by_value = None
    if one.by_value is not None and other.by_value is not None:
        rows = pl.concat([one.by_value, other.by_value])
        by_value = rows.group_by("value", maintain_order=True).agg(pl.col(rows.columns[1:]).sum())
    return Tally(
        {stop: one.counts[stop] + other.counts[stop] for stop in Stop},
        {band: count + other.to_purchase[band] for band, count in one.to_purchase.items()},
        one.open + other.open,
        one.capped + other.capped,
        {stop: _last(pl.concat([one.listed[stop], other.listed[stop]])) for stop in Stop},
        by_value,
        one.has_values or other.has_values,
    )


def most_frequent_values(found: Tally, most: int) -> pl.DataFrame | None:
    """The ``most`` most frequent values, and the rest together, as `dashboard.funnel.apart.by_value` takes them; no row
    where nobody was counted by the dimension. None: not asked for."""
    if found.by_value is None:
        return None
    return ranked(found.by_value if found.has_values else found.by_value.clear(), "users", most)


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


def stopped(users: pl.DataFrame, stop: Stop) -> pl.DataFrame:
    """Of a collected `user_funnel`, those who came so far and no further; `Stop.NOWHERE`: those who purchased."""
    reached = {Stop.BEFORE_VIEW: None, Stop.AFTER_VIEW: VIEW, Stop.AFTER_CART: CART, Stop.NOWHERE: PURCHASE}
    steps = list(reached.values())
    own, place = reached[stop], steps.index(reached[stop])
    conditions = [] if own is None else [pl.col(own).is_not_null()]
    if place + 1 < len(steps):
        conditions.append(pl.col(str(steps[place + 1])).is_null())
    return users.filter(conditions)


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


def _by_value(users: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
    """Users who have no value count as those of an empty one, so that each of ``users`` counts once."""
    return (
        users.join(values, on=USER, how="left")
        .group_by(pl.col("value").fill_null(""))
        .agg(
            pl.len().cast(pl.Int64).alias("users"),
            *(pl.col(step).count().cast(pl.Int64).alias(name) for name, step in _STEPS.items()),
            (pl.col(PURCHASE) - pl.col(VIEW)).dt.total_seconds().sum().alias("seconds_to_purchase"),
        )
    )


def _by_band(took: pl.Series, window: timedelta) -> dict[str, int]:
    """Those of `BANDS` that ``window`` reaches into."""
    found, before = {}, timedelta(microseconds=-1)
    for label, bound in BANDS:
        if before < window:
            found[label] = int(((took > before) & (took <= bound)).sum())
        before = bound
    return found


def _last(users: pl.DataFrame) -> pl.DataFrame:
    return users.sort(["last_time", USER], descending=[True, False]).head(MOST_LISTED)
