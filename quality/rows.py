"""Reading what is judged: exactly the rows that a range of versions brought, or a table at a version; without a JVM.

Reading needs no writer, and disturbs none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from lakehouse.commits import Commit
from lakehouse.contracts import Table
from lakehouse.deltalog import Version, accounts, latest_alike, read_version
from lakehouse.dialects import cover
from lakehouse.errors import LakehouseError
from lakehouse.frames import empty, to_arrow
from lakehouse.home import Home
from lakehouse.kept import data_files, file_path, not_kept, open_table, reading
from lakehouse.maintenance.log import Log
from lakehouse.scans import scan_files

CHANGE_FEED = "delta.enableChangeDataFeed"
_COMMIT, _CHANGE = "_commit_version", "_change_type"


@dataclass(frozen=True)
class TableReader:
    """A Delta table under a home, read by this process. For one run: what it has read of a log it does not read again,
    so that all that is asked of the newest version is asked of one."""

    home: Home
    table: type[Table]
    _statistics: dict[int | None, pl.DataFrame] = field(default_factory=dict, repr=False, compare=False)

    @cached_property
    def path(self) -> Path:
        return self.home.table(self.table.name)

    @property
    def log(self) -> Log:
        return Log(self.path)

    def version(self) -> int:
        """The newest version. Raises LakehouseError where there is no such table."""
        return int(self._at(None).version())

    def _at(self, version: int | None) -> DeltaTable:
        return open_table(self.home, self.table, version)

    # -- versions -----------------------------------------------------------------------------------------

    def versions(self, first: int, last: int) -> list[Version]:
        """What the versions from ``first`` to ``last``, both included, did. Raises LakehouseError where one of them is
        not kept."""
        found = []
        for number in range(first, last + 1):
            try:
                found.append(read_version(self.path, number))
            except LakehouseError:
                raise not_kept(self.home, self.table, number) from None
        return found

    def account(self, version: int) -> Commit | None:
        """What the newest commit up to ``version`` that moved events says of itself; None where none does."""
        return next((account for account in accounts(self.path, version) if account.marker is None), None)

    def committed_at(self, version: int) -> datetime | None:
        """When ``version`` was committed, in UTC; None where it is not kept."""
        try:
            return self.log.committed_at(version)
        except FileNotFoundError:
            return None

    def alike(self, version: int) -> int:
        """The newest version that holds the rows of ``version``: past compactions, so that it can still be read."""
        return latest_alike(self.path, version, self.version())

    # -- rows ---------------------------------------------------------------------------------------------

    def new_rows(self, first: int, last: int, columns: Sequence[str]) -> pa.Table:
        """``columns`` of the rows that the versions from ``first`` to ``last``, both included, brought.

        Of a table with a change feed: the newest state of each key that they brought or changed and did not remove. Of
        one without: what was appended; a version that changes rows or takes some back brings none.

        Raises LakehouseError where a version or its files are not kept any more.
        """
        versions, names = self.versions(first, last), self._there(columns)
        if CHANGE_FEED not in self.table.table_properties or all(each.only_appends for each in versions):
            files = [str(file) for each in versions if each.only_appends for file in each.files]
            return self._read(files, names, first)
        try:
            return self._changed(first, last, names)
        except (OSError, DeltaError) as error:
            raise not_kept(self.home, self.table, first, error) from None

    def _read(self, files: list[str], names: list[str], version: int) -> pa.Table:
        with reading(self.home, self.table, version, lambda: [Path(file) for file in files]):
            return to_arrow(self._scan(files).select(names).collect())

    def _changed(self, first: int, last: int, names: list[str]) -> pa.Table:
        key = [str(column) for column in self.table.key]
        # All columns: it takes no names that are words of SQL, as offset is.
        feed = pl.DataFrame(pa.table(self._at(None).load_cdf(starting_version=first, ending_version=last)))
        kind = pl.col(_CHANGE)
        newest = (
            feed.filter(kind != "update_preimage")
            .sort(pl.col(_COMMIT), kind != "delete", maintain_order=True)
            .group_by(key, maintain_order=True)
            .last()
        )
        rows = newest.filter(kind != "delete").select(names)
        return to_arrow(rows.cast({name: kind for name, kind in self._schema.items() if name in names}))

    def parts(self, version: int, columns: Sequence[str], most_rows: int) -> Iterator[pa.Table]:
        """``columns`` of all rows at ``version``, in parts of about ``most_rows`` and at least a file; one at least.

        Files of a partition stay together where they can, so that a part is of a few days.
        """
        names = self._there(columns)
        files: list[str] = []
        rows = 0
        for file, number in self._files(version):
            if files and rows + number > most_rows:
                yield self._read(files, names, version)
                files, rows = [], 0
            files.append(file)
            rows += number
        yield self._read(files, names, version)

    def scan(self, version: int | None = None) -> pl.LazyFrame:
        """The table at ``version``, by default the newest."""
        return self._scan([file for file, _ in self._files(version)])

    def count(self, version: int | None = None) -> int:
        """Number of rows, from the statistics in the log."""
        return sum(rows for _, rows in self._files(version))

    def statistics(self, version: int | None = None) -> pl.DataFrame:
        """What the log says of each file: path, rows, and the least and greatest values of its columns."""
        if version not in self._statistics:
            self._statistics[version] = data_files(self._at(version))
        return self._statistics[version]

    def file(self, path: str) -> str:
        """Where a file of `statistics` lies."""
        return str(file_path(self.path, path))

    def scan_some(self, files: Sequence[str]) -> pl.LazyFrame:
        """The rows of these files of the table."""
        return self._scan(list(files))

    def _files(self, version: int | None) -> list[tuple[str, int]]:
        """Each file and its rows, by partition."""
        at = self.statistics(version).sort("path")
        return [(self.file(path), rows) for path, rows in at.select("path", "num_records").iter_rows()]

    def _scan(self, files: list[str]) -> pl.LazyFrame:
        return scan_files(self.table, files)

    @cached_property
    def _schema(self) -> pl.Schema:
        return pl.DataFrame(empty(self.table)).schema

    def _there(self, columns: Sequence[str]) -> list[str]:
        return [str(column) for column in columns if str(column) in self._schema]

    # -- rows compared with the table ---------------------------------------------------------------------

    def near(self, rows: pl.DataFrame, columns: Mapping[str, str], version: int | None = None) -> pl.LazyFrame:
        """The rows of the table whose values lie near those of ``rows``, so that few files are read.

        ``columns``: for each column of the table to go by, the column of ``rows``; times, days and numbers are bounds.
        """
        ranges = {
            name: found for name, other in columns.items() if (found := _ranges(rows.get_column(other))) is not None
        }
        files = self.statistics(version)
        for name, bounds in ranges.items():
            if f"min.{name}" in files.columns:
                files = files.filter(_overlaps(name, bounds).fill_null(value=True))
            elif f"partition.{name}" in files.columns:
                files = files.filter(_within(f"partition.{name}", bounds))
        rows_near = self._scan([self.file(path) for path in files["path"].sort()])
        return rows_near.filter(*(_within(name, bounds) for name, bounds in ranges.items())) if ranges else rows_near

    def repeated(self, rows: pl.DataFrame, version: int) -> pl.DataFrame:
        """Of the keys of ``rows`` those that the table has more than once at ``version``: the key, and ``copies``."""
        key = [str(column) for column in self.table.key]
        keys = rows.select(key).unique()
        near = self.near(keys, {name: name for name in key}, version).select(key)
        return _more_than_once(near.join(keys.lazy(), on=key, how="semi"), key)

    def repeated_anywhere(self, version: int, most_rows: int) -> pl.DataFrame:
        """All keys that the table has more than once at ``version``, an example each: the key, and ``copies``.

        In buckets of about ``most_rows`` rows, by a hash of the key: two rows of one key are in one bucket, wherever in
        the table they are, so that it is right however large the table is, and memory is bounded.
        """
        key = [str(column) for column in self.table.key]
        buckets = max(1, -(-self.count(version) // most_rows))
        bucket = pl.struct(key).hash(seed=0) % buckets
        every = self.scan(version).select(key)
        found = [_more_than_once(every.filter(bucket == number), key) for number in range(buckets)]
        return pl.concat(found)


Ranges = Sequence[tuple[Any, Any]]


def _ranges(values: pl.Series) -> Ranges | None:
    """A few closed ranges that hold all ``values``; None where they are texts."""
    values = values.drop_nulls()
    if values.dtype == pl.String:
        return None
    if isinstance(values.dtype, pl.Datetime):
        return cover([(moment, moment) for moment in values.unique().to_list()])
    return [(values.min(), values.max())] if len(values) else []


def _within(name: str, ranges: Ranges) -> pl.Expr:
    if not ranges:
        return pl.lit(value=False)
    return pl.any_horizontal(*(pl.col(name).is_between(first, last) for first, last in ranges))


def _overlaps(name: str, ranges: Ranges) -> pl.Expr:
    """Whether a file may hold such rows, by its statistics: these cut times to milliseconds."""
    if not ranges:
        return pl.lit(value=False)
    cut = timedelta(milliseconds=1) if isinstance(ranges[0][0], datetime) else None
    return pl.any_horizontal(
        *(
            (pl.col(f"min.{name}") <= last) & (pl.col(f"max.{name}") >= (first if cut is None else first - cut))
            for first, last in ranges
        )
    )


def _more_than_once(keys: pl.LazyFrame, key: list[str]) -> pl.DataFrame:
    counted = keys.group_by(key).agg(pl.len().cast(pl.Int64).alias("copies"))
    return counted.filter(pl.col("copies") > 1).head(1_000).collect(engine="streaming")
