"""Users' days into churn features: one function for training and for serving. Pure: no I/O, no clock.

A user's features come from that user's days alone, never from other users, so they may be computed for any of them.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import polars as pl

from lakehouse.contracts import ChurnFeatures as F
from lakehouse.contracts import UserDays as D

COUNTS: Final = (F.num_views, F.num_add_to_cart, F.num_purchases)
"""Enough for a score; every other feature is optional."""

RATES: Final = (F.view_to_cart_rate, F.cart_to_purchase_rate, F.view_to_purchase_rate)

KNOWN: Final = (F.user_id, F.as_of, F.first_event_time, F.last_event_time, F.last_purchase_time)
"""What is kept beside the features: the times follow from recency and tenure, but exactly."""

FEATURES: Final = tuple(column for column in F.columns() if column not in KNOWN)
"""What a model may see, in the table's order."""

DAY: Final = timedelta(days=1)

_MICROSECOND: Final = timedelta(microseconds=1)
_IN_LOOKBACK: Final = "_in_lookback"
_IN_LATER_HALF: Final = "_in_later_half"


def churn_features(user_days: pl.DataFrame, as_of: datetime, lookback_days: int) -> pl.DataFrame:
    """The features of every user with an event before ``as_of``: rows of ``gold.churn_features``, by user.

    ``user_days`` holds all days of the users in question (recency and tenure reach beyond the lookback). The lookback
    is the ``lookback_days`` days (UTC) up to the cut, the day that the cut falls into included.

    Days are whole, so a day's row is seen only if all its events are before ``as_of``. At midnight (UTC) that is so for
    every day before, and nothing at or after ``as_of`` can be seen. Within a day, a row that holds events from both
    sides of the cut cannot be divided: then ValueError, as for an ``as_of`` without a zone or a lookback of no days.
    """
    if as_of.tzinfo is None:
        raise ValueError(f"as_of={as_of}: must name its time zone")
    moment = pl.lit(as_of, pl.Datetime("us", "UTC"))
    before = user_days.filter(pl.col(D.first_event_time) < moment)
    divided = before.filter(pl.col(D.last_event_time) >= moment)
    if not divided.is_empty():
        user, date = divided.select(D.user_id, D.date).row(0)
        raise ValueError(
            f"as_of={as_of.isoformat()}: {date} of user {user!r} has events before and after it, and a day cannot be "
            f"divided; take midnight (UTC)"
        )
    return _features(before.with_columns(moment.alias(F.as_of)), lookback_days)


def latest_features(user_days: pl.DataFrame, watermark: datetime, lookback_days: int) -> pl.DataFrame:
    """The features of every user in ``user_days``, now: for serving, where all that is known has happened.

    A user's cut is ``watermark``, or the moment after the user's newest event where that is later, so that a score
    follows what a user has just done, and one user's fast clock changes no other user's row.

    ``user_days`` holds the users' days of the lookback, and of those before it either all or `remembered` rows.
    """
    newest = pl.col(D.last_event_time).max().over(D.user_id) + _MICROSECOND
    moment = pl.max_horizontal(pl.lit(watermark, pl.Datetime("us", "UTC")), newest)
    return _features(user_days.with_columns(moment.alias(F.as_of)), lookback_days)


def remembered(features: pl.DataFrame) -> pl.DataFrame:
    """Rows of ``gold.churn_features`` as days without events, which stand for all days that these were computed from:
    of a day before the lookback only the times matter, and of these only the first and the last."""
    first, none = pl.col(F.first_event_time), pl.lit(0, pl.Int64)
    counts = (D.num_views, D.num_add_to_cart, D.num_purchases, D.num_events, D.sessions, D.active_hours)
    return features.select(
        F.user_id,
        first.dt.date().alias(D.date),
        *(none.alias(column) for column in counts),
        first.alias(D.first_event_time),
        pl.col(F.last_event_time).alias(D.last_event_time),
        pl.col(F.last_purchase_time).alias(D.last_purchase_time),
        pl.lit(0).cast(pl.Decimal(18, 4)).alias(D.revenue),
        pl.lit([], pl.List(pl.String)).alias(D.session_ids),
        pl.lit(value=False).alias(D.sessions_capped),
    ).select(*D.columns())


def with_rates(counts: pl.DataFrame) -> pl.DataFrame:
    """``counts`` with the conversion ratios of its three counts: between 0 and 1, and 0 where nothing could convert."""
    views, carts, purchases = (pl.col(column) for column in COUNTS)
    return counts.with_columns(
        _rate(carts, views).alias(F.view_to_cart_rate),
        _rate(purchases, carts).alias(F.cart_to_purchase_rate),
        _rate(purchases, views).alias(F.view_to_purchase_rate),
    )


def _features(days: pl.DataFrame, lookback_days: int) -> pl.DataFrame:
    """``days`` carry ``as_of``, and every event in them is before it."""
    if lookback_days < 1:
        raise ValueError(f"lookback_days={lookback_days}: must be at least 1")
    has_events = pl.col(D.num_events) > 0
    marked = days.with_columns(
        ((pl.col(D.date) >= _end() - pl.duration(days=lookback_days)) & has_events).alias(_IN_LOOKBACK),
        (pl.col(D.date) >= _end() - pl.duration(days=lookback_days // 2)).alias(_IN_LATER_HALF),
    )
    return (
        with_rates(marked.group_by(F.user_id, F.as_of).agg(*_counts(), *_times(lookback_days)))
        .with_columns(
            _ratio(pl.col(F.num_events), pl.col(F.sessions)).alias(F.events_per_session),
            _ratio(pl.col(F.trend), pl.col(F.num_events)).fill_null(0.0).alias(F.trend),
        )
        .select(*F.columns())
        .sort(F.user_id)
    )


def _counts() -> list[pl.Expr]:
    seen = pl.col(_IN_LOOKBACK)
    sums = (D.num_views, D.num_add_to_cart, D.num_purchases, D.num_events)
    # A session over midnight is in two days, so the sets are united. A day at its cap counts as its cap.
    return [
        *(pl.col(column).filter(seen).sum() for column in sums),
        pl.col(D.session_ids).filter(seen).explode().drop_nulls().n_unique().cast(pl.Int64).alias(F.sessions),
        seen.sum().cast(pl.Int64).alias(F.active_days),
        pl.col(D.active_hours).filter(seen).bitwise_count_ones().sum().cast(pl.Int64).alias(F.active_hours),
        pl.col(D.revenue).filter(seen).sum().cast(pl.Float64),
    ]


def _times(lookback_days: int) -> list[pl.Expr]:
    seen, later, as_of = pl.col(_IN_LOOKBACK), pl.col(_IN_LATER_HALF), pl.col(F.as_of).first()
    first, last, visits = pl.col(D.first_event_time), pl.col(D.last_event_time), pl.col(D.date).filter(seen)
    known_days = (_end().first() - first.min().dt.date()).dt.total_days().clip(1, lookback_days)
    return [
        first.min().alias(F.first_event_time),
        last.max().alias(F.last_event_time),
        pl.col(D.last_purchase_time).max().alias(F.last_purchase_time),
        _days(as_of - last.max()).alias(F.recency_days),
        _days(as_of - first.min()).alias(F.tenure_days),
        (seen.sum() / known_days).alias(F.frequency),
        (2 * pl.col(D.num_events).filter(later).sum() - pl.col(D.num_events).filter(seen).sum()).alias(F.trend),
        _ratio((visits.max() - visits.min()).dt.total_days(), visits.len() - 1).alias(F.days_between_visits),
        _days(as_of - pl.col(D.last_purchase_time).max()).alias(F.days_since_purchase),
        (_days((last - first).filter(seen).mean()) * 24 * 60).alias(F.minutes_per_day),
    ]


def _end() -> pl.Expr:
    """The day after the last one that is seen."""
    return (pl.col(F.as_of) - _MICROSECOND).dt.date() + pl.duration(days=1)


def _days(duration: pl.Expr) -> pl.Expr:
    return duration.dt.total_microseconds() / (DAY // _MICROSECOND)


def _ratio(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    """Null where ``whole`` is not above zero."""
    return pl.when(whole > 0).then(part.cast(pl.Float64) / whole)


def _rate(part: pl.Expr, whole: pl.Expr) -> pl.Expr:
    return _ratio(part, whole).clip(upper_bound=1.0).fill_null(0.0)
