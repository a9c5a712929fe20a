"""Tables with a past: batches of a few rows each, committed by delta-rs, at moments that a test sets."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from lakehouse.commits import Commit
from lakehouse.contracts import FunnelSummary, SilverEvents, Table
from lakehouse.dialects import Dialect
from lakehouse.frames import conform
from lakehouse.home import Home
from lakehouse.settings import Settings
from lakehouse.store import Merge, TableStore

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def new_store(folder: Path, spark: Any = None, **settings: Any) -> TableStore:
    """Empty tables under ``folder``; without Spark only delta-rs commits."""
    values = {"home": folder, "round_interval_s": 0, "commit_engine": "delta-rs", **settings}
    store = TableStore(Home(folder).make(), Settings(**values), cast(Any, spark))
    store.create_all()
    return store


def events(first: int, count: int, day: date = date(2026, 3, 1)) -> pa.Table:
    """Rows of silver, one second after the other from 10:00."""
    began = datetime(day.year, day.month, day.day, 10, tzinfo=UTC)
    rows = [
        {
            "event_id": f"e{number}",
            "user_id": f"u{number % 7}",
            "event_type": "view",
            "event_time": began + timedelta(seconds=number),
            "source_id": "topic-1",
            "partition": 0,
            "offset": number,
            "kafka_timestamp": began,
            "event_date": day,
            "arrival": "on_time",
        }
        for number in range(first, first + count)
    ]
    names = [str(column) for column in SilverEvents.columns()]
    return conform(pa.table({name: [row.get(name) for row in rows] for name in names}), SilverEvents)


def append(store: TableStore, batches: int, rows: int = 3, day: date = date(2026, 3, 1)) -> Commit:
    """The next ``batches`` of silver, one commit and one file each; the account of the last."""
    last = store.last_commit(SilverEvents)
    first = 0 if last is None else last.batch_id + 1
    commit = Commit("silver", 0, first)
    for batch in range(first, first + batches):
        commit = Commit("silver", 0, batch, offsets={"topic-1/0": (batch + 1) * rows}, source_version=batch)
        store.append(SilverEvents, events(batch * rows, rows, day), commit)
    return commit


def count_views(store: TableStore, window: datetime, *, new_users: bool = False, **views: int) -> None:
    """The next batch of gold: adds to each user's views in the window that starts at ``window``.

    ``new_users`` are appended, so that they get a file of their own.
    """
    last = store.last_commit(FunnelSummary)
    commit = Commit("gold", 0, 0 if last is None else last.batch_id + 1, source_version=0)
    rows = [
        {
            "window_start": window,
            "window_end": window + timedelta(minutes=10),
            "user_id": user,
            **dict.fromkeys(("num_add_to_cart", "num_purchases", "sessions", "late_events"), 0),
            **dict.fromkeys(("num_views", "num_events"), number),
            "first_event_time": window,
            "last_event_time": window,
            **dict.fromkeys(("is_final", "sessions_capped"), False),
            "session_ids": [],
            "window_date": window.date(),
        }
        for user, number in views.items()
    ]
    counted = conform(pa.Table.from_pylist(rows), FunnelSummary)
    if new_users:
        store.append(FunnelSummary, counted, commit)
        return
    adding = {name: f"t.{name} + s.{name}" for name in ("num_views", "num_events")}

    def all_rows(_: Dialect) -> str:
        return "true"

    merge = Merge(["user_id", "window_start"], all_rows, lambda _: adding)
    store.merge(FunnelSummary, counted, merge, commit)


def views(store: TableStore, table: type[Table] = FunnelSummary, version: int | None = None) -> dict[str, int]:
    """Each user's views, over all windows."""
    frame = store.scan(table) if version is None else _at(store, table, version)
    rows = frame.select("user_id", "num_views").collect().rows()
    found: dict[str, int] = {}
    for user, number in rows:
        found[user] = found.get(user, 0) + number
    return found


def commit_at(store: TableStore, table: type[Table], version: int, moment: datetime) -> None:
    """Has ``version`` committed at ``moment``, as everyone reads it."""
    file = Path(store.path(table)) / "_delta_log" / f"{version:020}.json"
    os.utime(file, (moment.timestamp(), moment.timestamp()))


def _at(store: TableStore, table: type[Table], version: int) -> Any:
    import polars as pl

    return pl.scan_delta(store.path(table), version=version)


@dataclass
class Follower:
    """Who has taken the versions of ``origin`` up to ``position``."""

    name: str
    origin: type[Table] | None
    position: int | None
