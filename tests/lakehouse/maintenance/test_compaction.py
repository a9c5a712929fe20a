"""Small files become few: which partition is next, how far it goes, and what nobody may notice of it."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow as pa
import pytest
from kept_tables import append, events, new_store
from pyspark.sql import SparkSession

from lakehouse.commits import Commit
from lakehouse.contracts import SilverDuplicates, SilverEvents
from lakehouse.maintenance.compaction import Compaction, Tiers, compact, next_compaction
from lakehouse.maintenance.log import Log
from lakehouse.store import TableStore

MONDAY, TUESDAY = date(2026, 3, 2), date(2026, 3, 3)


def step(store: TableStore, tiers: Tiers, now: datetime | None = None) -> Compaction | None:
    return next_compaction(store.at_head(SilverEvents), tiers, now or datetime.now(UTC))


def files(store: TableStore) -> dict[date, int]:
    """How many files each day has."""
    found = pl.DataFrame(pa.table(store.at_head(SilverEvents).get_add_actions(flatten=True)))
    return dict(found.group_by("partition.event_date").len().rows())


def size(store: TableStore) -> int:
    """Of the largest file."""
    return int(pl.DataFrame(pa.table(store.at_head(SilverEvents).get_add_actions()))["size_bytes"].max())  # type: ignore[arg-type]


def test_a_partition_with_more_small_files_than_many_is_put_together(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    append(store, 3, day=MONDAY)
    append(store, 4, day=TUESDAY)
    before = store.scan(SilverEvents).sort("event_id").collect()

    due = step(store, Tiers(many=3))
    assert due is not None
    assert (due.partition, due.files) == ((("event_date", "2026-03-03"), ("arrival", "on_time")), 4)
    done = compact(store.at_head(SilverEvents), due)

    assert (done.removed, done.added) == (4, 1)
    assert files(store) == {MONDAY: 3, TUESDAY: 1}
    assert step(store, Tiers(many=3)) is None
    assert store.scan(SilverEvents).sort("event_id").collect().equals(before)


def test_what_small_files_have_become_is_put_together_once_it_fills_a_large_file(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    append(store, 4)
    small = size(store)

    assert step(store, Tiers(many=10, large_bytes=5 * small)) is None
    due = step(store, Tiers(many=10, large_bytes=3 * small))
    assert due is not None
    assert (due.files, due.target_bytes) == (4, 3 * small)
    compact(store.at_head(SilverEvents), due)

    assert sum(files(store).values()) < 4


def test_a_file_that_is_nearly_full_is_not_written_again_for_a_small_rest(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    append(store, 1, rows=2_000)
    full = size(store)
    append(store, 3)
    tiers = Tiers(many=2, small_bytes=8 * full, large_bytes=full)

    due = step(store, tiers, datetime.now(UTC) + timedelta(hours=2))
    assert due is not None
    assert (due.files, due.target_bytes) == (3, full - 1)
    assert compact(store.at_head(SilverEvents), due).removed == 3


def test_what_is_left_in_a_partition_that_is_idle_is_put_together(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    append(store, 2, day=MONDAY)
    append(store, 1, day=TUESDAY)
    an_hour_later = datetime.now(UTC) + timedelta(hours=1, seconds=1)

    assert step(store, Tiers(many=10)) is None
    due = step(store, Tiers(many=10), an_hour_later)
    assert due is not None
    compact(store.at_head(SilverEvents), due)

    assert files(store) == {MONDAY: 1, TUESDAY: 1}
    assert step(store, Tiers(many=10), an_hour_later) is None


def test_a_table_without_partitions_is_one(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    for batch in range(3):
        copies = events(batch, 1).select([str(column) for column in SilverDuplicates.columns()])
        store.append(SilverDuplicates, copies, Commit("silver", 0, batch))

    due = next_compaction(store.at_head(SilverDuplicates), Tiers(many=2), datetime.now(UTC))
    assert due is not None
    assert (due.partition, due.where) == ((), "the table")
    assert compact(store.at_head(SilverDuplicates), due).removed == 3


def test_a_row_is_rewritten_a_bounded_number_of_times(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    append(store, 1, rows=100)
    tiers = Tiers(many=8, small_bytes=16 * size(store), large_bytes=32 * size(store))
    rewritten = 0

    for _ in range(150):
        append(store, 1, rows=100)
        while (due := step(store, tiers)) is not None:
            assert due.bytes <= tiers.large_bytes + tiers.small_bytes
            compact(store.at_head(SilverEvents), due)
            rewritten += rows_added(store)

    assert rewritten / store.rows(SilverEvents) < 6
    assert sum(files(store).values()) < 3 * tiers.many


@pytest.mark.parametrize("engine", ["spark", "delta-rs"])
def test_who_follows_a_table_passes_over_its_compaction(tmp_path: Path, spark: SparkSession, engine: str) -> None:
    store = new_store(tmp_path, spark, commit_engine=engine)
    for batch in range(3):
        add(store, batch)
    taken = store.version(SilverEvents)
    due = step(store, Tiers(many=2))
    assert due is not None
    compact(store.at_head(SilverEvents), due)
    compacted = store.version(SilverEvents)
    account = add(store, 3)
    head = store.version(SilverEvents)

    feed = pa.table(store.at_head(SilverEvents).load_cdf(starting_version=taken + 1, ending_version=head))
    assert sorted(feed["event_id"].to_pylist()) == ["e6", "e7"]
    by_spark = spark.read.format("delta").option("readChangeFeed", "true").option("startingVersion", taken + 1)
    assert {row["event_id"] for row in by_spark.load(store.path(SilverEvents)).collect()} == {"e6", "e7"}
    found = store.inserted(SilverEvents, taken + 1, head, ["event_id"])
    rows = found if isinstance(found, pa.Table) else found.toArrow()
    assert set(rows["event_id"].to_pylist()) == {"e6", "e7"}
    only = pa.table(store.at_head(SilverEvents).load_cdf(starting_version=compacted, ending_version=compacted))
    assert only.num_rows == 0

    assert store.last_commit(SilverEvents) == account
    assert store.at_head(SilverEvents).transaction_version("silver/0") == 3
    add(store, 2)
    assert store.version(SilverEvents) == head, "a batch from before the compaction is still known as committed"
    assert store.read(SilverEvents).count() == store.rows(SilverEvents) == 8


def test_how_far_a_stage_has_come_is_seen_past_many_compactions(tmp_path: Path) -> None:
    store = new_store(tmp_path)
    account = append(store, 1)
    for _ in range(30):
        store.at_head(SilverEvents).alter.set_table_properties({"delta.appendOnly": "false"})

    assert store.last_commit(SilverEvents) == account
    assert Log(Path(store.path(SilverEvents))).newest_account() == 1


def rows_added(store: TableStore) -> int:
    """Rows in the files that the newest version added."""
    log = Path(store.path(SilverEvents)) / "_delta_log" / f"{store.version(SilverEvents):020}.json"
    added = [action["add"] for action in map(json.loads, log.read_text().splitlines()) if "add" in action]
    return sum(json.loads(add["stats"])["numRecords"] for add in added)


def add(store: TableStore, batch: int) -> Commit:
    """Two rows, by the store's engine."""
    commit = Commit("silver", 0, batch, source_version=batch)
    rows = events(2 * batch, 2)
    frame = rows if store.delta_rs_commits(2) else store.spark.createDataFrame(rows).select(*SilverEvents.columns())
    store.append(SilverEvents, frame, commit)
    return commit
