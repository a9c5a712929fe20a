"""A topic with a backlog, filled as fast as one process can, and what must come of it, counted on the way."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final

import polars as pl

from lakehouse import event
from lakehouse.errors import LakehouseError
from lakehouse.settings import Settings
from lakehouse.topic import end_offsets, ensure_topic
from producer.client import ConfluentSender
from producer.simulator import Kind, SimulatorConfig, simulate

START: Final = datetime(2025, 1, 6, tzinfo=UTC)
"""A fixed day, so that every run has the same events."""

CHUNK: Final = 500_000
KEY: Final = ("user_id", "window_start", "event_type")


@dataclass(frozen=True)
class Backlog:
    """What to fill a topic with. Event times go up over ``hours``, but for ``late_share``."""

    events: int = 1_000_000
    """Messages, copies and broken ones included."""
    hours: float = 24.0
    users: int = 50_000
    late_share: float = 0.01
    """Up to a day late."""
    duplicate_share: float = 0.01
    malformed_share: float = 0.002


@dataclass(frozen=True)
class Filled:
    """What a topic holds; the broker's end offsets agree."""

    messages: int
    by_kind: Mapping[str, int]
    events: int
    """Distinct valid ones."""
    windows: int
    """Pairs of a user and ten minutes with an event at least."""
    bytes: int
    """Of the messages' values."""
    seconds: float


def fill(bootstrap: str, settings: Settings, backlog: Backlog, truth: Path) -> Filled:
    """Makes the topic and fills it; ``truth`` gets, as Parquet, the number of events by user, window and type.

    The truth is counted from the messages as they are sent, before any part of the pipeline sees them. Raises
    LakehouseError where the broker does not hold exactly what was sent.
    """
    ensure_topic(bootstrap, settings)
    config = SimulatorConfig(
        seed=settings.simulator_seed,
        users=backlog.users,
        rate=backlog.events / (backlog.hours * 3600),
        start=START,
        late_share=backlog.late_share,
        duplicate_share=backlog.duplicate_share,
        malformed_share=backlog.malformed_share,
        future_share=0.0,
    )
    sender = ConfluentSender(bootstrap, settings.topic)
    kinds: Counter[str] = Counter()
    size = 0
    counts: list[pl.DataFrame] = []
    users: list[str] = []
    types: list[str] = []
    times: list[str] = []
    began = time.monotonic()
    for message in islice(simulate(config), backlog.events):
        sender.send(message.key, message.value)
        kinds[message.kind.value] += 1
        size += len(message.value)
        if message.kind in (Kind.NORMAL, Kind.LATE):
            fields = json.loads(message.value)
            users.append(fields[event.USER_ID])
            types.append(fields[event.EVENT_TYPE])
            times.append(fields[event.TIMESTAMP])
            if len(users) == CHUNK:
                counts.append(_counted(users, types, times))
                users, types, times = [], [], []
    sender.flush()
    seconds = time.monotonic() - began
    counts.append(_counted(users, types, times))
    counted = pl.concat(counts).group_by(KEY).agg(pl.col("events").sum())
    counted.write_parquet(truth)
    held = sum(end_offsets(bootstrap, settings.topic).values())
    if held != backlog.events:
        raise LakehouseError(f"the broker holds {held:,} messages, not the {backlog.events:,} that were sent")
    return Filled(
        messages=backlog.events,
        by_kind=dict(kinds.most_common()),
        events=int(counted["events"].sum()),
        windows=counted.select("user_id", "window_start").n_unique(),
        bytes=size,
        seconds=round(seconds, 1),
    )


def funnel_of(truth: Path) -> pl.DataFrame:
    """What gold must hold: a row for each user and window, sorted by them."""

    def number(event_type: str) -> pl.Expr:
        return pl.col("events").filter(pl.col("event_type") == event_type).sum()

    return (
        pl.read_parquet(truth)
        .group_by("user_id", "window_start")
        .agg(
            number(event.VIEW).alias("num_views"),
            number(event.ADD_TO_CART).alias("num_add_to_cart"),
            number(event.PURCHASE).alias("num_purchases"),
            pl.col("events").sum().alias("num_events"),
        )
        .sort("user_id", "window_start")
    )


def wrong_rows(found: pl.DataFrame, expected: pl.DataFrame) -> int:
    """Rows that are missing, that were not expected, or that are there twice; one with a wrong count is both of the
    first two. Columns as ``expected`` has them, whose first two are the key."""
    columns = expected.columns
    missing = expected.join(found, on=columns, how="anti", nulls_equal=True).height
    surplus = found.join(expected, on=columns, how="anti", nulls_equal=True).height
    doubled = found.height - found.select(columns[:2]).n_unique()
    return missing + surplus + doubled


def _counted(users: list[str], types: list[str], times: list[str]) -> pl.DataFrame:
    frame = pl.DataFrame({"user_id": users, "event_type": types, "time": times}, schema_overrides={"time": pl.String})
    start = pl.col("time").str.to_datetime("%Y-%m-%dT%H:%M:%S%.fZ", time_unit="us").dt.truncate("10m")
    return (
        frame.with_columns(start.dt.replace_time_zone("UTC").alias("window_start"))
        .group_by(KEY)
        .agg(pl.len().cast(pl.Int64).alias("events"))
    )
