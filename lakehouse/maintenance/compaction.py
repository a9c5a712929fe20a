"""Which partition of a table to compact next, and how far: many small files into one, several of those into a large.

Each row is rewritten a bounded number of times. Small files are put together, up to ``small_bytes``, once more than
``many`` lie in a partition. What that leaves is put together once it fills a file of ``large_bytes``, or when the
partition has been idle. So what one step reads is bounded too, and with it the pause that it makes between two rounds.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl
import pyarrow as pa
from deltalake import DeltaTable, WriterProperties

from lakehouse.faultpoints import within
from lakehouse.maintenance.log import upkeep_commit

MIB = 1 << 20

WRITER = WriterProperties(compression="ZSTD", compression_level=1, max_row_group_size=131_072)
"""Level 1 takes half the time of delta-rs's level 4 for 3 % more bytes. Row groups are small so that the lookup of an
event by its time reads little of a large file."""

Partition = tuple[tuple[str, str], ...]
"""A partition's columns and values, as delta-rs filters by them; empty for a table without partitions."""


@dataclass(frozen=True)
class Tiers:
    """When a partition is compacted, and into files of which size."""

    many: int
    """More small files than this in a partition are put together."""
    small_bytes: int = 4 * MIB
    """What they become; a file below a quarter of it is small."""
    large_bytes: int = 32 * MIB
    """What the files below half of it become, once they fill one."""
    idle: timedelta = timedelta(hours=1)
    """A partition that got no file for so long is finished: what is left in it is put together."""


@dataclass(frozen=True)
class Compaction:
    """One step: the files of one partition that are no larger than ``target_bytes``."""

    partition: Partition
    files: int
    bytes: int
    target_bytes: int

    @property
    def where(self) -> str:
        """The partition, for people."""
        return ", ".join(f"{column}={value}" for column, value in self.partition) or "the table"


@dataclass(frozen=True)
class Compacted:
    """What a step did."""

    removed: int
    added: int
    removed_bytes: int
    added_bytes: int


def next_compaction(
    table: DeltaTable, tiers: Tiers, now: datetime, without: Collection[Partition] = ()
) -> Compaction | None:
    """The step that is most needed, None where nothing is to be done; ``without`` are partitions not to look at."""
    files = pl.DataFrame(pa.table(table.get_add_actions(flatten=True)))
    columns = [column for column in files.columns if column.startswith("partition.")]
    # A partition without a value cannot be named by a filter; no contract has one.
    files = files.drop_nulls(columns).with_columns(pl.col(columns).cast(pl.String))
    size, unfilled = pl.col("size_bytes"), pl.col("size_bytes") < tiers.large_bytes // 2
    partitions = files.group_by(columns or pl.lit("").alias("all")).agg(
        (size < tiers.small_bytes // 4).sum().alias("small"),
        unfilled.sum().alias("unfilled"),
        size.filter(unfilled).sum().alias("unfilled_bytes"),
        size,
        pl.col("modification_time").max().alias("newest"),
    )
    idle = pl.col("newest") < int((now - tiers.idle).timestamp() * 1000)
    many = pl.col("small") > tiers.many
    large = (pl.col("unfilled") > 1) & (idle | (pl.col("unfilled_bytes") >= tiers.large_bytes))
    due = partitions.with_columns(large=large).filter(many | large).sort("small", "unfilled", descending=True)
    for row in due.iter_rows(named=True):
        partition = tuple((column.removeprefix("partition."), row[column]) for column in columns)
        if partition not in without:
            target = _below_full_files(row["size_bytes"], tiers.large_bytes) if row["large"] else tiers.small_bytes
            taken = [size for size in row["size_bytes"] if size <= target]
            return Compaction(partition, len(taken), sum(taken), target)
    return None


def _below_full_files(sizes: Collection[int], large_bytes: int) -> int:
    """``large_bytes``, or so much less that a file which is nearly as large is not written again for a small rest."""
    return min((size - 1 for size in sizes if large_bytes * 3 // 4 <= size <= large_bytes), default=large_bytes)


def compact(table: DeltaTable, step: Compaction) -> Compacted:
    """Does ``step`` in one commit that moves no row, or in none where no two files can be put together.

    Safe against a kill at any moment: new files are written under new names, and count from the commit on; before it
    they are orphans, which VACUUM removes. The old files stay until VACUUM for whoever reads an older version.
    """
    with within("in-compaction"):
        done = table.optimize.compact(
            partition_filters=[(column, "=", value) for column, value in step.partition] or None,
            target_size=step.target_bytes,
            writer_properties=WRITER,
            commit_properties=upkeep_commit("compaction"),
        )
    removed, added = (json.loads(done[side]) for side in ("filesRemoved", "filesAdded"))
    return Compacted(removed["totalFiles"], added["totalFiles"], removed["totalSize"], added["totalSize"])
