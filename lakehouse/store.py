"""Reading and writing the Delta tables: one function for each kind of commit, whichever engine makes it.

Small results are committed by delta-rs, in the writer's own process: an append takes 27 ms and a merge 70 to 170 ms,
where Spark takes 0.3 to 0.8 s and 1.5 to 3.3 s. Large ones, and all on a cluster, are committed by Spark. Both record
the same transaction ids, so that a batch that one has committed is skipped by the other.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from delta.tables import DeltaTable as SparkDeltaTable
from deltalake import CommitProperties, DeltaTable, Schema, Transaction, WriterProperties, write_deltalake
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from lakehouse.commits import KEY, Commit, upkeep
from lakehouse.contracts import TABLES, Table
from lakehouse.deltalog import Version, accounts, commit_file, latest_alike, read_version
from lakehouse.dialects import DATAFUSION, SPARK, Dialect
from lakehouse.frames import Frame, conform, stacked, to_arrow
from lakehouse.home import Home
from lakehouse.scans import scan_files
from lakehouse.settings import Settings
from lakehouse.spark import is_local

WRITER = WriterProperties(max_row_group_size=20_000)
"""Row groups are what Spark's tasks share among them, and what a reader skips: in one of a million rows a batch would
be parsed by one core only, and read whole for each late event."""

CHECKPOINT_INTERVAL = 50
"""Versions from one checkpoint of a table to the next."""

KEPT_BYTES = 96 * 2**20
"""The newest append to a table is kept in memory up to this size: whoever follows the table takes it from there."""


@dataclass(frozen=True)
class Merge:
    """How rows ``s`` are merged into the table ``t``: update what matches, insert the rest.

    ``bounds`` narrows the target by literals, so that files are skipped; ``update`` has an expression for each column.
    Rows that match and of which ``removes`` is true are removed instead.
    """

    keys: Sequence[str]
    bounds: Callable[[Dialect], str]
    update: Callable[[Dialect], Mapping[str, str]]
    removes: str | None = None


def all_rows(_: Dialect) -> str:
    """The condition that leaves none out."""
    return "true"


@dataclass(frozen=True)
class TableStore:
    """The tables under a home. One process writes them; the home's lock sees to that."""

    home: Home
    settings: Settings
    spark: SparkSession
    _open: dict[str, tuple[int, DeltaTable]] = field(default_factory=dict, repr=False)
    """Of each table: the version at which it was opened, and what has been committed to since."""
    _kept: dict[str, tuple[tuple[Path, ...], pa.Table]] = field(default_factory=dict, repr=False)
    """Of each table that was appended to: the files that the newest append made, and its rows."""
    _guard: threading.RLock = field(default_factory=threading.RLock, repr=False)

    # -- what is there ------------------------------------------------------------------------------------

    def create_all(self, tables: Sequence[type[Table]] = TABLES) -> None:
        """Makes each of ``tables`` that is not there yet, and gives each the properties of the settings."""
        seconds = int(self.settings.time_travel_hours * 3600)
        for table in tables:
            properties = {
                "delta.checkpointInterval": str(CHECKPOINT_INTERVAL),
                "delta.logRetentionDuration": f"interval {seconds} seconds",
                "delta.deletedFileRetentionDuration": f"interval {seconds} seconds",
                # With a checkpoint, either engine would remove commits whether or not a reader has taken them.
                "delta.enableExpiredLogCleanup": "false",
                **table.table_properties,
            }
            created = DeltaTable.create(
                self.path(table),
                Schema.from_json(table.schema_json()),
                mode="ignore",
                partition_by=[str(column) for column in table.partition_by],
                description=table.comment,
                configuration=properties,
            )
            found = created.metadata().configuration
            changed = {name: value for name, value in properties.items() if found.get(name) != value}
            if changed:
                created.alter.set_table_properties(
                    changed, commit_properties=CommitProperties(custom_metadata={KEY: upkeep("settings")})
                )

    def path(self, table: type[Table]) -> str:
        return str(self.home.table(table.name))

    def at_head(self, table: type[Table]) -> DeltaTable:
        """The table at its newest version, as delta-rs sees it."""
        with self._guard:
            since, opened = self._open.get(table.name, (0, None))
            if opened is None or int(opened.version()) // CHECKPOINT_INTERVAL > since // CHECKPOINT_INTERVAL:
                # Anew after each checkpoint: delta-rs goes over all that was committed through an open table again
                # and again, and an append took 16 ms more of the processor with each 100 of them, without end.
                opened = DeltaTable(self.path(table))
                self._open[table.name] = (int(opened.version()), opened)
            elif not self._is_head(table, int(opened.version())):
                # Asked for nothing it would list the log: 6 ms with 200 commits in it, at every look for work.
                opened.update_incremental()
            return opened

    def _is_head(self, table: type[Table], version: int) -> bool:
        """The newest commit is never cleaned up, so that where it is there and the next one is not, none came."""
        path = Path(self.path(table))
        return commit_file(path, version).exists() and not commit_file(path, version + 1).exists()

    def version(self, table: type[Table]) -> int:
        return int(self.at_head(table).version())

    def rows(self, table: type[Table], version: int | None = None) -> int:
        """Number of rows, from the statistics in the log."""
        at = self.at_head(table) if version is None else DeltaTable(self.path(table), version=version)
        actions = pa.table(at.get_add_actions(flatten=True))
        return int(pc.sum(actions["num_records"]).as_py() or 0)

    def last_commit(self, table: type[Table]) -> Commit | None:
        """The newest commit's account of itself, past those made by someone else; None for a new table."""
        return next(accounts(Path(self.path(table)), self.version(table)), None)

    def read(
        self, table: type[Table], where: Callable[[Dialect], str] | None = None, version: int | None = None
    ) -> DataFrame:
        """The table as Spark sees it, by default at its newest version; ``where`` is a condition in literals."""
        reader = self.spark.read.format("delta")
        rows = (reader if version is None else reader.option("versionAsOf", version)).load(self.path(table))
        return rows if where is None else rows.where(where(SPARK))

    def scan(self, table: type[Table], version: int | None = None) -> pl.LazyFrame:
        """The table at its newest version, or at ``version``, read in this process: for what a small batch needs.

        Spark takes 0.5 s and more to plan the same read of 180 files, which takes 20 ms here.
        """
        # Not by scan_delta: it takes the table's address for a path, so that a home with a blank in it is not found.
        at = self.at_head(table) if version is None else DeltaTable(self.path(table), version=version)
        root = urlsplit(at.table_uri).path
        return scan_files(table, [f"{self.path(table)}/{uri.removeprefix(root)}" for uri in at.file_uris()])

    def versions(self, table: type[Table], first: int, last: int) -> list[Version]:
        """What the versions from ``first`` to ``last``, both included, did."""
        return [read_version(Path(self.path(table)), number) for number in range(first, last + 1)]

    def latest_alike(self, table: type[Table], version: int, last: int) -> int:
        """See `lakehouse.deltalog.latest_alike`."""
        return latest_alike(Path(self.path(table)), version, last)

    def inserted(self, table: type[Table], first: int, last: int, columns: Sequence[str]) -> Frame:
        """``columns`` of the rows that the versions from ``first`` to ``last``, both included, brought.

        In this process where delta-rs commits so many: Spark takes 0.5 s to plan and start what takes 20 ms here.
        """
        versions = self.versions(table, first, last)
        names = [str(column) for column in columns]
        if not self.delta_rs_commits(sum(version.rows for version in versions)):
            return self._feed_by_spark(table, first, last).where("_change_type = 'insert'").select(*names)
        if (appended := self._appended(table, versions, names)) is not None:
            return appended
        feed = pl.DataFrame(self.feed(table, first, last))
        return to_arrow(feed.filter(pl.col("_change_type") == "insert").select(names))

    def appended(self, table: type[Table], first: int, last: int) -> pa.Table | None:
        """The rows that the versions from ``first`` to ``last`` brought; None where one of them did more than append.

        May be called in any thread.
        """
        return self._appended(table, self.versions(table, first, last), [str(column) for column in table.columns()])

    def _appended(self, table: type[Table], versions: Sequence[Version], names: Sequence[str]) -> pa.Table | None:
        if not all(version.only_appends for version in versions):
            return None
        in_memory, kept = self._kept.get(table.name, ((), None))
        parts = []
        if kept is not None and versions and versions[-1].files == in_memory:
            versions, parts = versions[:-1], [kept.select(names)]
        files = [str(file) for version in versions for file in version.files]
        if files or not parts:
            parts.insert(0, to_arrow(scan_files(table, files).select(names).collect()))
        return stacked(parts) if len(parts) > 1 else parts[0]

    def changed(self, table: type[Table], first: int, last: int, columns: Sequence[str]) -> Frame:
        """``columns``, each combination once, of the rows that the versions from ``first`` to ``last``, both included,
        brought, changed or removed."""
        names = [str(column) for column in columns]
        if not self.delta_rs_commits(sum(version.rows for version in self.versions(table, first, last))):
            return self._feed_by_spark(table, first, last).select(*names).distinct()
        return to_arrow(pl.DataFrame(self.feed(table, first, last, names)).select(names).unique())

    def of(
        self,
        table: type[Table],
        keys: Frame,
        where: Callable[[Dialect], str] = all_rows,
        version: int | None = None,
    ) -> Frame:
        """The rows of ``table`` that agree with a row of ``keys`` in all its columns; at its newest version by default.

        ``where`` narrows them by literals, so that files are skipped.
        """
        if isinstance(keys, pa.Table):
            rows = self.scan(table, version).filter(pl.sql_expr(where(DATAFUSION)))
            return to_arrow(rows.join(pl.DataFrame(keys).lazy(), on=keys.column_names, how="semi").collect())
        return self.read(table, where, version).join(keys, on=keys.columns, how="left_semi")

    def changes(self, table: type[Table], first: int, last: int) -> Frame:
        """The change feed of the versions from ``first`` to ``last``, both included: by whom as `inserted`."""
        if self.delta_rs_commits(sum(version.rows for version in self.versions(table, first, last))):
            return self.feed(table, first, last)
        return self._feed_by_spark(table, first, last)

    def _feed_by_spark(self, table: type[Table], first: int, last: int) -> DataFrame:
        return (
            self.spark.read.format("delta")
            .option("readChangeFeed", "true")
            .option("startingVersion", first)
            .option("endingVersion", last)
            .load(self.path(table))
        )

    def feed(self, table: type[Table], first: int, last: int, columns: list[str] | None = None) -> pa.Table:
        """The change feed of the versions from ``first`` to ``last``, both included, read in this process."""
        return pa.table(self.at_head(table).load_cdf(starting_version=first, ending_version=last, columns=columns))

    # -- committing ---------------------------------------------------------------------------------------

    def delta_rs_commits(self, rows: int) -> bool:
        engine = self.settings.commit_engine
        if engine == "auto":
            return is_local(self.settings) and rows <= self.settings.delta_rs_max_rows
        return engine == "delta-rs"

    @contextmanager
    def gathered(self, frame: Frame, rows: int) -> Iterator[Frame]:
        """``frame`` computed once, in the form that its committer takes."""
        if isinstance(frame, pa.Table):
            yield frame
            return
        if self.delta_rs_commits(rows):
            yield frame.toArrow()
            return
        frame = frame.persist()
        try:
            yield frame
        finally:
            frame.unpersist()

    def committable(self, rows: pa.Table) -> Frame:
        """``rows`` in the form that their committer takes."""
        return rows if self.delta_rs_commits(rows.num_rows) else self.spark.createDataFrame(rows)

    def is_committed(self, table: type[Table], commit: Commit) -> bool:
        done = self.at_head(table).transaction_version(commit.app_id)
        return done is not None and done >= commit.batch_id

    def append(self, table: type[Table], rows: Frame, commit: Commit) -> None:
        """Appends ``rows`` once: a batch that was committed before is left as it is."""
        if self.is_committed(table, commit):
            return
        if isinstance(rows, pa.Table):
            conformed = conform(rows, table)
            self._kept.pop(table.name, None)
            write_deltalake(
                self.at_head(table),
                conformed,
                mode="append",
                commit_properties=properties(commit),
                writer_properties=WRITER,
            )
            if conformed.nbytes <= KEPT_BYTES:
                made = self.version(table)
                self._kept[table.name] = (read_version(Path(self.path(table)), made).files, conformed)
            return
        (
            rows.select(*table.columns())
            .write.format("delta")
            .mode("append")
            .option("txnAppId", commit.app_id)
            .option("txnVersion", commit.batch_id)
            .option(KEY, commit.to_json())
            .save(self.path(table))
        )

    def merge(self, table: type[Table], rows: Frame, merge: Merge, commit: Commit) -> None:
        """Merges ``rows`` once: a batch that was committed before is left as it is."""
        if self.is_committed(table, commit):
            return
        matches = " AND ".join(f"t.{key} = s.{key}" for key in merge.keys)
        if isinstance(rows, pa.Table):
            merger = self.at_head(table).merge(
                conform(rows, table),
                f"{matches} AND ({merge.bounds(DATAFUSION)})",
                source_alias="s",
                target_alias="t",
                commit_properties=properties(commit),
                writer_properties=WRITER,
            )
            if merge.removes:
                merger = merger.when_matched_delete(merge.removes)
            (
                merger.when_matched_update(dict(merge.update(DATAFUSION)))
                .when_not_matched_insert({str(column): f"s.{column}" for column in table.columns()})
                .execute()
            )
            return
        with _spark_transaction(self.spark, commit):
            target = SparkDeltaTable.forPath(self.spark, self.path(table)).alias("t")
            builder = target.merge(rows.alias("s"), f"{matches} AND ({merge.bounds(SPARK)})")
            if merge.removes:
                builder = builder.whenMatchedDelete(merge.removes)
            builder.whenMatchedUpdate(set=dict(merge.update(SPARK))).whenNotMatchedInsertAll().execute()

    def update(
        self, table: type[Table], where: Callable[[Dialect], str], changes: Mapping[str, str], commit: Commit
    ) -> None:
        """Updates rows in one commit that carries no transaction id: it must be safe to do again."""
        if self.delta_rs_commits(0):
            self.at_head(table).update(
                predicate=where(DATAFUSION),
                updates=dict(changes),
                commit_properties=CommitProperties(custom_metadata={KEY: commit.to_json()}),
            )
            return
        with _user_metadata(self.spark, commit):
            values: dict[str, str | Column] = {column: F.expr(value) for column, value in changes.items()}
            SparkDeltaTable.forPath(self.spark, self.path(table)).update(where(SPARK), values)

    def delete(self, table: type[Table], where: Callable[[Dialect], str], commit: Commit) -> None:
        """Deletes rows in one commit that carries no transaction id: it must be safe to do again."""
        if self.delta_rs_commits(0):
            self.at_head(table).delete(
                predicate=where(DATAFUSION),
                commit_properties=CommitProperties(custom_metadata={KEY: commit.to_json()}),
            )
            return
        with _user_metadata(self.spark, commit):
            SparkDeltaTable.forPath(self.spark, self.path(table)).delete(where(SPARK))


def properties(commit: Commit) -> CommitProperties:
    """Its account and its transaction id, for delta-rs."""
    return CommitProperties(
        custom_metadata={KEY: commit.to_json()}, app_transactions=[Transaction(commit.app_id, commit.batch_id)]
    )


@contextmanager
def _user_metadata(spark: SparkSession, commit: Commit) -> Iterator[None]:
    name = "spark.databricks.delta.commitInfo.userMetadata"
    spark.conf.set(name, commit.to_json())
    try:
        yield
    finally:
        spark.conf.unset(name)


@contextmanager
def _spark_transaction(spark: SparkSession, commit: Commit) -> Iterator[None]:
    """MERGE takes its transaction id from the session only; left there, the next plain write would fail."""
    app, version = "spark.databricks.delta.write.txnAppId", "spark.databricks.delta.write.txnVersion"
    spark.conf.set(app, commit.app_id)
    spark.conf.set(version, str(commit.batch_id))
    try:
        with _user_metadata(spark, commit):
            yield
    finally:
        spark.conf.unset(app)
        spark.conf.unset(version)
