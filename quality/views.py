"""What is judged beside the rows themselves: small tables made of them and of the facts. Pure: no I/O, no clock.

A view is a function ``(rows, facts, settings) -> rows``, or None where the facts that it needs are not known; then the
expectations on it are not asked. Its rows are shown whole as examples of what failed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import timedelta
from typing import Final

import polars as pl

from lakehouse.contracts import Cohorts as C
from lakehouse.contracts import FunnelSummary as G
from lakehouse.contracts import FunnelWindows as W
from lakehouse.contracts import SilverEvents as S
from lakehouse.contracts import SilverQuarantine as Q
from lakehouse.settings import Settings
from quality.facts import Facts

View = Callable[[pl.DataFrame, Facts, Settings], pl.DataFrame | None]

SIGMAS: Final = 5.0
"""How far chance may take a share or a count: for independent events, once in some millions of looks."""
SEEN: Final = 1_000
"""Events of history from which on shares are compared with it."""
RARE: Final = 0.02
"""A type is taken to have at least this share of the past: one that is new or rare is no flood."""
AHEAD: Final = 0.01
"""Share of events whose time may be ahead: there is always some device with a wrong clock."""
DAYS: Final = 3
"""Earlier days that an hour must have to be compared with them."""

FEW: Final = 50.0
"""An hour is taken to have had at least so many events: of a shop's few, one busy user makes a multiple."""

HIGHEST, LOWEST = "highest", "lowest"
HOUR: Final = timedelta(hours=1)


def silence(_: pl.DataFrame, facts: Facts, __: Settings) -> pl.DataFrame | None:
    """How long no message has come: ``seconds``."""
    if facts.now is None or facts.newest is None:
        return None
    return pl.DataFrame({"newest": [facts.newest], "seconds": [(facts.now - facts.newest).total_seconds()]})


def waiting(_: pl.DataFrame, facts: Facts, __: Settings) -> pl.DataFrame | None:
    """How long the oldest rows of the layer before have waited: ``seconds``."""
    if facts.now is None:
        return None
    seconds = 0.0 if facts.waiting_since is None else (facts.now - facts.waiting_since).total_seconds()
    return pl.DataFrame({"waiting_since": [facts.waiting_since], "seconds": [seconds]})


def accounts(_: pl.DataFrame, facts: Facts, __: Settings) -> pl.DataFrame | None:
    """Each commit's books: what it took, ``rows_in``, against ``rows_placed``, and what it ``rows_out`` said against
    ``rows_added``."""
    if facts.accounts is None:
        return None
    placed = pl.sum_horizontal("rows_out", "rows_duplicate", "rows_refused")
    return facts.accounts.with_columns(placed.alias("rows_placed"))


def outcomes(_: pl.DataFrame, facts: Facts, settings: Settings) -> pl.DataFrame | None:
    """The ``share`` of the range's messages that was refused, or a copy, and the ``highest`` that is in order."""
    if facts.accounts is None:
        return None
    sums = facts.accounts.select(pl.col("rows_in", "rows_refused", "rows_duplicate").sum()).row(0, named=True)
    if not sums["rows_in"]:
        return None
    allowed = {"refused": settings.quality_refused_share, "duplicate": settings.quality_duplicate_share}
    return pl.DataFrame(
        {
            "outcome": list(allowed),
            "messages": [sums[f"rows_{outcome}"] for outcome in allowed],
            "of": [sums["rows_in"]] * len(allowed),
            "share": [sums[f"rows_{outcome}"] / sums["rows_in"] for outcome in allowed],
            HIGHEST: [_at_most(share, sums["rows_in"]) for share in allowed.values()],
        }
    )


def skew(rows: pl.DataFrame, _: Facts, settings: Settings) -> pl.DataFrame | None:
    """The ``share`` of the events whose time is too far ahead of the broker's, the ``highest`` that is in order, and
    the event that is furthest ahead."""
    if rows.is_empty():
        return None
    ahead = (pl.col(S.event_time) - pl.col(S.kafka_timestamp)).dt.total_microseconds() / 1_000_000
    furthest = rows.select(S.event_id, ahead.alias("seconds_ahead")).sort("seconds_ahead").tail(1)
    number = rows.select((ahead > settings.quality_clock_skew_seconds).sum()).item()
    return pl.DataFrame(
        {
            "events_ahead": [number],
            "of": [len(rows)],
            "share": [number / len(rows)],
            HIGHEST: [_at_most(AHEAD, len(rows))],
        }
    ).hstack(furthest)


def lateness(rows: pl.DataFrame, _: Facts, settings: Settings) -> pl.DataFrame | None:
    """The ``share`` of the events that came late, and the ``highest`` that is in order."""
    if rows.is_empty():
        return None
    late = rows.select((pl.col(S.arrival) != "on_time").sum()).item()
    return pl.DataFrame(
        {
            "late_events": [late],
            "of": [len(rows)],
            "share": [late / len(rows)],
            HIGHEST: [_at_most(settings.quality_late_share, len(rows))],
        }
    )


def shares(rows: pl.DataFrame, facts: Facts, settings: Settings) -> pl.DataFrame | None:
    """The ``share`` of each type among the rows, with the ``lowest`` and ``highest`` that go with its share before.

    Before is what the history holds of windows before those of the rows (a few late ones aside). Not asked of a whole
    table: it is its own history.
    """
    if facts.mode == "full" or facts.history is None or rows.is_empty():
        return None
    begin = rows.select(pl.col(S.event_time).quantile(0.1)).item()
    window = timedelta(minutes=settings.window_minutes)
    before = facts.history.filter(pl.col(W.window_start) <= begin - window)
    seen = before.select(pl.col(W.num_events).sum()).item()
    if seen < SEEN:
        return None
    usual = before.group_by(W.event_type).agg((pl.col(W.num_events).sum() / seen).alias("usual_share"))
    now = rows.group_by(S.event_type).agg(pl.len().cast(pl.Int64).alias("events"))
    share = pl.col("events") / len(rows)
    noise = SIGMAS * (pl.max_horizontal("usual_share", RARE) * (1 - pl.col("usual_share")) / len(rows)).sqrt()
    factor = settings.quality_change_factor
    return (
        usual.join(now, on=S.event_type, how="full", coalesce=True)
        .with_columns(pl.col("events", "usual_share").fill_null(0))
        .with_columns(
            share.alias("share"),
            (pl.col("usual_share") / factor - noise).alias(LOWEST),
            pl.min_horizontal(factor * pl.max_horizontal("usual_share", RARE) + noise, 1.0).alias(HIGHEST),
        )
        .select(S.event_type, "events", "share", "usual_share", LOWEST, HIGHEST)
        .sort(S.event_type)
    )


def hours(rows: pl.DataFrame, facts: Facts, settings: Settings) -> pl.DataFrame | None:
    """Events of each type, and of all (``*``), in every complete hour that the rows touch and in the newest one, with
    the ``lowest`` and ``highest`` that go with the same hour of earlier days.

    An hour is compared once the history has ``DAYS`` days before it; of the history the hour in which it begins, which
    may be a part of one, does not count.
    """
    if facts.history is None or facts.complete_until is None or facts.history.is_empty():
        return None
    start, events = pl.col("hour"), pl.col("events")
    counted = facts.history.group_by(pl.col(W.window_start).dt.truncate("1h").alias("hour"), pl.col(W.event_type)).agg(
        pl.col(W.num_events).sum().alias("events")
    )
    first = counted.select(start.min()).item() + HOUR
    newest = facts.complete_until.replace(minute=0, second=0, microsecond=0) - HOUR
    if first > newest:
        return None
    grid = pl.DataFrame({"hour": pl.datetime_range(first, newest, "1h", time_unit="us", eager=True)}).join(
        counted.select(W.event_type).unique(), how="cross"
    )
    each = grid.join(counted, on=["hour", W.event_type], how="left").with_columns(events.fill_null(0))
    total = each.group_by("hour").agg(events.sum(), pl.lit("*").alias(W.event_type)).select(each.columns)
    every = pl.concat([total, each])
    touched = newest if rows.is_empty() else rows.select(pl.col(W.window_start).quantile(0.1)).item()
    judged = every.filter(start >= pl.min_horizontal(pl.lit(touched).dt.truncate("1h"), pl.lit(newest)))
    earlier = every.rename({"hour": "earlier", "events": "then"})
    usual, factor = pl.col("usual"), settings.quality_change_factor
    at_least = pl.max_horizontal(usual, FEW)
    apart = pl.col("hour") - pl.col("earlier")
    return (
        judged.join(earlier, on=W.event_type)
        .filter(
            apart.dt.total_hours() % 24 == 0,
            apart > timedelta(0),
            apart <= timedelta(days=settings.quality_history_days),
        )
        .group_by("hour", W.event_type)
        .agg(events.first(), pl.col("then").median().alias("usual"), pl.len().alias("days"))
        .filter(pl.col("days") >= DAYS)
        .with_columns(
            (usual / factor - SIGMAS * usual.sqrt()).alias(LOWEST),
            (at_least * factor + SIGMAS * at_least.sqrt()).alias(HIGHEST),
        )
        .select("hour", W.event_type, "events", "usual", "days", LOWEST, HIGHEST)
        .sort("hour", W.event_type)
    )


def funnel(rows: pl.DataFrame, _: Facts, __: Settings) -> pl.DataFrame | None:
    """Carts and purchases of all rows together: ``purchases`` and the ``highest`` number that goes with so many
    carts."""
    if rows.is_empty():
        return None
    carts, purchases = rows.select(pl.col(G.num_add_to_cart).sum(), pl.col(G.num_purchases).sum()).row(0)
    return pl.DataFrame(
        {"carts": [carts], "purchases": [purchases], HIGHEST: [carts + SIGMAS * math.sqrt(max(carts, 25.0))]}
    )


def balances(_: pl.DataFrame, facts: Facts, __: Settings) -> pl.DataFrame | None:
    """Two sides that must be equal: ``expected`` and ``found``."""
    return facts.balances


def repeated(_: pl.DataFrame, facts: Facts, __: Settings) -> pl.DataFrame | None:
    """Keys that the table has more than once, with their ``copies``."""
    return facts.repeated


def unknown(_: pl.DataFrame, facts: Facts, __: Settings) -> pl.DataFrame | None:
    """Rows that the layer before knows nothing of; ``known`` is false."""
    return None if facts.unknown is None else facts.unknown.with_columns(pl.lit(value=False).alias("known"))


def retained(rows: pl.DataFrame, facts: Facts, _: Settings) -> pl.DataFrame | None:
    """The ``users`` of each period and the ``size`` of their cohort."""
    if facts.sizes is None:
        return None
    sizes = facts.sizes.rename({C.users: "size"})
    of_cohort = rows.select(*C.columns()).join(sizes, on=[C.unit, C.cohort], how="left")
    return of_cohort.with_columns(pl.col("size").fill_null(0))


def reasons(rows: pl.DataFrame, _: Facts, __: Settings) -> pl.DataFrame | None:
    """Each reason for which rows were refused, and how often: ``reason`` without its field, ``rows``."""
    name = pl.col(Q.reasons).str.split(":").list.first().alias("reason")
    return rows.select(pl.col(Q.reasons).explode()).drop_nulls().group_by(name).agg(pl.len().alias("rows"))


def _at_most(share: float, rows: int) -> float:
    """The share that chance makes of ``share`` among so few rows, at most."""
    return min(1.0, share + SIGMAS * math.sqrt(share * (1 - share) / rows))
