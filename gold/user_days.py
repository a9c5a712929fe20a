"""Events into users' days: the additive partials that churn features are computed from. Pure: no I/O, no clock."""

from __future__ import annotations

from typing import Final

import polars as pl

from gold.counts import counted
from lakehouse import event
from lakehouse.contracts import SilverEvents as S
from lakehouse.contracts import UserDays as D

KEY: Final = (D.user_id, D.date)
MONEY: Final = pl.Decimal(18, 4)
WIDE: Final = pl.Decimal(38, 4)
MOST: Final = 10**14 - 1
"""Where revenue stops, in whole units. For amounts that are never negative, such a sum does not depend on its order."""


def amount() -> pl.Expr:
    """What an event is worth: price x quantity (1 where null); null without a price."""
    return (pl.col(S.price).cast(WIDE) * pl.col(S.quantity).fill_null(1).cast(WIDE)).clip(upper_bound=MOST).cast(WIDE)


def user_days(events: pl.DataFrame, session_ids_cap: int) -> pl.DataFrame:
    """What ``events`` (rows of ``silver.events``) add to ``gold.user_days``: a row for each user and day (UTC).

    ``session_ids_cap``: the most session ids kept for a row, the first ones in order.
    """
    time, bought = pl.col(S.event_time), pl.col(S.event_type) == event.PURCHASE
    rows = events.with_columns(time.dt.date().alias(D.date), amount().alias(D.revenue))
    sessions = rows.group_by(KEY).agg(pl.col(S.session_id).drop_nulls().unique().sort().alias(D.session_ids))
    sums = rows.group_by(KEY).agg(
        *counted(),
        time.filter(bought).max().alias(D.last_purchase_time),
        pl.col(D.revenue).filter(bought).sum(),
        pl.lit(1, pl.Int64).mul(2 ** time.dt.hour().cast(pl.Int64)).cast(pl.Int64).bitwise_or().alias(D.active_hours),
    )
    return _capped(sums.join(sessions, on=KEY, how="left"), session_ids_cap)


def merged(old: pl.DataFrame, new: pl.DataFrame, session_ids_cap: int) -> pl.DataFrame:
    """The days of ``old`` and ``new`` together: counts and revenue are added, times are the least and greatest, sets
    are united.

    Associative and commutative with `user_days`: whatever batches the events come in, the rows are the same. Above the
    cap too, since the first ids of a union are among the first of its parts.
    """
    counts = (D.num_views, D.num_add_to_cart, D.num_purchases, D.num_events)
    summed = (
        pl.concat([old, new])
        .group_by(KEY)
        .agg(
            *(pl.col(column).sum() for column in counts),
            pl.col(D.first_event_time).min(),
            pl.col(D.last_event_time).max(),
            pl.col(D.last_purchase_time).max(),
            pl.col(D.revenue).cast(WIDE).sum(),
            pl.col(D.active_hours).bitwise_or(),
            pl.col(D.session_ids).explode().drop_nulls().unique().sort(),
        )
    )
    return _capped(summed, session_ids_cap)


def _capped(days: pl.DataFrame, session_ids_cap: int) -> pl.DataFrame:
    return (
        days.with_columns(
            pl.col(D.revenue).clip(upper_bound=MOST).cast(MONEY), pl.col(D.session_ids).list.head(session_ids_cap)
        )
        .with_columns(pl.col(D.session_ids).list.len().cast(pl.Int64).alias(D.sessions))
        .with_columns((pl.col(D.sessions) >= session_ids_cap).alias(D.sessions_capped))
        .select(*D.columns())
    )
