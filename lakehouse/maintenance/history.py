"""What is kept of a table's past: in words, for whoever asked for more, and as views of gold's daily snapshots."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

from lakehouse.contracts import SNAPSHOTS, GoldSnapshots, Snapshot, Table
from lakehouse.maintenance.log import Log
from lakehouse.maintenance.snapshots import DailySnapshots
from lakehouse.settings import Settings
from lakehouse.store import TableStore

G = GoldSnapshots


def kept(store: TableStore, table: type[Table], now: datetime) -> str:
    """Which versions of ``table`` can be read, and which days where daily snapshots are taken of it."""
    log = Log(Path(store.path(table)))
    horizon = now - timedelta(hours=store.settings.time_travel_hours)
    newest, first = store.version(table), log.oldest()
    within = (v for v in log.commits() if v >= first and log.committed_at(v) >= horizon)
    oldest = next(within, newest)
    said = (
        f"kept of {table.name}: versions {oldest} to {newest}, "
        f"{log.committed_at(oldest):%Y-%m-%d %H:%M:%S} to {log.committed_at(newest):%Y-%m-%d %H:%M:%S} UTC"
    )
    for snapshot in SNAPSHOTS:
        days = DailySnapshots(store, snapshot, lambda: now).days() if snapshot.source is table else None
        if days is not None:
            said += f"; and the end of each day from {days[0]} to {days[1]}, in {snapshot.view}"
    return said


def daily_view(snapshot: Snapshot, settings: Settings) -> str:
    """The query behind ``snapshot.view``, in Spark SQL.

    Each row says for which days it holds: ``WHERE DATE '2026-03-01' BETWEEN valid_from AND valid_until`` is the table
    as it was at the end of that day (UTC). No day before those that are kept is answered, for it would be in part.
    """
    oldest = f"date_sub(max({G.snapshot_date}) OVER (), {settings.gold_snapshot_days - 1})"
    valid_from = f"greatest({G.snapshot_date}, {oldest})" if settings.gold_snapshot_days else G.snapshot_date
    following = f"lead({G.snapshot_date}) OVER (PARTITION BY {G.window_date} ORDER BY {G.snapshot_date})"
    return f"""
        SELECT copies.*, names.{G.as_of}, names.valid_from, names.valid_until
        FROM {snapshot.copies.name} AS copies
        JOIN (
            SELECT {G.snapshot_date}, {G.window_date}, {G.as_of},
                   {valid_from} AS valid_from,
                   coalesce(date_sub({following}, 1), DATE '9999-12-31') AS valid_until
            FROM {G.name} WHERE {G.table_name} = '{snapshot.source.name}'
        ) AS names
        ON names.{G.snapshot_date} = copies.snapshot_date AND names.{G.window_date} = copies.window_date
        WHERE names.valid_from <= names.valid_until"""  # noqa: S608 (names of contracts)
