"""What gold must hold, worked out from the events alone: nothing of the project is imported."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import polars as pl

COUNTED = {"num_views": "view_item", "num_add_to_cart": "add_to_cart", "num_purchases": "purchase"}


def read_events(file: Path) -> pl.DataFrame:
    """The lines of the file as text, ``event_time`` in UTC."""
    return pl.read_csv(file, infer_schema=False).with_columns(
        pl.col("event_time")
        .str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us", strict=True)
        .dt.replace_time_zone("UTC")
    )


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


def session_funnel(events: pl.DataFrame, counted: Mapping[str, str]) -> pl.DataFrame:
    """What gold holds of the ordered funnel of all sessions, in the columns that can be told: a row for each hour (UTC)
    in which sessions begin, sorted by it; columns in alphabetical order."""
    visit = [
        "user_id",
        pl.col("session_id").fill_null("").alias("session"),
        pl.col("event_time").dt.date().alias("day"),
    ]
    time, kind = pl.col("event_time"), pl.col("event_type")
    view, cart, purchase = (kind == counted[name] for name in counted)
    sessions = events.with_columns(visit).with_columns(
        view_at=time.filter(view).min().over("user_id", "session", "day")
    )
    sessions = sessions.with_columns(
        cart_at=time.filter(cart & (time >= pl.col("view_at"))).min().over("user_id", "session", "day")
    )
    each = sessions.group_by("user_id", "session", "day").agg(
        time.min().dt.truncate("1h").alias("hour"),
        pl.col("view_at").first().is_not_null().alias("viewed"),
        pl.col("cart_at").first().is_not_null().alias("carted"),
        (purchase & (time >= pl.col("cart_at"))).any().alias("purchased"),
        purchase.any().alias("bought"),
        pl.len().alias("num_events"),
    )
    sums = [pl.col(name).sum().cast(pl.Int64) for name in ("viewed", "carted", "purchased", "bought", "num_events")]
    funnel = each.group_by("hour").agg(pl.len().cast(pl.Int64).alias("sessions"), *sums)
    return funnel.select(sorted(funnel.columns)).sort("hour")


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
