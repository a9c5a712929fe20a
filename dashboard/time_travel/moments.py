"""Which state of a table is meant: a version, a moment, or the end of a day; and where it is read from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Final, TypeAlias

import polars as pl

from dashboard.lake import TableAt, of_newest, table_at, table_folder
from dashboard.words import moment
from lakehouse.contracts import SNAPSHOTS, GoldSnapshots, Snapshot, Table
from lakehouse.home import Home
from lakehouse.kept import NotHere, NotKept, kept, not_kept
from lakehouse.maintenance.log import Log

_G = GoldSnapshots
_INSTANT: Final = timedelta(microseconds=1)
EARLIER: Final = timedelta(hours=1)
"""What is offered to look back to, before the newest commit."""


@dataclass(frozen=True)
class AtVersion:
    """As a commit left it."""

    version: int


@dataclass(frozen=True)
class AtMoment:
    """As it was then: by the newest commit that was not after it."""

    moment: datetime


@dataclass(frozen=True)
class AtEndOf:
    """As it was at the end of a day (UTC), by gold's daily snapshots: further back than versions are kept."""

    day: date


When: TypeAlias = AtVersion | AtMoment | AtEndOf


@dataclass(frozen=True)
class Then:
    """The state that was asked for."""

    when: When
    version: int
    """Of the table, or for a day of its copies."""
    said: str
    """What it is, in words."""
    is_newest: bool = False


def snapshot_of(table: type[Table]) -> Snapshot | None:
    """The daily snapshots that are taken of it, if any."""
    return next((snapshot for snapshot in SNAPSHOTS if snapshot.source is table), None)


def suggested(home: Home, table: type[Table]) -> datetime:
    """A moment worth looking back to, in whole minutes: an hour before the newest commit, or the first that is kept."""
    try:
        log = Log(table_folder(home, table))
        newest = log.committed_at(log.commits()[-1])
        first = log.committed_at(log.oldest())
    except (NotHere, OSError, IndexError):
        return datetime.now(UTC).replace(second=0, microsecond=0) - EARLIER
    found = max(newest - EARLIER, first)
    whole = found.replace(second=0, microsecond=0)
    return whole if whole >= first else whole + timedelta(minutes=1)


def resolve(home: Home, table: type[Table], when: When, keep_days: int) -> Then:
    """Raises NotHere, NotKept."""
    if isinstance(when, AtEndOf):
        return _end_of(home, table, when, keep_days)
    try:
        return _committed(home, table, when)
    except FileNotFoundError:  # the log was cleaned up while it was looked at
        raise not_kept(home, table, when.version if isinstance(when, AtVersion) else None) from None


def _committed(home: Home, table: type[Table], when: AtVersion | AtMoment) -> Then:
    log = Log(table_folder(home, table))
    commits = log.commits()
    if not commits:
        raise not_kept(home, table, None)
    if isinstance(when, AtVersion):
        version: int | None = when.version
        if when.version not in commits or when.version < log.oldest():
            raise not_kept(home, table, when.version)
    else:
        version = log.version_before(when.moment + _INSTANT)
        if version is None or version < log.oldest():
            raise NotKept(
                f"{table.name}: {moment(when.moment)} UTC is before what is kept of it; of its versions "
                f"{kept(home, table)}"
            )
    found = int(version or 0)
    return Then(
        when, found, f"version {found:,}, committed at {moment(log.committed_at(found))} UTC", found == commits[-1]
    )


def read_then(home: Home, table: type[Table], then: Then) -> TableAt:
    """The state by its files. Raises NotHere, NotKept."""
    if isinstance(then.when, AtEndOf):
        return _copies(home, table, then.when.day, then.version)
    return table_at(home, table, then.version)


def _end_of(home: Home, table: type[Table], when: AtEndOf, keep_days: int) -> Then:
    names = _names(home, table)
    days = _days(names, keep_days)
    if days is None:
        raise NotKept(
            f"{table.name}: no daily snapshot was taken yet; the first is taken after midnight (UTC), "
            "where LAKEHOUSE_GOLD_SNAPSHOT_DAYS is not 0"
        )
    first, last = days
    if when.day < first or when.day > datetime.now(UTC).date() - timedelta(days=1):
        raise NotKept(f"{table.name}: the end of {when.day} is not kept; snapshots are there from {first} to {last}")
    copies = table_at(home, _snapshot(table).copies)
    of_day = names.filter(pl.col(_G.snapshot_date) <= when.day)
    as_of = of_day[_G.as_of].max()
    told = f", last changed at {moment(as_of)} UTC" if isinstance(as_of, datetime) else ""
    return Then(when, copies.version, f"the end of {when.day}{told}")


def _names(home: Home, table: type[Table]) -> pl.DataFrame:
    """Of each day of windows its copies, by the day at whose end they were taken."""
    of_table = pl.col(_G.table_name) == table.name
    return of_newest(home, _G, lambda at: at.scan().filter(of_table).collect())


def _days(names: pl.DataFrame, keep_days: int) -> tuple[date, date] | None:
    """The first and the last day that are kept; None where none was taken."""
    first, last = names[_G.snapshot_date].min(), names[_G.snapshot_date].max()
    if not isinstance(first, date) or not isinstance(last, date):
        return None
    return (max(first, last - timedelta(days=keep_days - 1)) if keep_days else first), last


def _copies(home: Home, table: type[Table], day: date, version: int) -> TableAt:
    """For each day of windows its newest copy up to ``day``, as `lakehouse.maintenance.history.daily_view` has it."""
    newest = (
        _names(home, table)
        .filter(pl.col(_G.snapshot_date) <= day)
        .sort(_G.snapshot_date)
        .unique(_G.window_date, keep="last")
        .select(
            pl.col(_G.snapshot_date).alias("partition.snapshot_date"),
            pl.col(_G.window_date).alias("partition.window_date"),
        )
    )
    at = table_at(home, _snapshot(table).copies, version)
    if at.files.is_empty():
        return at
    return replace(at, files=at.files.join(newest, on=newest.columns, how="semi"))


def _snapshot(table: type[Table]) -> Snapshot:
    found = snapshot_of(table)
    if found is None:
        raise NotKept(f"{table.name}: no daily snapshots are taken of it; name a version or a moment")
    return found
