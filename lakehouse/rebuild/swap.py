"""Rows made anew take the place of those that are there: one commit for each table, all of them or none.

A commit names files that are there already, so that it takes milliseconds whatever its size. Several tables are swapped
in this order:

1. the new files get a second name in their tables' folders; without a commit they are orphans, which VACUUM removes;
2. what all the commits are to do is written to one file, and forced to the disk: from here on it will be done;
3. the commits; 4. the file is removed.

After a kill between 2 and 4 the next start does what is left of it, before any stage is opened.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import polars as pl
import pyarrow as pa
from deltalake.transaction import AddAction, RemoveAction

from lakehouse.commits import Commit
from lakehouse.contracts import TABLES, Table
from lakehouse.errors import EngineLost
from lakehouse.faultpoints import reach
from lakehouse.rebuild.staging import StagingStore
from lakehouse.stages import utc_now
from lakehouse.store import TableStore, properties

Partition: TypeAlias = tuple[Any, ...]
"""The values of a table's partition columns, in their order; empty for a table without."""


@dataclass(frozen=True)
class Swap:
    """What one commit does."""

    table: type[Table]
    commit: Commit
    adds: Sequence[Mapping[str, Any]]
    """Files, as the log of the table they come from names them."""
    removes: Sequence[str]
    """Paths, relative to the table."""

    @property
    def rows(self) -> int:
        return sum(int(json.loads(add["stats"])["numRecords"]) for add in self.adds)


def partitions(store: TableStore, table: type[Table], version: int | None = None) -> set[Partition]:
    return set(_by_partition(store, table, version))


def unlike(
    store: TableStore,
    version: int,
    staged: StagingStore,
    table: type[Table],
    columns: Sequence[str],
    among: Collection[Partition],
) -> set[Partition]:
    """The partitions, of those ``among``, whose rows in ``columns`` are not the same in both; one at a time."""
    names = [str(column) for column in columns]

    def rows(of: TableStore, at: int | None, partition: Partition) -> pl.DataFrame:
        found = of.scan(table, at)
        for column, value in zip(table.partition_by, partition, strict=True):
            found = found.filter(pl.col(column) == value)
        return found.select(names).sort(table.key).collect()

    return {each for each in among if not rows(store, version, each).equals(rows(staged, None, each))}


def plan(
    store: TableStore, staged: StagingStore, table: type[Table], replaced: Collection[Partition], commit: Commit
) -> Swap:
    """The commit by which the staged rows of the partitions ``replaced`` take the place of those that are there."""
    there, new = _by_partition(store, table), _by_partition(staged, table)
    log = _adds(Path(staged.path(table)))
    adds = [log[path] for each in replaced for path in new.get(each, ())]
    removes = [path for each in replaced for path in there.get(each, ())]
    swap = Swap(table, commit, adds, removes)
    return Swap(table, commit.with_(rows_in=swap.rows, rows_out=swap.rows), adds, removes)


def perform(store: TableStore, staged: StagingStore, swaps: Sequence[Swap]) -> None:
    """Does all of ``swaps``; to be called by who writes, between two rounds.

    Raises EngineLost where some of it is done and some is not: then nothing more may be written before the next start.
    """
    for swap in swaps:
        source, target = Path(staged.path(swap.table)), Path(store.path(swap.table))
        for add in swap.adds:
            (target / add["path"]).parent.mkdir(parents=True, exist_ok=True)
            _link(source / add["path"], target / add["path"])
    document = [
        {"table": s.table.name, "commit": s.commit.to_json(), "adds": list(s.adds), "removes": list(s.removes)}
        for s in swaps
    ]
    part = _intent(store).with_suffix(".part")
    with part.open("w") as file:
        json.dump(document, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(_intent(store))
    try:
        _commit_all(store, swaps)
    except Exception as error:
        raise EngineLost(f"a rebuild's last step failed, and is done at the next start: {error}") from error


def finish(store: TableStore, log: Callable[[str], None]) -> None:
    """Does what a killed run has left of a swap."""
    try:
        document = json.loads(_intent(store).read_text())
    except FileNotFoundError:
        return
    log("rebuild: does what was left of the last step")
    tables = {table.name: table for table in TABLES}
    swaps = []
    for each in document:
        commit = Commit.from_json(each["commit"])
        assert commit is not None  # noqa: S101 (it was written by the above)
        swaps.append(Swap(tables[each["table"]], commit, each["adds"], each["removes"]))
    _commit_all(store, swaps)


def _link(file: Path, target: Path) -> None:
    try:
        os.link(file, target)
    except OSError:  # a file system without second names
        shutil.copyfile(file, target)


def _intent(store: TableStore) -> Path:
    store.home.rebuild.mkdir(parents=True, exist_ok=True)
    return store.home.rebuild / "swap.json"


def _commit_all(store: TableStore, swaps: Sequence[Swap]) -> None:
    for swap in swaps:
        reach("between-rebuild-commits")
        if not store.is_committed(swap.table, swap.commit):
            _commit(store, swap)
    _intent(store).unlink()


def _commit(store: TableStore, swap: Swap) -> None:
    opened = store.at_head(swap.table)
    now = pl.DataFrame(pa.table(opened.get_add_actions(flatten=True)))
    of_path = {row["path"]: row for row in now.iter_rows(named=True)}
    removes, now_ms = [], int(utc_now().timestamp() * 1000)
    for path in swap.removes:
        row = of_path[path]
        values: dict[str, str | None] = {str(c): str(row[f"partition.{c}"]) for c in swap.table.partition_by}
        removes.append(RemoveAction(path, True, now_ms, row["size_bytes"], values))
    adds = [
        AddAction(
            path=add["path"],
            size=add["size"],
            partition_values=add["partitionValues"],
            modification_time=add["modificationTime"],
            data_change=True,
            stats=add["stats"],
        )
        for add in swap.adds
    ]
    opened.create_write_transaction(
        [*removes, *adds],
        mode="append",
        schema=opened.schema(),
        partition_by=[str(column) for column in swap.table.partition_by],
        commit_properties=properties(swap.commit),
    )


def _by_partition(store: TableStore, table: type[Table], version: int | None = None) -> dict[Partition, list[str]]:
    """The paths of the files of each partition."""
    from deltalake import DeltaTable

    at = store.at_head(table) if version is None else DeltaTable(store.path(table), version=version)
    files = pl.DataFrame(pa.table(at.get_add_actions(flatten=True)))
    found: dict[Partition, list[str]] = {}
    for row in files.iter_rows(named=True):
        found.setdefault(tuple(row[f"partition.{column}"] for column in table.partition_by), []).append(row["path"])
    return found


def _adds(table: Path) -> dict[str, Mapping[str, Any]]:
    """What the log of a staged table, of which nothing was cleaned up, says of each file."""
    found: dict[str, Mapping[str, Any]] = {}
    for commit in sorted((table / "_delta_log").glob("*.json")):
        for line in commit.read_text().splitlines():
            add = json.loads(line).get("add")
            if add is not None:
                found[add["path"]] = add
    return found
