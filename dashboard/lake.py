"""Reading the Delta tables themselves, at any version that is kept: without an engine, few files, and bounded.

Imported lazily by the pages that need it: deltalake and its Arrow take some 30 MB of the dashboard's process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Final
from urllib.parse import unquote

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from dashboard.ranges import Span
from dashboard.words import moment
from lakehouse.contracts import (
    SNAPSHOTS,
    BronzeEvents,
    Column,
    FunnelSummary,
    FunnelWindows,
    SilverDuplicates,
    SilverEvents,
    SilverQuarantine,
    Table,
    UserDays,
)
from lakehouse.deltalog import commit_file
from lakehouse.errors import LakehouseError
from lakehouse.home import Home
from lakehouse.maintenance.log import Log
from lakehouse.scans import scan_files

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
    **{snapshot.copies: FunnelSummary.window_start for snapshot in SNAPSHOTS},
}
"""For each table what a range of time is of; one that has one row for each user has none."""

DAYS: Final[Mapping[type[Table], Column]] = {
    SilverEvents: SilverEvents.event_date,
    FunnelSummary: FunnelSummary.window_date,
    FunnelWindows: FunnelWindows.window_date,
    UserDays: UserDays.date,
    **{snapshot.copies: FunnelSummary.window_date for snapshot in SNAPSHOTS},
}
"""The partition that holds the day (UTC) of that time."""

_CUT = timedelta(milliseconds=1)
"""A file's statistics cut times to milliseconds."""


class NotHere(LakehouseError):
    """The tables, or one of them, are not under this home."""


class NotKept(LakehouseError):
    """The table does not go back so far, or not any more."""


class TooMuch(LakehouseError):
    """More rows than a page may read."""


@dataclass(frozen=True)
class TableAt:
    """A table at a version, by its files."""

    table: type[Table]
    folder: Path
    version: int
    files: pl.DataFrame
    """A row for each file: ``PATH``, ``ROWS``, ``partition.COLUMN``, and ``min.COLUMN`` and ``max.COLUMN`` as far as
    the log has them."""

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

    def apart_from(self, other: TableAt) -> TableAt:
        """With the files only that ``other`` has not: a file that both have holds the same rows in both."""
        return replace(self, files=self.files.join(other.files, on=PATH, how="anti"))

    def paths(self) -> list[Path]:
        """Where its files lie."""
        return [self.folder / unquote(path) for path in self.files[PATH].sort()]

    def scan(self, span: Span | None = None) -> pl.LazyFrame:
        """The rows, those of ``span`` only where one is given."""
        return scan_files(self.table, [str(path) for path in self.within(span).paths()]).filter(
            *_inside(span, self.table)
        )


def table_folder(home: Home, table: type[Table]) -> Path:
    """Where the table lies. Raises NotHere."""
    folder = home.table(table.name)
    if not home.tables.is_dir():
        raise NotHere(
            f"the tables are not on this machine: there is no folder {home.tables}. Run the dashboard where the stack "
            "runs, or name its home by LAKEHOUSE_HOME"
        )
    if not (folder / "_delta_log").is_dir():
        raise NotHere(f"{table.name} is not under {home.root} yet; start `lakehouse up`, and let events come")
    return folder


def table_at(home: Home, table: type[Table], version: int | None = None) -> TableAt:
    """The table at ``version``, by default the newest. Raises NotHere, NotKept."""
    folder = table_folder(home, table)
    try:
        opened = DeltaTable(str(folder), version=version)
        files = pl.DataFrame(pa.table(opened.get_add_actions(flatten=True)))
    except TableNotFoundError:
        raise NotHere(f"{table.name} is not under {home.root} yet; start `lakehouse up`, and let events come") from None
    except (DeltaError, OSError) as error:
        raise gone(folder, table, version, error) from None
    return TableAt(table, folder, int(opened.version()), files)


def gone(folder: Path, table: type[Table], version: int | None, error: Exception | None = None) -> NotKept:
    """What to say of a version that cannot be read."""
    asked = "the newest version" if version is None else f"version {version}"
    why = "" if error is None else f" ({' '.join(str(error).split())[:160]})"
    return NotKept(f"{table.name}: {asked} is not kept any more, or not there; {kept(folder)}{why}")


def kept(folder: Path) -> str:
    """Which versions can be read, in words."""
    log = Log(folder)
    try:
        oldest, newest = log.oldest(), log.commits()[-1]
        first, last = log.committed_at(oldest), log.committed_at(newest)
    except (OSError, IndexError):
        return "none is"
    return f"those from {oldest} ({moment(first)}) to {newest} ({moment(last)} UTC) are"


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
