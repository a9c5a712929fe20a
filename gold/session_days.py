"""Events into sessions' days: what an ordered funnel by session is computed from. Pure: no I/O, no clock."""

from __future__ import annotations

from typing import Final

import polars as pl

from gold.counts import counted
from gold.user_days import MONEY, MOST, WIDE, amount
from lakehouse import event
from lakehouse.contracts import SessionDays as D
from lakehouse.contracts import SilverEvents as S
from lakehouse.scans import polars_schema
from lakehouse.settings import DIMENSION_COLUMNS, Settings

KEY: Final = (D.user_id, D.session_id, D.date)
NO_SESSION: Final = ""
LONGEST_VALUE: Final = 64
"""Characters of a dimension's value that are kept: what users send may be of any length."""

NAME, VALUE, TIME = "name", "value", "time"


def session_days(events: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """What ``events`` (rows of ``silver.events``) add to ``gold.session_days``: a row for each user, session and day
    (UTC)."""
    time, kind = pl.col(S.event_time), pl.col(S.event_type)
    rows = events.with_columns(
        pl.col(S.session_id).fill_null(NO_SESSION), time.dt.date().alias(D.date), amount().alias(D.revenue)
    )
    sums = rows.group_by(KEY).agg(
        *counted(),
        time.filter(kind == event.VIEW).min().alias(D.first_view_time),
        time.filter(kind == event.ADD_TO_CART).alias(D.cart_times),
        time.filter(kind == event.PURCHASE).alias(D.purchase_times),
        pl.col(D.revenue).filter(kind == event.PURCHASE).sum(),
    )
    return _finished(sums, _values(rows, settings), settings.funnel_steps_cap)


def merged(days: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """One row for each key of ``days``, several rows of which may be of one: counts and revenue are added, times are
    the least and greatest, sets are united, and of a dimension the earliest value stays.

    Associative and commutative with `session_days`: whatever batches the events come in, the rows are the same. Above
    the cap too, since the first times of a union are among the first of its parts.
    """
    counts = (D.num_views, D.num_add_to_cart, D.num_purchases, D.num_events)
    sums = days.group_by(KEY).agg(
        *(pl.col(column).sum() for column in counts),
        pl.col(D.first_event_time).min(),
        pl.col(D.last_event_time).max(),
        pl.col(D.first_view_time).min(),
        *(pl.col(column).explode().drop_nulls() for column in (D.cart_times, D.purchase_times)),
        pl.col(D.revenue).cast(WIDE).sum(),
    )
    values = days.select(*KEY, D.dimensions).explode(D.dimensions).unnest(D.dimensions)
    return _finished(sums, values.drop_nulls(NAME), settings.funnel_steps_cap)


def _values(rows: pl.DataFrame, settings: Settings) -> pl.DataFrame:
    """A row for each event and declared dimension: its value and the event's time, both null where it has none."""
    names = list(settings.funnel_dimensions)
    if not names:
        return rows.select(
            *KEY, pl.lit("").alias(NAME), pl.lit("").alias(VALUE), pl.col(S.event_time).alias(TIME)
        ).clear()
    values = rows.select(*KEY, pl.col(S.event_time).alias(TIME), *(_value(name).alias(f"of {name}") for name in names))
    columns = [f"of {name}" for name in names]
    long = values.unpivot(on=columns, index=[*map(str, KEY), TIME], variable_name=NAME, value_name=VALUE)
    return long.with_columns(
        pl.col(NAME).str.strip_prefix("of "), pl.when(pl.col(VALUE).is_not_null()).then(pl.col(TIME)).alias(TIME)
    )


def _value(name: str) -> pl.Expr:
    column = name in DIMENSION_COLUMNS
    found = pl.col(name) if column else pl.col(S.properties).str.json_path_match(f"$.{name}")
    short = found.str.replace_all("\0", "", literal=True).str.slice(0, LONGEST_VALUE)  # Postgres takes no NUL
    return pl.when(short != "").then(short)


def _finished(sums: pl.DataFrame, values: pl.DataFrame, steps_cap: int) -> pl.DataFrame:
    earliest = (
        values.sort(TIME, VALUE, nulls_last=True)
        .unique([*KEY, NAME], keep="first", maintain_order=True)
        .sort(NAME)
        .group_by(KEY, maintain_order=True)
        .agg(pl.struct(NAME, VALUE, TIME).alias(D.dimensions))
    )
    steps = [
        pl.col(column).list.unique().list.sort().list.head(steps_cap) for column in (D.cart_times, D.purchase_times)
    ]
    capped = [pl.col(column).list.len() >= steps_cap for column in (D.cart_times, D.purchase_times)]
    return (
        sums.join(earliest, on=KEY, how="left")
        .with_columns(
            *steps,
            pl.col(D.dimensions).cast(DIMENSIONS).fill_null([]),
            pl.col(D.revenue).clip(upper_bound=MOST).cast(MONEY),
        )
        .with_columns(pl.any_horizontal(capped).alias(D.steps_capped))
        .select(*D.columns())
    )


DIMENSIONS: Final = polars_schema(D)[D.dimensions]
