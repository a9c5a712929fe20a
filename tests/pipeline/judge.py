"""What gold must hold, worked out from the events alone: nothing of the project is imported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import polars as pl

COUNTED = {"num_views": "view_item", "num_add_to_cart": "add_to_cart", "num_purchases": "purchase"}


def read_events(file: Path) -> pl.DataFrame:
    """The lines of the file as text, ``event_time`` in UTC."""
    return pl.read_csv(file, infer_schema=False).with_columns(moments("event_time"))


def moments(column: str) -> pl.Expr:
    """ISO 8601 in UTC, as text, into times."""
    text = pl.col(column)
    return text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", strict=True).dt.replace_time_zone("UTC")


def funnel_summary(file: Path) -> pl.DataFrame:
    """A row for each user and ten minutes, sorted by them; columns in alphabetical order."""
    return summarise(read_events(file), COUNTED)


def summarise(events: pl.DataFrame, counted: Mapping[str, str]) -> pl.DataFrame:
    """What gold holds of ``events`` (``user_id``, ``event_type``, ``session_id``, ``event_time`` in UTC), each of which
    counts; ``counted`` names the type of event that each column counts."""
    start = pl.col("event_time").dt.truncate("10m").alias("window_start")
    summary = (
        events.group_by("user_id", start)
        .agg(*_counts(counted), *_span())
        .with_columns(
            (pl.col("window_start") + pl.duration(minutes=10)).alias("window_end"),
            pl.col("window_start").dt.date().alias("window_date"),
            pl.lit(False).alias("sessions_capped"),
        )
    )
    return summary.select(sorted(summary.columns)).sort("user_id", "window_start")


def user_days(events: pl.DataFrame, counted: Mapping[str, str]) -> pl.DataFrame:
    """What gold holds of users' days, but for revenue: a row for each user and day (UTC), sorted by them; columns in
    alphabetical order."""
    time, hour = pl.col("event_time"), pl.col("event_time").dt.hour().cast(pl.Int64)
    bought = pl.col("event_type") == counted["num_purchases"]
    days = (
        events.group_by("user_id", time.dt.date().alias("date"))
        .agg(
            *_counts(counted),
            *_span(),
            time.filter(bought).max().alias("last_purchase_time"),
            pl.lit(2, pl.Int64).pow(hour.unique()).sum().cast(pl.Int64).alias("active_hours"),
        )
        .with_columns(pl.lit(False).alias("sessions_capped"))
    )
    return days.select(sorted(days.columns)).sort("user_id", "date")


def sessions(events: pl.DataFrame, counted: Mapping[str, str], told: Sequence[str] = ()) -> pl.DataFrame:
    """A row for each session of a user on one day (UTC), with how far it came in the order of the steps.

    Columns: ``user_id``, ``session`` ("" where the events name none), ``day``; ``began``; ``view_at``, of the first
    view, ``cart_at``, of the first cart not before it, ``purchase_at``, of the first purchase not before that, each
    null where there is none; ``bought``, that there was a purchase whatever came before; ``num_events``; and of each
    column of ``told`` the earliest text there is, of two at once the lesser.
    """
    visit = ["user_id", "session", "day"]
    rows = events.with_columns(
        pl.col("session_id").fill_null("").alias("session"), pl.col("event_time").dt.date().alias("day")
    )
    time = pl.col("event_time")
    view, cart, purchase = (pl.col("event_type") == kind for kind in counted.values())
    rows = rows.with_columns(view_at=time.filter(view).min().over(visit))
    rows = rows.with_columns(cart_at=time.filter(cart & (time >= pl.col("view_at"))).min().over(visit))
    return rows.group_by(visit).agg(
        time.min().alias("began"),
        pl.col("view_at", "cart_at").first(),
        time.filter(purchase & (time >= pl.col("cart_at"))).min().alias("purchase_at"),
        purchase.any().alias("bought"),
        pl.len().cast(pl.Int64).alias("num_events"),
        *(pl.col(name).sort_by("event_time", name).drop_nulls().first() for name in told),
    )


def session_funnel(events: pl.DataFrame, counted: Mapping[str, str]) -> pl.DataFrame:
    """What gold holds of the ordered funnel of all sessions, in the columns that can be told: a row for each hour (UTC)
    in which sessions begin, sorted by it; columns in alphabetical order."""
    hour = pl.col("began").dt.truncate("1h").alias("hour")
    funnel = sessions(events, counted).group_by(hour).agg(*steps(), pl.col("num_events").sum())
    return funnel.select(sorted(funnel.columns)).sort("hour")


def steps() -> list[pl.Expr]:
    """Of `sessions`: how many there are, and how many came to each step."""
    reached = {"viewed": "view_at", "carted": "cart_at", "purchased": "purchase_at"}
    return [
        pl.len().cast(pl.Int64).alias("sessions"),
        *(pl.col(time).count().cast(pl.Int64).alias(name) for name, time in reached.items()),
        pl.col("bought").sum().cast(pl.Int64),
    ]


def user_funnel(
    events: pl.DataFrame, counted: Mapping[str, str], first: date, last: date, window: timedelta
) -> pl.DataFrame:
    """A row for each user with an event on the days (UTC) from ``first`` to ``last``, sorted by user: ``view_at``, the
    first view on them; ``cart_at``, the first cart not before it, and ``purchase_at``, the first purchase not before
    that cart, both of any session and day, but at most ``window`` after the view; ``last_at``, of their events on those
    days. Null where there is none."""
    time = pl.col("event_time")
    view, cart, purchase = (pl.col("event_type") == kind for kind in counted.values())
    acted = events.filter(time.dt.date().is_between(first, last))
    users = acted.group_by("user_id").agg(time.filter(view).min().alias("view_at"), time.max().alias("last_at"))
    ahead = time - pl.col("view_at")
    after = events.join(users, on="user_id").filter(ahead >= timedelta(0), ahead <= window)
    carts = after.filter(cart).group_by("user_id").agg(time.min().alias("cart_at"))
    bought = after.join(carts, on="user_id").filter(purchase, time >= pl.col("cart_at"))
    purchases = bought.group_by("user_id").agg(time.min().alias("purchase_at"))
    found = users.join(carts, on="user_id", how="left").join(purchases, on="user_id", how="left")
    return found.select("user_id", "view_at", "cart_at", "purchase_at", "last_at").sort("user_id")


def churn_features(
    events: pl.DataFrame, counted: Mapping[str, str], as_of: pl.DataFrame, lookback_days: int = 30
) -> pl.DataFrame:
    """The features that can be told without the others' formulas, of each user of ``as_of`` (``user_id``, ``as_of``)
    at that moment, sorted by user; columns in alphabetical order."""
    time, moment = pl.col("event_time"), pl.col("as_of")
    known = events.join(as_of, on="user_id").filter(time < moment)
    last_day = (moment - pl.duration(microseconds=1)).dt.date()
    seen = time.dt.date() > last_day - pl.duration(days=lookback_days)
    always = known.group_by("user_id", "as_of").agg(
        _days(moment.first() - time.max()).alias("recency_days"),
        _days(moment.first() - time.min()).alias("tenure_days"),
        _days(moment.first() - time.filter(pl.col("event_type") == counted["num_purchases"]).max()).alias(
            "days_since_purchase"
        ),
    )
    counts = [*_counts(counted)[:-1], time.dt.date().n_unique().cast(pl.Int64).alias("active_days")]
    lately = known.filter(seen).group_by("user_id").agg(*counts)
    features = always.join(lately, on="user_id", how="left").with_columns(pl.selectors.integer().fill_null(0))
    return features.select(sorted(features.columns)).sort("user_id")


def cohorts(events: pl.DataFrame) -> pl.DataFrame:
    """Users of each cohort and period, by day and by week, sorted by them; by pandas' calendar of periods."""
    acts = events.select("user_id", pl.col("event_time").dt.replace_time_zone(None)).to_pandas()
    found = []
    for unit, calendar in (("day", "D"), ("week", "W-SUN")):
        acts["at"] = acts["event_time"].dt.to_period(calendar)
        first = acts.groupby("user_id")["at"].transform("min")
        acts["period"] = acts["at"].astype("int64") - first.astype("int64")
        acts["cohort"] = first.dt.start_time.dt.date
        counted = acts.groupby(["cohort", "period"])["user_id"].nunique()
        found += [(unit, cohort, int(period), int(users)) for (cohort, period), users in counted.items()]
    schema = {"unit": pl.String, "cohort": pl.Date, "period": pl.Int64, "users": pl.Int64}
    return pl.DataFrame(found, schema=schema, orient="row").sort("unit", "cohort", "period")


def _counts(counted: Mapping[str, str]) -> list[pl.Expr]:
    """Events by type, all events, and sessions: their number and, last, themselves."""
    session = pl.col("session_id").drop_nulls()
    sessions = session.filter(session != "").unique().sort()
    return [
        *((pl.col("event_type") == kind).sum().cast(pl.Int64).alias(name) for name, kind in counted.items()),
        pl.len().cast(pl.Int64).alias("num_events"),
        sessions.len().cast(pl.Int64).alias("sessions"),
        sessions.alias("session_ids"),
    ]


def _span() -> list[pl.Expr]:
    return [
        pl.col("event_time").min().alias("first_event_time"),
        pl.col("event_time").max().alias("last_event_time"),
    ]


def _days(duration: pl.Expr) -> pl.Expr:
    return duration.dt.total_microseconds() / (86_400 * 1_000_000)
