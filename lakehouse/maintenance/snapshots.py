"""Daily snapshots of gold, for moments that are older than its versions are kept.

At the end of each day (UTC) the partitions that changed since the snapshot before are copied, and no others: so the
cost follows the days whose windows changed, not the history. ``gold.snapshots`` names each copy; a day's state is, for
each ``window_date``, the newest copy up to that day. The views ``gold.*_daily`` resolve that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder, Transaction, write_deltalake

from lakehouse.contracts import GoldSnapshots, Snapshot, Table
from lakehouse.dialects import DATAFUSION
from lakehouse.frames import conform, empty
from lakehouse.maintenance.log import Log, upkeep_commit
from lakehouse.store import TableStore

G = GoldSnapshots

SLACK = timedelta(minutes=1)
"""A file is written a little before the commit that adds it."""


@dataclass(frozen=True)
class Taken:
    """One day's snapshot of one table."""

    table: str
    day: date
    partitions: int
    """How many days of windows were copied: those that had changed."""
    rows: int


@dataclass(frozen=True)
class DailySnapshots:
    """The daily snapshots of one table of gold.

    A `Reader` of it: where a day's snapshot is due, nothing of the table is removed until it is taken.
    """

    store: TableStore
    snapshot: Snapshot
    clock: Callable[[], datetime]

    @property
    def name(self) -> str:
        return f"the daily snapshot of {self.origin.name}"

    @property
    def origin(self) -> type[Table]:
        return self.snapshot.source

    @property
    def position(self) -> int | None:
        return None if self.due() else self.store.version(self.origin)

    def due(self) -> list[date]:
        """The days that have ended and have no snapshot yet, oldest first, none before those that are kept.

        A table that was never copied begins with yesterday, if it was there by then.
        """
        kept = self.store.settings.gold_snapshot_days
        yesterday = self.clock().astimezone(UTC).date() - timedelta(days=1)
        if kept == 0:
            return []
        last = self.store.at_head(G).transaction_version(self._app_id)
        if last is None:
            return [yesterday] if self._version_at_end_of(yesterday) is not None else []
        first = max(date.fromordinal(last) + timedelta(days=1), yesterday - timedelta(days=kept - 1))
        return [first + timedelta(days=n) for n in range((yesterday - first).days + 1)]

    def days(self) -> tuple[date, date] | None:
        """The first and the last day that are kept; None where none was taken."""
        last, taken = self.store.at_head(G).transaction_version(self._app_id), self._taken()
        if last is None or taken.is_empty():
            return None
        kept = self.store.settings.gold_snapshot_days
        first: date = taken[str(G.snapshot_date)].min()  # type: ignore[assignment]  # it is a column of dates
        until = date.fromordinal(last)
        return max(first, until - timedelta(days=kept - 1)) if kept else first, until

    def take(self, day: date) -> Taken:
        """Copies what had changed by the end of ``day``, once, in this order:

        1. the partitions, appended to the table of copies;
        2. their names, appended to ``gold.snapshots``: with this commit the day is taken.

        Both carry the day as their transaction id. After a kill between them the first is skipped and the second made
        up for: the same version is copied, since nothing of the table is removed before the day is taken.
        A day whose version is not kept any more is passed over: the snapshot before stands for it.
        """
        path = Path(self.store.path(self.origin))
        version = self._version_at_end_of(day)
        source = None if version is None else DeltaTable(path, version=version)
        if source is None or not _is_whole(source, path):
            self._commit(G, day, empty(G))
            return Taken(self.origin.name, day, 0, 0)
        changed = self._changed(source)
        present = changed.filter(pl.col(str(G.num_rows)) > 0)[str(G.window_date)].to_list()
        if present:
            columns = ", ".join(str(column) for column in self.origin.columns())
            copies = _query(source, f"SELECT {DATAFUSION.date(day)} AS snapshot_date, {columns}", present)
            self._commit(self.snapshot.copies, day, copies)
        self._commit(G, day, self._entries(changed, day, source.version(), Log(path).committed_at(source.version())))
        return Taken(self.origin.name, day, changed.height, int(changed[str(G.num_rows)].sum()))

    def expire(self) -> int:
        """Removes the copies that no kept day needs, and returns how many; in this order:

        1. the copies; 2. their names. A kill between them leaves names of copies that no kept day asks for, so that
        both can be done again.
        """
        kept = self.store.settings.gold_snapshot_days
        last = self.store.at_head(G).transaction_version(self._app_id)
        if kept == 0 or last is None:
            return 0
        oldest = date.fromordinal(last) - timedelta(days=kept - 1)
        following = pl.col(str(G.snapshot_date)).shift(-1).over(str(G.window_date), order_by=str(G.snapshot_date))
        superseded = self._taken().filter(following <= oldest).select(str(G.snapshot_date), str(G.window_date))
        if superseded.is_empty():
            return 0
        which = " OR ".join(
            f"({G.snapshot_date} = {DATAFUSION.date(copied)} AND {G.window_date} = {DATAFUSION.date(window)})"
            for copied, window in superseded.iter_rows()
        )
        properties = upkeep_commit("expiry of daily snapshots")
        self.store.at_head(self.snapshot.copies).delete(which, commit_properties=properties)
        names = f"{G.table_name} = '{self.origin.name}' AND ({which})"
        self.store.at_head(G).delete(names, commit_properties=properties)
        return superseded.height

    # -- how it is done -----------------------------------------------------------------------------------

    @property
    def _app_id(self) -> str:
        return f"daily snapshot of {self.origin.name}"

    def _version_at_end_of(self, day: date) -> int | None:
        midnight = datetime.combine(day + timedelta(days=1), time(), UTC)
        return Log(Path(self.store.path(self.origin))).version_before(midnight)

    def _taken(self) -> pl.DataFrame:
        """What ``gold.snapshots`` holds of this table."""
        return self.store.scan(G).filter(pl.col(str(G.table_name)) == self.origin.name).collect()

    def _changed(self, source: DeltaTable) -> pl.DataFrame:
        """Each ``window_date`` whose rows are not as they were last copied: its number of rows, 0 where it has gone,
        and its fingerprint.

        Only partitions with a file that was written since the last snapshot are looked into. Compaction writes files
        as well; their fingerprint tells that nothing has changed.
        """
        key, rows, print_ = str(G.window_date), str(G.num_rows), str(G.fingerprint)
        taken = self._taken()
        newest = taken.sort(str(G.snapshot_date)).unique(key, keep="last")
        since = taken[str(G.as_of)].max()
        after = int((since - SLACK).timestamp() * 1000) if isinstance(since, datetime) else 0
        now = (
            pl.DataFrame(pa.table(source.get_add_actions(flatten=True)))
            .group_by(pl.col(f"partition.{key}").alias(key))
            .agg(pl.col("num_records").sum(), pl.col("modification_time").max())
            .join(newest.select(key, rows), on=key, how="left")
        )
        unlike = pl.col("num_records").ne_missing(pl.col(rows))
        touched = now.filter(unlike | (pl.col("modification_time") >= after))[key].to_list()
        found = pl.DataFrame(
            _query(source, f"SELECT {key}, count(*) AS {rows}, {_fingerprint(self.origin)} AS {print_}", touched, key)
            if touched
            else empty(G).select([key, rows, print_])
        )
        gone = newest.filter((pl.col(rows) > 0) & ~pl.col(key).is_in(now[key].to_list())).select(
            key, pl.lit(0, pl.Int64).alias(rows), pl.lit("").alias(print_)
        )
        return pl.concat([found, gone]).join(newest.select(key, print_), on=[key, print_], how="anti").sort(key)

    def _entries(self, changed: pl.DataFrame, day: date, version: int | None, moment: datetime) -> pa.Table:
        entries = changed.with_columns(
            pl.lit(self.origin.name).alias(str(G.table_name)),
            pl.lit(day).alias(str(G.snapshot_date)),
            pl.lit(version, pl.Int64).alias(str(G.source_version)),
            pl.lit(moment).alias(str(G.as_of)),
        )
        return conform(entries.to_arrow(), G)

    def _commit(self, table: type[Table], day: date, rows: pa.Table | pa.RecordBatchReader) -> None:
        """Appends ``rows`` once for ``day``."""
        opened = self.store.at_head(table)
        done = opened.transaction_version(self._app_id)
        if done is None or done < day.toordinal():
            properties = upkeep_commit("daily snapshot", Transaction(self._app_id, day.toordinal()))
            write_deltalake(opened, rows, mode="append", commit_properties=properties)


def _query(source: DeltaTable, select: str, days: list[date], group_by: str | None = None) -> Any:
    """The rows of the given days of windows, as a stream of Arrow batches."""
    literals = ", ".join(DATAFUSION.date(day) for day in days)
    grouped = "" if group_by is None else f" GROUP BY {group_by}"
    return (
        QueryBuilder()
        .register("source", source)
        .execute(f"{select} FROM source WHERE {G.window_date} IN ({literals}){grouped}")
    )


def _fingerprint(table: type[Table]) -> str:
    """SQL that tells one state of a partition from the next: windows only ever add to their counts, and turn final."""
    sums = [f"sum({column})" for column in table.columns() if column.type == "long"]
    flags = [f"sum(CASE WHEN {column} THEN 1 ELSE 0 END)" for column in table.columns() if column.type == "boolean"]
    return f"concat_ws('/', {', '.join(f'CAST({each} AS VARCHAR)' for each in [*sums, *flags])})"


def _is_whole(source: DeltaTable, path: Path) -> bool:
    """Whether every file of this version is still there."""
    return all((path / name).exists() for name in pa.table(source.get_add_actions())["path"].to_pylist())
