"""Reading the Delta tables themselves, at any version that is kept: without an engine, few files, and bounded.

Imported lazily by the pages that need it: deltalake and its Arrow take some 30 MB of the dashboard's process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final, TypeVar

import polars as pl

from dashboard.ranges import Span
from lakehouse.contracts import (
    SNAPSHOTS,
    BronzeEvents,
    Column,
    FunnelSummary,
    FunnelWindows,
    SessionDays,
    SessionFunnel,
    SilverDuplicates,
    SilverEvents,
    SilverQuarantine,
    Table,
    UserDays,
)
from lakehouse.deltalog import commit_file
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.kept import NotHere, NotKept, data_files, file_path, not_here, open_table, reading
from lakehouse.scans import scan_files

T = TypeVar("T")
PATH: Final = "path"
ROWS: Final = "num_records"

TIMES: Final[Mapping[type[Table], Column]] = {
    BronzeEvents: BronzeEvents.kafka_timestamp,
    SilverEvents: SilverEvents.event_time,
    SilverDuplicates: SilverDuplicates.event_time,
    SilverQuarantine: SilverQuarantine.kafka_timestamp,
    FunnelSummary: FunnelSummary.window_start,
    FunnelWindows: FunnelWindows.window_start,
    UserDays: UserDays.date,
    SessionDays: SessionDays.date,
    SessionFunnel: SessionFunnel.hour,
    **{snapshot.copies: FunnelSummary.window_start for snapshot in SNAPSHOTS},
}
"""For each table what a range of time is of. One that has one row for each user has none; nor have cohorts, which are
few, and of which a day changes cells of many."""

DAYS: Final[Mapping[type[Table], Column]] = {
    SilverEvents: SilverEvents.event_date,
    FunnelSummary: FunnelSummary.window_date,
    FunnelWindows: FunnelWindows.window_date,
    UserDays: UserDays.date,
    SessionDays: SessionDays.date,
    SessionFunnel: SessionFunnel.date,
    **{snapshot.copies: FunnelSummary.window_date for snapshot in SNAPSHOTS},
}
"""The partition that holds the day (UTC) of that time."""

_CUT = timedelta(milliseconds=1)
"""A file's statistics cut times to milliseconds."""


class TooMuch(LakehouseError):
    """More rows than a page may read."""


@dataclass(frozen=True)
class TableAt:
    """A table at a version, by its files."""

    home: Home
    table: type[Table]
    version: int
    files: pl.DataFrame
    """A row for each file, as `lakehouse.kept.data_files` has them: ``PATH``, ``ROWS``, and more."""

    @property
    def rows(self) -> int:
        """Of the whole table, by the log's statistics."""
        return int(self.files[ROWS].sum() or 0)

    def within(self, span: Span | None) -> TableAt:
        """With the files only that may hold rows of ``span``."""
        time, day = TIMES.get(self.table), DAYS.get(self.table)
        if span is None or time is None or self.files.is_empty():
            return self
        kept = self.files
        if day is not None:
            kept = kept.filter(_of_days(span, f"partition.{day}"))
        if f"min.{time}" in kept.columns and time.type != "date":
            least, greatest = pl.col(f"min.{time}"), pl.col(f"max.{time}")
            kept = kept.filter(((least < span.end) & (greatest >= span.start - _CUT)).fill_null(value=True))
        return replace(self, files=kept)

    def split(self, span: Span | None) -> tuple[TableAt, TableAt]:
        """Of the files that may hold rows of ``span``: those that hold no other, and the rest."""
        within, time = self.within(span), TIMES.get(self.table)
        if span is None or time is None or time.type == "date" or within.files.is_empty():
            return within, replace(within, files=within.files.clear())  # a partition is of one day
        if f"min.{time}" not in within.files.columns:
            return replace(within, files=within.files.clear()), within
        least, greatest = pl.col(f"min.{time}"), pl.col(f"max.{time}")
        inside = ((least >= span.start) & (greatest + _CUT <= span.end)).fill_null(value=False)
        return replace(within, files=within.files.filter(inside)), replace(within, files=within.files.filter(~inside))

    def apart_from(self, other: TableAt) -> TableAt:
        """With the files only that ``other`` has not: a file that both have holds the same rows in both."""
        return replace(self, files=self.files.join(other.files, on=PATH, how="anti"))

    def paths(self) -> list[Path]:
        """Where its files lie."""
        folder = self.home.table(self.table.name)
        return [file_path(folder, path) for path in self.files[PATH].sort()]

    def scan(self, span: Span | None = None, path_column: str | None = None) -> pl.LazyFrame:
        """The rows, those of ``span`` only where one is given; with ``path_column``, the path of each row's file."""
        files = [str(path) for path in self.within(span).paths()]
        return scan_files(self.table, files, path_column).filter(*_inside(span, self.table))

    def parts(self, columns: Sequence[str], count: int, span: Span | None = None) -> Iterator[pl.LazyFrame]:
        """The rows of `scan` in so many parts of about one size, all that are alike in ``columns`` in one of them: the
        same one in another table of those columns."""
        rows, part = self.scan(span), pl.struct(columns).hash(seed=0) % count
        yield from (rows.filter(part == number) for number in range(count)) if count > 1 else (rows,)

    def reading(self) -> AbstractContextManager[None]:
        """What is scanned of it is collected within this. Raises NotKept where a file was removed meanwhile."""
        return reading(self.home, self.table, self.version, self.paths)


def parts_for(rows: int, most_rows: int) -> int:
    """In how many parts rows are read, so that about ``most_rows`` at most are in memory at a time."""
    return max(1, -(-rows // most_rows))


def table_folder(home: Home, table: type[Table]) -> Path:
    """Where the table lies. Raises NotHere."""
    folder = home.table(table.name)
    if not home.tables.is_dir():
        raise NotHere(
            f"the tables are not on this machine: there is no folder {home.tables}. Run the dashboard where the stack "
            "runs, or name its home by LAKEHOUSE_HOME"
        )
    if not (folder / "_delta_log").is_dir():
        raise not_here(home, table)
    return folder


def table_at(home: Home, table: type[Table], version: int | None = None) -> TableAt:
    """The table at ``version``, by default the newest. Raises NotHere, NotKept."""
    table_folder(home, table)
    opened = open_table(home, table, version)
    return TableAt(home, table, int(opened.version()), data_files(opened))


def of_newest(home: Home, table: type[Table], read: Callable[[TableAt], T]) -> T:
    """``read`` of the newest version; once more, of what is the newest by then, where upkeep removed a file meanwhile.

    Raises NotHere, NotKept.
    """
    at = table_at(home, table)
    try:
        with at.reading():
            return read(at)
    except NotKept:
        at = table_at(home, table)
        with at.reading():
            return read(at)


def head(folder: Path, at_least: int) -> int:
    """The newest version, of which ``at_least`` is known to be there: by the names of the log's files."""
    version = at_least
    while commit_file(folder, version + 1).exists():
        version += 1
    return version


def _inside(span: Span | None, table: type[Table]) -> list[pl.Expr]:
    """Conditions on the rows: none for a table that is not about moments."""
    time = TIMES.get(table)
    if span is None or time is None:
        return []
    if time.type == "date":
        return [_of_days(span, str(time))]
    return [pl.col(time) >= span.start, pl.col(time) < span.end]


def _of_days(span: Span, column: str) -> pl.Expr:
    return pl.col(column).is_between(span.start.date(), span.last_day)


def as_text(value: bytes | None, most: int) -> str | None:
    """The beginning of bytes as text; what is no UTF-8 is escaped, as ``\\xff``."""
    return None if value is None else value[: 4 * most].decode(errors="backslashreplace")[:most]
